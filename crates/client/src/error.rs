//! What went wrong, and whose fault it is. No URL, no header value, no body.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use gatepass_core::AuthError;
use gatepass_transport::Trouble;

/// Whose fault it is, for programs; the message is for people.
///
/// ```
/// use gatepass_client::ErrorKind;
/// let error = gatepass_client::bearer("abc").url("not a URL").build().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Definition);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The definition of the deployment is wrong.
    Definition,
    /// The credential is not to be had: a secret is missing, or the token endpoint gave no token.
    Credential,
    /// The call itself cannot be made: its path, headers or body.
    Request,
    /// The deployment was not reached: connect, DNS, TLS.
    Connect,
    /// The deployment did not answer in time.
    Timeout,
    /// The connection broke, or the answer is no HTTP.
    Broken,
    /// The answer is not of the shape that was asked for.
    Decode,
    /// The answer has an error status.
    Status,
}

impl ErrorKind {
    /// Every kind there is, for documentation and tests.
    pub const ALL: &'static [Self] = &[
        Self::Definition,
        Self::Credential,
        Self::Request,
        Self::Connect,
        Self::Timeout,
        Self::Broken,
        Self::Decode,
        Self::Status,
    ];
}

/// A call that failed.
///
/// ```
/// let error = gatepass_client::bearer("s3cr3t").url("http://models.example.com/").build().unwrap_err();
/// assert_eq!(error.kind(), gatepass_client::ErrorKind::Definition);
/// assert!(error.to_string().contains("allow_insecure_http"));
/// ```
pub struct Error {
    kind: ErrorKind,
    deployment: String,
    message: String,
    auth: Option<AuthError>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, deployment: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            deployment: deployment.to_owned(),
            message: message.into(),
            auth: None,
        }
    }

    pub(crate) fn of_auth(error: AuthError, deployment: &str) -> Self {
        let kind = match error.kind() {
            gatepass_core::ErrorKind::Path | gatepass_core::ErrorKind::Body => ErrorKind::Request,
            gatepass_core::ErrorKind::Definition => ErrorKind::Definition,
            _ => ErrorKind::Credential,
        };
        let error = error.for_deployment(deployment);
        Self {
            kind,
            deployment: deployment.to_owned(),
            message: String::new(),
            auth: Some(error),
        }
    }

    pub(crate) fn of_reqwest(error: &reqwest::Error, deployment: &str, origin: &str) -> Self {
        let trouble = Trouble::of(error);
        if error.is_connect() {
            let what = format!(
                "{origin} cannot be reached, {}: {}",
                trouble.cause, trouble.fix
            );
            return Self::new(ErrorKind::Connect, deployment, what);
        }
        if error.is_timeout() {
            return Self::new(
                ErrorKind::Timeout,
                deployment,
                format!("{origin} did not answer in time: check network, or raise the timeout"),
            );
        }
        if error.is_builder() {
            return Self::new(
                ErrorKind::Request,
                deployment,
                format!(
                    "the request cannot be made ({}): check url and headers",
                    trouble.cause
                ),
            );
        }
        Self::new(
            ErrorKind::Broken,
            deployment,
            format!(
                "the connection to {origin} broke ({}): try again, and ask its operator if this lasts",
                trouble.cause
            ),
        )
    }

    /// Whose fault it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened: the message without what to do about it.
    #[must_use]
    pub fn cause(&self) -> &str {
        match &self.auth {
            Some(error) => error.cause(),
            None => self.split().0,
        }
    }

    /// What to do about it, where the message says so.
    #[must_use]
    pub fn fix(&self) -> Option<&str> {
        match &self.auth {
            Some(error) => error.fix(),
            None => self.split().1,
        }
    }

    /// Messages read `cause: fix`.
    fn split(&self) -> (&str, Option<&str>) {
        match self.message.rsplit_once(": ") {
            Some((cause, fix)) => (cause, Some(fix)),
            None => (&self.message, None),
        }
    }

    /// The error of the credential, where that is what went wrong.
    #[must_use]
    pub fn auth(&self) -> Option<&AuthError> {
        self.auth.as_ref()
    }

    /// The deployment that was called.
    #[must_use]
    pub fn deployment(&self) -> &str {
        &self.deployment
    }

    /// Whether another attempt may succeed without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match &self.auth {
            Some(error) => error.is_retryable(),
            None => matches!(
                self.kind,
                ErrorKind::Connect | ErrorKind::Timeout | ErrorKind::Broken
            ),
        }
    }

    /// How long to wait before another attempt, where known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.auth.as_ref().and_then(AuthError::retry_after)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.auth {
            Some(error) => write!(f, "{error}"),
            None => write!(f, "deployment \"{}\": {}", self.deployment, self.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.kind)
            .field("message", &self.to_string())
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.auth.as_ref().and_then(StdError::source)
    }
}
