//! Extra headers of a deployment (`[deployments.NAME.headers]`), whatever its method.

use std::sync::Arc;

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};

use super::custom::header_value;
use super::load;
use crate::error::AuthError;
use crate::helper::{HeaderMethod, HeaderSource};
use crate::method::{Owned, SharedMethod};
use crate::secret::SharedSource;

/// Headers with fixed names whose values may be secrets; guarded like credentials.
///
/// ```
/// use gatepass_core::{AuthMethod, ExtraHeaders, Literal, header};
/// let method = ExtraHeaders::method(vec![(header::name("x-team")?, Literal::shared("ml"))]);
/// assert!(method.owned().has_header("X-Team"));
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Debug)]
pub struct ExtraHeaders(Vec<(HeaderName, SharedSource)>);

impl ExtraHeaders {
    /// The method for these headers.
    #[must_use]
    pub fn method(headers: Vec<(HeaderName, SharedSource)>) -> SharedMethod {
        let names = headers.iter().map(|(name, _)| name.clone()).collect();
        Arc::new(HeaderMethod::new(Owned::headers(names), Self(headers)))
    }
}

#[async_trait]
impl HeaderSource for ExtraHeaders {
    async fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, AuthError> {
        let mut made = Vec::with_capacity(self.0.len());
        for (name, source) in &self.0 {
            let key = format!("headers.{name}");
            let text = load(&key, source).await?;
            made.push((name.clone(), header_value(&key, text.expose())?));
        }
        Ok(made)
    }

    fn may_change(&self) -> bool {
        self.0.iter().any(|(_, source)| source.may_change())
    }
}
