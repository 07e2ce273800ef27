//! How token requests reach the token endpoint.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use zeroize::Zeroizing;

/// The longest reply that is read, in bytes.
pub(crate) const MAX_REPLY: usize = 64 * 1024;

/// Sends token requests. Implement it for another HTTP client, or for tests without sockets.
///
/// ```
/// use bytes::Bytes;
/// use gatepass_oauth::{TokenReply, TokenTransport, TransportFailure};
///
/// /// A token endpoint that is never there.
/// #[derive(Debug)]
/// struct Down;
///
/// #[async_trait::async_trait]
/// impl TokenTransport for Down {
///     async fn send(&self, _: http::Request<Bytes>, _: usize) -> Result<TokenReply, TransportFailure> {
///         Err(TransportFailure::Connect("it refuses connections: check host and port".into()))
///     }
/// }
/// ```
#[async_trait]
pub trait TokenTransport: fmt::Debug + Send + Sync + 'static {
    /// Sends one request, once, on a fresh connection, following no redirect, and reads at most
    /// `limit` bytes of the reply.
    ///
    /// # Errors
    /// When there is no whole reply.
    async fn send(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<TokenReply, TransportFailure>;
}

/// A whole reply; its body is wiped on drop.
///
/// ```
/// let reply = gatepass_oauth::TokenReply {
///     status: http::StatusCode::OK,
///     headers: http::HeaderMap::new(),
///     body: b"{}".to_vec().into(),
/// };
/// assert!(!format!("{reply:?}").contains("body"));
/// ```
pub struct TokenReply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for TokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenReply")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// Why there is no whole reply. The texts hold no URL and no content.
///
/// ```
/// use gatepass_oauth::TransportFailure;
/// assert_ne!(TransportFailure::Timeout, TransportFailure::TooLong);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportFailure {
    /// No connection: refused, DNS, TLS.
    Connect(String),
    /// The connection broke before the reply was whole.
    Torn(String),
    /// The reply is longer than the limit.
    TooLong,
    /// It took too long.
    Timeout,
}
