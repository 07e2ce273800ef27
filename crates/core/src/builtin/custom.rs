//! `custom`: a header of the deployment's own, such as `api-key`.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};

use super::{invalid, load};
use crate::error::AuthError;
use crate::header;
use crate::helper::{HeaderMethod, HeaderSource};
use crate::method::{Owned, SharedMethod};
use crate::secret::{IntoSource, SharedSource};
use crate::settings::{BuildContext, KeyKind, KeySpec, MethodFactory, SettingProblem, Settings};

/// A header name and its value, sent as they are (RFC 9110 s5).
///
/// ```
/// use gatepass_core::{AuthMethod, Custom};
/// let method = Custom::method("api-key", "abcd1234")?;
/// assert_eq!(method.owned().headers[0], "api-key");
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Debug)]
pub struct Custom {
    name: HeaderName,
    value: SharedSource,
}

impl Custom {
    /// The method for this header.
    ///
    /// # Errors
    /// When the name is no header name, or frames or routes the message (`Host`, ..).
    pub fn method(name: &str, value: impl IntoSource) -> Result<SharedMethod, &'static str> {
        let spelling = name;
        let name = header::name(spelling)?;
        let source = Self {
            name: name.clone(),
            value: value.into_source(),
        };
        Ok(Arc::new(HeaderMethod::new(
            Owned::spelled(name, spelling),
            source,
        )))
    }
}

#[async_trait]
impl HeaderSource for Custom {
    async fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, AuthError> {
        let value = load("password (the header value)", &self.value).await?;
        Ok(vec![(
            self.name.clone(),
            header_value("password (the header value)", value.expose())?,
        )])
    }

    fn may_change(&self) -> bool {
        self.value.may_change()
    }
}

pub(super) fn header_value(key: &str, text: &str) -> Result<HeaderValue, AuthError> {
    header::check_value(text)
        .and_then(|()| header::sensitive(text.as_bytes().to_vec()))
        .map_err(|what| invalid(key, what))
}

/// Makes [`Custom`] from a definition.
///
/// ```
/// use gatepass_core::{MethodFactory, CustomFactory};
/// assert_eq!(CustomFactory.tag(), "custom");
/// ```
#[derive(Debug)]
pub struct CustomFactory;

const KEYS: &[KeySpec] = &[
    KeySpec::new("header", KeyKind::Text, "the name of the header")
        .alias("username")
        .required(),
    KeySpec::new("value", KeyKind::Secret, "the value of the header")
        .alias("password")
        .required(),
];

impl MethodFactory for CustomFactory {
    fn tag(&self) -> &'static str {
        "custom"
    }

    fn about(&self) -> &'static str {
        "a header of your choice, like `api-key`"
    }

    fn keys(&self) -> &'static [KeySpec] {
        KEYS
    }

    fn build(
        &self,
        settings: &Settings,
        _: &BuildContext<'_>,
    ) -> Result<SharedMethod, Vec<SettingProblem>> {
        let name = settings.text("header").and_then(|text| {
            header::name(text)
                .map_err(|what| SettingProblem::new("header", what))
                .map(|_| text)
        });
        let value = settings.source_checked("value", header::check_value);
        let (name, value) = SettingProblem::both(name, value)?;
        Custom::method(name, value).map_err(|what| vec![SettingProblem::new("header", what)])
    }
}
