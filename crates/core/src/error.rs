//! What keeps a credential away from a request.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What kind of trouble it is, for programs; the message is for people.
///
/// ```
/// use gatepass_core::{AuthError, ErrorKind};
/// let error = AuthError::new(ErrorKind::SecretMissing, "$PW is not set: export it");
/// assert_eq!(error.kind(), ErrorKind::SecretMissing);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A secret is not there or cannot be read.
    SecretMissing,
    /// A secret is there but cannot be used: a control character, a `:` in a user-id.
    SecretInvalid,
    /// The token endpoint gave no usable token.
    TokenEndpoint,
    /// The request goes to another origin than the credential belongs to.
    Origin,
    /// The path given for a request is refused.
    Path,
    /// The method must see the body, and cannot.
    Body,
    /// The definition of the deployment contradicts itself.
    Definition,
    /// A rejected secret is still the same where it came from.
    Unchanged,
}

impl ErrorKind {
    /// Every kind there is, for documentation and tests.
    pub const ALL: &'static [Self] = &[
        Self::SecretMissing,
        Self::SecretInvalid,
        Self::TokenEndpoint,
        Self::Origin,
        Self::Path,
        Self::Body,
        Self::Definition,
        Self::Unchanged,
    ];
}

/// A credential that could not be added: what, where, and what to do.
///
/// Cheap to clone, because one failed renewal answers many callers. It never holds a header value,
/// a body of a token endpoint, or a URL with its query.
///
/// ```
/// use gatepass_core::{AuthError, ErrorKind};
/// let error = AuthError::new(ErrorKind::SecretMissing, "password: $PW is not set: export it")
///     .for_deployment("churn");
/// assert_eq!(error.to_string(), "deployment \"churn\": password: $PW is not set: export it");
/// assert!(!error.is_retryable());
/// ```
#[derive(Clone)]
pub struct AuthError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    deployment: Option<Arc<str>>,
    message: String,
    retryable: bool,
    retry_after: Option<Duration>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl AuthError {
    /// An error with its message: lower case, no full stop, names the key and never the value.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            deployment: None,
            message: message.into(),
            retryable: false,
            retry_after: None,
            source: None,
        }))
    }

    /// The same error, naming the deployment; the first name given stays.
    #[must_use]
    pub fn for_deployment(self, name: &str) -> Self {
        self.with(|inner| {
            inner.deployment.get_or_insert_with(|| name.into());
        })
    }

    /// The same error, with whether another attempt may succeed and how long to wait before it.
    #[must_use]
    pub fn with_retry(self, retryable: bool, after: Option<Duration>) -> Self {
        self.with(|inner| {
            inner.retryable = retryable;
            inner.retry_after = after;
        })
    }

    /// The same error with what caused it.
    #[must_use]
    pub fn with_source(self, source: Arc<dyn StdError + Send + Sync>) -> Self {
        self.with(|inner| inner.source = Some(source))
    }

    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The kind of trouble.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What happened: the message without what to do about it.
    #[must_use]
    pub fn cause(&self) -> &str {
        split(&self.0.message).0
    }

    /// What to do about it, where the message says so.
    ///
    /// ```
    /// use gatepass_core::{AuthError, ErrorKind};
    /// let error = AuthError::new(ErrorKind::SecretMissing, "password: $PW is not set: export it");
    /// assert_eq!((error.cause(), error.fix()), ("password: $PW is not set", Some("export it")));
    /// ```
    #[must_use]
    pub fn fix(&self) -> Option<&str> {
        split(&self.0.message).1
    }

    /// The deployment it happened to, where known.
    #[must_use]
    pub fn deployment(&self) -> Option<&str> {
        self.0.deployment.as_deref()
    }

    /// Whether another attempt may succeed without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// How long to wait before another attempt, where known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }
}

/// Messages read `cause: fix`.
fn split(message: &str) -> (&str, Option<&str>) {
    match message.rsplit_once(": ") {
        Some((cause, fix)) => (cause, Some(fix)),
        None => (message, None),
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.0.deployment {
            write!(f, "deployment \"{name}\": ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthError")
            .field("kind", &self.0.kind)
            .field("deployment", &self.0.deployment)
            .field("message", &self.0.message)
            .field("retryable", &self.0.retryable)
            .field("retry_after", &self.0.retry_after)
            .finish()
    }
}

impl StdError for AuthError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}
