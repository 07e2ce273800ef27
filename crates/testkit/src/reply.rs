//! Scripted answers, faults among them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;

/// A body that may break on purpose.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// One scripted answer.
///
/// ```
/// use gatepass_testkit::Reply;
/// let busy = Reply::status(429).header("retry-after", "30");
/// let page = Reply::status(200).body("<html>maintenance</html>");
/// let half = Reply::status(200).body("{\"access_token\":\"ab").torn();
/// # drop((busy, page, half));
/// ```
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) delay: Duration,
    pub(crate) fault: Fault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Torn,
    Silent,
    /// These bytes, each after a pause, then the end of the connection.
    Raw(Arc<[(Duration, Bytes)]>),
}

impl Reply {
    /// An empty answer with this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            delay: Duration::ZERO,
            fault: Fault::None,
        }
    }

    /// A JSON answer with status 200.
    #[must_use]
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self::status(200)
            .header("content-type", "application/json")
            .body(body)
    }

    /// No answer at all: the connection stays open and silent.
    #[must_use]
    pub fn silence() -> Self {
        Self {
            fault: Fault::Silent,
            ..Self::status(200)
        }
    }

    /// These bytes as they are, each piece after a pause, then the end of the connection. Only a
    /// server in memory can send them; any other one closes the connection at once.
    #[must_use]
    pub fn raw(pieces: Vec<(Duration, Bytes)>) -> Self {
        Self {
            fault: Fault::Raw(pieces.into()),
            ..Self::status(200)
        }
    }

    /// The same with a header; one that is none is left out.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same after a while.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same, but the connection breaks after the body, short of the promised length.
    #[must_use]
    pub fn torn(mut self) -> Self {
        self.fault = Fault::Torn;
        self
    }

    pub(crate) async fn play(self) -> Response<Body> {
        if self.fault == Fault::Silent {
            std::future::pending::<()>().await;
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let mut headers = self.headers;
        if let Fault::Raw(_) = self.fault {
            let torn = stream::once(async { Err(std::io::Error::other("closed on purpose")) });
            return Response::new(StreamBody::new(torn).boxed_unsync());
        }
        let body = if self.fault == Fault::Torn {
            let promised = HeaderValue::from(self.body.len() + 100);
            headers.insert(http::header::CONTENT_LENGTH, promised);
            let pieces = stream::iter([Ok(Frame::data(self.body))]);
            let pause = stream::once(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err(std::io::Error::other("torn on purpose"))
            });
            StreamBody::new(pieces.chain(pause)).boxed_unsync()
        } else {
            Full::new(self.body)
                .map_err(|never| match never {})
                .boxed_unsync()
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = headers;
        response
    }
}
