//! What a token endpoint did instead of handing out a token. No body, no token, no query.

use std::sync::Arc;
use std::time::Duration;

use gatepass_core::{AuthError, ErrorKind};

/// What went wrong at the token endpoint.
///
/// ```
/// # use std::sync::Arc;
/// # use gatepass_core::Secret;
/// # use gatepass_oauth::{Basic, ClientCredentials, Scope};
/// # let token_url = "https://auth.example.com/oauth/token".parse().unwrap();
/// # let mut credential = ClientCredentials::new(token_url, Secret::new("id"), Secret::new("s3cr3t"));
/// # credential.client_auth = Arc::new(Basic);
/// # credential.scope = Scope::None;
///
/// # use gatepass_core::{Clock, SystemClock};
/// # use gatepass_oauth::{TokenReply, decode};
/// let page = TokenReply {
///     status: http::StatusCode::OK,
///     headers: http::HeaderMap::new(),
///     body: b"<html>maintenance</html>".to_vec().into(),
/// };
/// let error = decode(&credential, &page, SystemClock.now()).unwrap_err();
///
/// assert_eq!(error.kind(), gatepass_oauth::TokenErrorKind::Unreadable);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenErrorKind {
    /// It refused the client, the scope or the grant; asking again would not help.
    Refused,
    /// It is there and cannot serve now (429, 5xx, `temporarily_unavailable`).
    Unavailable,
    /// Its reply is no token reply: HTML, an empty body, a torn body, a redirect.
    Unreadable,
    /// It handed out something that must not be sent: another token type, control characters.
    UnusableToken,
    /// It was not reached: connect, DNS, TLS.
    Unreachable,
    /// It did not answer in time.
    Timeout,
    /// The exchange ended on our side: no runtime, a panic.
    Interrupted,
}

impl TokenErrorKind {
    /// Every kind there is, for documentation and tests.
    pub const ALL: &'static [Self] = &[
        Self::Refused,
        Self::Unavailable,
        Self::Unreadable,
        Self::UnusableToken,
        Self::Unreachable,
        Self::Timeout,
        Self::Interrupted,
    ];
}

/// A token exchange that gave no token: cause, and what to do.
///
/// ```
/// # use std::sync::Arc;
/// # use gatepass_core::Secret;
/// # use gatepass_oauth::{Basic, ClientCredentials, Scope};
/// # let token_url = "https://auth.example.com/oauth/token".parse().unwrap();
/// # let mut credential = ClientCredentials::new(token_url, Secret::new("id"), Secret::new("s3cr3t"));
/// # credential.client_auth = Arc::new(Basic);
/// # credential.scope = Scope::None;
///
/// # use gatepass_core::{Clock, SystemClock};
/// # use gatepass_oauth::{TokenReply, decode};
/// let page = TokenReply {
///     status: http::StatusCode::OK,
///     headers: http::HeaderMap::new(),
///     body: b"<html>maintenance</html>".to_vec().into(),
/// };
/// let error = decode(&credential, &page, SystemClock.now()).unwrap_err();
///
/// assert!(error.is_transient());
/// assert!(error.to_string().contains("an HTML page: check token_url"));
/// ```
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct TokenError {
    kind: TokenErrorKind,
    message: String,
    retry_after: Option<Duration>,
}

impl TokenError {
    /// An error with its message: cause, `: `, fix; no body, no token, no query.
    #[must_use]
    pub fn new(kind: TokenErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn with_retry_after(mut self, after: Option<Duration>) -> Self {
        self.retry_after = after;
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> TokenErrorKind {
        self.kind
    }

    /// Whether asking again may help without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind != TokenErrorKind::Refused
    }

    /// How long the token endpoint asked to be left alone, where it said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The error a caller sees, with how long to wait.
    pub(crate) fn for_caller(&self, wait: Option<Duration>) -> AuthError {
        AuthError::new(ErrorKind::TokenEndpoint, self.message.clone())
            .with_retry(self.is_transient(), wait)
            .with_source(Arc::new(self.clone()))
    }
}
