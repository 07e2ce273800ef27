//! A request that can be made anew for each attempt, and lent to methods.

use std::fmt;
use std::mem;
use std::time::Duration;

use bytes::Bytes;
use gatepass_core::{BodyView, Destination, Outbound, RequestView};
use http::{HeaderMap, Method};
use url::Url;

/// What a caller wants sent.
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
    pub(crate) total_timeout: Option<Duration>,
}

/// Without URL, headers and body: any of them may carry what is nobody's business.
impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// A body: bytes can be sent again, a stream goes once.
pub(crate) enum Payload {
    Empty,
    Bytes(Bytes),
    Stream(Option<reqwest::Body>),
}

impl Outgoing {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        let headers = HeaderMap::new();
        Self {
            method,
            url,
            headers,
            payload: Payload::Empty,
            total_timeout: None,
        }
    }

    pub(crate) fn can_repeat(&self) -> bool {
        !matches!(self.payload, Payload::Stream(_))
    }

    /// Whether it is worth sending twice.
    pub(crate) fn is_within(&self, limit: u64) -> bool {
        match &self.payload {
            Payload::Bytes(bytes) => bytes.len() as u64 <= limit,
            Payload::Empty | Payload::Stream(_) => true,
        }
    }

    pub(crate) fn body_view(&self) -> BodyView<'_> {
        match &self.payload {
            Payload::Empty => BodyView::Empty,
            Payload::Bytes(bytes) => BodyView::Bytes(bytes),
            Payload::Stream(_) => BodyView::Unread,
        }
    }

    /// A request for one attempt; another one can be made unless the body streams.
    pub(crate) fn attempt(&mut self) -> reqwest::Request {
        let mut request = reqwest::Request::new(self.method.clone(), self.url.clone());
        if !self.headers.is_empty() {
            *request.headers_mut() = self.headers.clone();
        }
        *request.body_mut() = match &mut self.payload {
            Payload::Empty => None,
            Payload::Bytes(bytes) => Some(bytes.clone().into()),
            Payload::Stream(stream) => stream.take(),
        };
        request
    }
}

/// A reqwest request that can be lent to methods.
///
/// ```
/// use gatepass_client::ReqwestOutbound;
/// use gatepass_core::{BodyView, Outbound};
/// let mut request = reqwest::Client::new().get("https://models.example.com/v1").build()?;
/// let host = ReqwestOutbound(&mut request).lend(BodyView::Empty, |view| view.host().to_owned());
/// assert_eq!(host, "models.example.com");
/// # Ok::<(), reqwest::Error>(())
/// ```
pub struct ReqwestOutbound<'a>(pub &'a mut reqwest::Request);

impl fmt::Debug for ReqwestOutbound<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReqwestOutbound")
            .field("method", self.0.method())
            .finish_non_exhaustive()
    }
}

impl Outbound for ReqwestOutbound<'_> {
    fn lend<R>(&mut self, body: BodyView<'_>, call: impl FnOnce(&mut RequestView<'_>) -> R) -> R {
        let mut headers = mem::take(self.0.headers_mut());
        let url = self.0.url();
        let has_user = !url.username().is_empty() || url.password().is_some();
        let to = Destination {
            scheme: url.scheme(),
            host: if has_user {
                ""
            } else {
                url.host_str().unwrap_or("")
            },
            port: url.port(),
            path: url.path(),
            query: url.query().unwrap_or(""),
        };
        let mut view = RequestView::new(self.0.method(), to, &mut headers, body);
        let result = call(&mut view);
        if let Some(query) = view.into_changed_query() {
            self.0
                .url_mut()
                .set_query((!query.is_empty()).then_some(query.as_str()));
        }
        *self.0.headers_mut() = headers;
        result
    }
}
