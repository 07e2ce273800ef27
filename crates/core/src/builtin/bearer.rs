//! `bearer`: a token that somebody handed out (RFC 6750).

use std::sync::Arc;

use async_trait::async_trait;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::{invalid, load};
use crate::error::AuthError;
use crate::header;
use crate::helper::{HeaderMethod, HeaderSource};
use crate::method::{Owned, SharedMethod};
use crate::secret::{IntoSource, SharedSource};
use crate::settings::{BuildContext, KeyKind, KeySpec, MethodFactory, SettingProblem, Settings};

/// A token, sent as `Authorization: Bearer <token>` (RFC 6750 s2.1).
///
/// ```
/// let header = gatepass_core::Bearer::header("tok-~+/=.static")?;
/// assert_eq!(header.to_str().unwrap(), "Bearer tok-~+/=.static");
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Debug)]
pub struct Bearer {
    token: SharedSource,
}

impl Bearer {
    /// The method for this token.
    #[must_use]
    pub fn method(token: impl IntoSource) -> SharedMethod {
        let source = Self {
            token: token.into_source(),
        };
        Arc::new(HeaderMethod::new(
            Owned::headers(vec![AUTHORIZATION]),
            source,
        ))
    }

    /// The header value `Bearer <token>`.
    ///
    /// Real issuers stray from the token syntax of RFC 6750 s2.1, so anything that is a header value
    /// without spaces is sent.
    ///
    /// # Errors
    /// Says what is wrong with the token: empty, spaces, controls, beyond ASCII.
    pub fn header(token: &str) -> Result<HeaderValue, &'static str> {
        check_token(token)?;
        let mut text = Zeroizing::new(String::with_capacity(7 + token.len()));
        text.push_str("Bearer ");
        text.push_str(token);
        header::sensitive(std::mem::take(&mut *text).into_bytes())
    }
}

#[async_trait]
impl HeaderSource for Bearer {
    async fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, AuthError> {
        let token = load("password (the token)", &self.token).await?;
        let value =
            Self::header(token.expose()).map_err(|what| invalid("password (the token)", what))?;
        Ok(vec![(AUTHORIZATION, value)])
    }

    fn may_change(&self) -> bool {
        self.token.may_change()
    }
}

fn check_token(token: &str) -> Result<(), &'static str> {
    header::check_value(token)?;
    if token.contains([' ', '\t']) {
        return Err("holds a space: give the token alone, without `Bearer`");
    }
    Ok(())
}

/// Makes [`Bearer`] from a definition.
///
/// ```
/// use gatepass_core::{MethodFactory, BearerFactory};
/// assert_eq!(BearerFactory.tag(), "bearer");
/// ```
#[derive(Debug)]
pub struct BearerFactory;

const KEYS: &[KeySpec] =
    &[
        KeySpec::new("token", KeyKind::Secret, "the token sent to the deployment")
            .alias("password")
            .required(),
    ];

impl MethodFactory for BearerFactory {
    fn tag(&self) -> &'static str {
        "bearer"
    }

    fn about(&self) -> &'static str {
        "a fixed token in `Authorization: Bearer` (RFC 6750)"
    }

    fn keys(&self) -> &'static [KeySpec] {
        KEYS
    }

    fn build(
        &self,
        settings: &Settings,
        _: &BuildContext<'_>,
    ) -> Result<SharedMethod, Vec<SettingProblem>> {
        let token = settings
            .source_checked("token", check_token)
            .map_err(|problem| vec![problem])?;
        Ok(Bearer::method(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_that_could_break_a_request_are_refused() {
        for token in ["", "a b", "Bearer abc", "a\r\nx: y", "ü", "a\n"] {
            assert!(Bearer::header(token).is_err(), "{token:?}");
        }
    }
}
