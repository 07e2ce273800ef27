//! The answer, with a timer between its pieces.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use crate::caller::Caller;
use crate::error::{Error, ErrorKind};

/// The answer of a deployment.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// # let model = gatepass_testkit::Model::start(gatepass_testkit::Access::Open).await.unwrap();
/// let churn = gatepass_client::bearer("abc").url(&model.url("/v1")).build()?;
/// let response = churn.get("").send().await?.error_for_status()?;
/// assert_eq!(response.headers()["content-type"], "application/json");
/// assert!(response.text().await?.contains("prediction"));
/// # Ok::<(), gatepass_client::Error>(()) }).unwrap();
/// ```
pub struct Response {
    inner: reqwest::Response,
    /// Pieces of the body that were looked at already.
    seen: VecDeque<Bytes>,
    caller: Caller,
    idle: Duration,
    deadline: Option<Instant>,
}

/// Without the URL, which may carry keys.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("deployment", &self.caller.name())
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Response {
    pub(crate) fn new(
        inner: reqwest::Response,
        seen: Vec<Bytes>,
        caller: Caller,
        idle: Duration,
        deadline: Option<Instant>,
    ) -> Self {
        Self {
            inner,
            seen: seen.into(),
            caller,
            idle,
            deadline,
        }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// The protocol version.
    #[must_use]
    pub fn version(&self) -> http::Version {
        self.inner.version()
    }

    /// The same, or an error for a status of 400 and above.
    ///
    /// # Errors
    /// Names the status.
    pub fn error_for_status(self) -> Result<Self, Error> {
        let status = self.status();
        if status.is_client_error() || status.is_server_error() {
            let what = format!("answered {status}");
            return Err(Error::new(ErrorKind::Status, self.caller.name(), what));
        }
        Ok(self)
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// When the connection breaks, or nothing comes within `idle_timeout` or the whole limit.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(piece) = self.seen.pop_front() {
            return Ok(Some(piece));
        }
        let idle = Instant::now().checked_add(self.idle);
        let limit = match (idle, self.deadline) {
            (Some(idle), Some(deadline)) => Some(idle.min(deadline)),
            (one, other) => one.or(other),
        };
        let next = self.inner.chunk();
        let result = match limit {
            Some(limit) => timeout_at(limit, next).await.map_err(|_| {
                let what = "the answer stopped midway: raise idle_timeout or total_timeout if it pauses longer";
                Error::new(ErrorKind::Timeout, self.caller.name(), what)
            })?,
            None => next.await,
        };
        result.map_err(|error| {
            let origin = self.caller.deployment().origin().to_string();
            Error::of_reqwest(&error, self.caller.name(), &origin)
        })
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Response::chunk`].
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let Some(first) = self.chunk().await? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.chunk().await? else {
            return Ok(first);
        };
        let mut all = Vec::with_capacity(first.len() + second.len());
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(next) = self.chunk().await? {
            all.extend_from_slice(&next);
        }
        Ok(all.into())
    }

    /// The whole body as text; invalid UTF-8 is replaced.
    ///
    /// # Errors
    /// As [`Response::chunk`].
    pub async fn text(self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes().await?).into_owned())
    }

    /// The whole body, from JSON.
    ///
    /// # Errors
    /// As [`Response::chunk`], and when the body is not of that shape.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let name = self.caller.name().to_owned();
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|cause| {
            let place = format!("line {}, column {}", cause.line(), cause.column());
            Error::new(
                ErrorKind::Decode,
                &name,
                format!("the answer is not the JSON that was asked for ({place})"),
            )
        })
    }

    /// The body piece by piece, as it comes.
    pub fn bytes_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        let pieces = futures_util::stream::unfold(Some(self), |state| async move {
            let mut response = state?;
            match response.chunk().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(response))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Pieces(Box::pin(pieces))
    }
}

/// A named stream, so that it is `Unpin` for its users.
struct Pieces<S>(Pin<Box<S>>);

impl<S: Stream> Stream for Pieces<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<S::Item>> {
        self.0.as_mut().poll_next(context)
    }
}
