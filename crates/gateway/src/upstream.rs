//! Connections to upstreams: each worker thread keeps its own, for each distinct way to reach one.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::body::{BrokenBody, RequestBody};
use crate::outgoing::Outgoing;
use crate::strip;
use crate::target::Target;
use crate::tick;
use crate::wire::{Connection, Failed, Io};

/// Idle connections kept for each target by each thread.
const IDLE_AT_MOST: usize = 256;
/// A connection that was idle for so long is not used again: load balancers forget idle ones after a
/// minute and more, some without a word.
const IDLE_FOR: Duration = Duration::from_secs(55);
/// Connections that turn out to be closed before a request was sent.
const UNSENT_AT_MOST: usize = 3;
/// Data that an upstream does not acknowledge for so long was sent into the void.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// No connection: cause and fix.
    Unreachable(String),
    /// The connection broke.
    Broke {
        /// It had served before: the upstream may have closed it before it saw the request.
        kept: bool,
        /// Whether any of the request went out.
        sent: bool,
    },
    /// What came is no answer: what is wrong with it.
    Malformed(&'static str),
    /// The caller's own body broke.
    Body,
}

impl NoAnswer {
    fn of(failed: Failed, kept: bool) -> Self {
        match failed {
            Failed::Broke { sent } => Self::Broke { kept, sent },
            Failed::Malformed(what) => Self::Malformed(what),
            Failed::Body => Self::Body,
        }
    }
}

/// Which connections a request may go by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// A new one.
    pub(crate) fresh: bool,
    /// One that can go over to another protocol.
    pub(crate) http1: bool,
}

/// This thread's connections to one target.
pub(crate) struct Pool {
    target: Arc<Target>,
    /// The most recently used last, each with when it became idle.
    idle: RefCell<Vec<(Box<Connection>, Duration)>>,
    shared: RefCell<Option<Shared>>,
}

/// An HTTP/2 connection, which serves many requests at once.
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    used: Duration,
}

/// The body of an answer, on the connection that it comes by.
pub(crate) enum Answer {
    /// None once the connection was given back.
    Http1(Option<Box<Connection>>, Rc<Pool>),
    Http2(Incoming),
}

impl Answer {
    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        match self {
            Self::Http1(Some(connection), _) => connection.poll_frame(context),
            Self::Http1(None, _) => Poll::Ready(None),
            Self::Http2(incoming) => {
                let frame = ready!(Pin::new(incoming).poll_frame(context));
                let frame = frame.map(|frame| frame.map(|frame| strip::trailers(frame, None)));
                Poll::Ready(frame.map(|frame| frame.map_err(|_| BrokenBody::Torn)))
            }
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(connection, _) => connection
                .as_ref()
                .is_none_or(|connection| connection.is_end_stream()),
            Self::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(Some(connection), _) => connection.size_hint(),
            Self::Http1(None, _) => SizeHint::with_exact(0),
            Self::Http2(incoming) => incoming.size_hint(),
        }
    }

    /// It was read to its end: the connection serves the next request. Whoever answered before it had
    /// read the whole request gets no other one.
    pub(crate) fn give_back(&mut self) {
        let Self::Http1(connection, pool) = self else {
            return;
        };
        let ended = connection
            .take()
            .filter(|connection| connection.has_ended());
        let mut idle = pool.idle.borrow_mut();
        if let Some(connection) = ended
            && idle.len() < IDLE_AT_MOST
        {
            idle.push((connection, tick::since_start()));
        }
    }

    /// The stream, and what was read of it, after the answer that switched protocols.
    pub(crate) fn switched(&mut self) -> Option<(Io, Bytes)> {
        match self {
            Self::Http1(connection, _) => Some(connection.take()?.into_parts()),
            Self::Http2(_) => None,
        }
    }
}

enum Opened {
    Http1(Box<Connection>),
    Http2(http2::SendRequest<RequestBody>),
}

impl Pool {
    pub(crate) fn new(target: Arc<Target>) -> Rc<Self> {
        Rc::new(Self {
            target,
            idle: RefCell::default(),
            shared: RefCell::default(),
        })
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// Lets go of connections that the upstream closed, or that nobody used for a while.
    pub(crate) fn sweep(&self) {
        let now = tick::since_start();
        let fresh = |since: Duration| now.saturating_sub(since) < IDLE_FOR;
        let mut idle = self.idle.borrow_mut();
        idle.retain_mut(|(connection, since)| fresh(*since) && connection.is_settled());
        let mut shared = self.shared.borrow_mut();
        // Requests under way hold senders of their own: their connection lives until they end.
        if shared.as_ref().is_some_and(|shared| !fresh(shared.used)) {
            *shared = None;
        }
    }

    /// Sends the request with this body, which is taken. What is lent here is lent because a future has
    /// room for each value that is moved through it.
    pub(crate) async fn send(
        self: &Rc<Self>,
        request: &Outgoing,
        body: &mut RequestBody,
        how: How,
    ) -> Result<(Response<()>, Answer), NoAnswer> {
        let kept = self.take(how);
        let was_kept = kept.is_some();
        let opened = match kept {
            Some(kept) => kept,
            // Boxed: what is rare must not make every request's future large.
            None => Box::pin(self.connect(how)).await?,
        };
        match opened {
            Opened::Http1(mut connection) => {
                let body = std::mem::replace(body, RequestBody::Empty);
                match connection.send(request, body).await {
                    Ok(response) => {
                        let answer = Answer::Http1(Some(connection), Rc::clone(self));
                        Ok((response, answer))
                    }
                    Err(failed) => {
                        connection.let_go();
                        Err(NoAnswer::of(failed, was_kept))
                    }
                }
            }
            Opened::Http2(sender) => Box::pin(self.send_http2(sender, request, body)).await,
        }
    }

    /// One that provably was not sent is sent again on another connection, but not for ever.
    async fn send_http2(
        self: &Rc<Self>,
        mut sender: http2::SendRequest<RequestBody>,
        request: &Outgoing,
        body: &mut RequestBody,
    ) -> Result<(Response<()>, Answer), NoAnswer> {
        let mut next = std::mem::replace(body, RequestBody::Empty);
        for _ in 0..UNSENT_AT_MOST {
            let sent = request.request(&self.target.url, next);
            let mut error = match sender.try_send_request(sent).await {
                Ok(response) => {
                    let (mut parts, incoming) = response.into_parts();
                    // Callers get their own version, and nothing of the connection.
                    parts.version = http::Version::HTTP_11;
                    parts.extensions = http::Extensions::new();
                    return Ok((Response::from_parts(parts, ()), Answer::Http2(incoming)));
                }
                Err(error) => error,
            };
            if sender.is_closed() {
                self.shared.borrow_mut().take();
            }
            let Some(unsent) = error.take_message() else {
                let sent = Failed::Broke { sent: true };
                let body = error.error().is_user();
                return Err(NoAnswer::of(if body { Failed::Body } else { sent }, true));
            };
            next = unsent.into_body();
            let how = How {
                fresh: true,
                http1: false,
            };
            match self.connect(how).await? {
                Opened::Http2(other) => sender = other,
                Opened::Http1(mut connection) => {
                    let answered = connection.send(request, next).await;
                    let answer = Answer::Http1(Some(connection), Rc::clone(self));
                    let answered = answered.map(|response| (response, answer));
                    return answered.map_err(|failed| NoAnswer::of(failed, false));
                }
            }
        }
        let (kept, sent) = (false, false);
        Err(NoAnswer::Broke { kept, sent })
    }

    fn take(&self, how: How) -> Option<Opened> {
        if how.fresh {
            return None;
        }
        if let Some(shared) = self.shared.borrow_mut().as_mut()
            && !shared.sender.is_closed()
            && !how.http1
        {
            shared.used = tick::since_start();
            return Some(Opened::Http2(shared.sender.clone()));
        }
        let mut idle = self.idle.borrow_mut();
        while let Some((mut connection, _)) = idle.pop() {
            if connection.is_settled() {
                return Some(Opened::Http1(connection));
            }
        }
        None
    }

    async fn connect(self: &Rc<Self>, how: How) -> Result<Opened, NoAnswer> {
        let limit = self.target.connect_timeout;
        match tokio::time::timeout(limit, self.open(how)).await {
            Ok(result) => result.map_err(NoAnswer::Unreachable),
            Err(_) => Err(NoAnswer::Unreachable(
                "no connection came about in time: check host, network and proxy, or raise connect_timeout"
                    .to_owned(),
            )),
        }
    }

    async fn open(self: &Rc<Self>, how: How) -> Result<Opened, String> {
        let target = &self.target;
        let stream = stream(target).await?;
        let Some((name, tls)) = &target.tls else {
            return Ok(Opened::Http1(Connection::over(Io::Plain(stream))));
        };
        let mut tls = Arc::clone(tls);
        if how.http1 {
            Arc::make_mut(&mut tls).alpn_protocols = vec![b"http/1.1".to_vec()];
        }
        let connector = TlsConnector::from(tls);
        let stream = connector.connect(name.clone(), stream).await;
        let stream = stream.map_err(|cause| told(&cause))?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            let io = Io::Encrypted(Box::new(stream));
            return Ok(Opened::Http1(Connection::over(io)));
        }
        let handshake = http2::Builder::new(LocalExecutor)
            .adaptive_window(true)
            .handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|cause| told(&cause))?;
        tokio::task::spawn_local(connection);
        *self.shared.borrow_mut() = Some(Shared {
            sender: sender.clone(),
            used: tick::since_start(),
        });
        Ok(Opened::Http2(sender))
    }
}

/// A TCP connection, through the proxy's tunnel where there is one.
async fn stream(target: &Target) -> Result<TcpStream, String> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.enforce_http(false);
    connector.set_connect_timeout(Some(target.connect_timeout));
    connector.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    let stream = match &target.proxy {
        Some(proxy) => {
            let mut tunnel = Tunnel::new(proxy.url.clone(), connector);
            if let Some(authorization) = &proxy.authorization {
                tunnel = tunnel.with_auth(authorization.clone());
            }
            let stream = tunnel.call(target.url.clone()).await;
            stream.map_err(|cause| told(&cause))?
        }
        None => {
            let stream = connector.call(target.url.clone()).await;
            stream.map_err(|cause| told(&cause))?
        }
    };
    Ok(stream.into_inner())
}

/// Cause and fix of an error on the way to an upstream; no URL, no header.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let trouble = gatepass_transport::Trouble::of_any(error);
    format!("{}: {}", trouble.cause, trouble.fix)
}

/// Runs what hyper spawns on this thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future<Output: 'static> + 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
