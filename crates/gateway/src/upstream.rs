//! Connections to upstreams: each worker thread keeps its own, for each distinct way to reach one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::body::RequestBody;
use crate::target::Target;
use crate::tick;

/// Idle connections kept for each target by each thread.
const IDLE_AT_MOST: usize = 256;
/// A connection that was idle for so long is not used again: load balancers forget idle ones after a
/// minute and more, some without a word.
const IDLE_FOR: Duration = Duration::from_secs(55);
/// Data that an upstream does not acknowledge for so long was sent into the void.
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// Why a request got no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// No connection: cause and fix.
    Unreachable(String),
    /// It broke after the request was on its way.
    Broke {
        /// On a kept connection: the upstream may have closed it before it saw the request.
        kept: bool,
    },
    /// The caller's own body broke.
    Body,
}

/// This thread's connections to one target.
pub(crate) struct Pool {
    target: Arc<Target>,
    /// The most recently used last, each with when it became idle.
    idle: RefCell<Vec<(http1::SendRequest<RequestBody>, Duration)>>,
    shared: RefCell<Option<Shared>>,
}

/// An HTTP/2 connection, which serves many requests at once.
struct Shared {
    sender: http2::SendRequest<RequestBody>,
    used: Duration,
}

enum Sender {
    Http1(http1::SendRequest<RequestBody>, Kept),
    Http2(http2::SendRequest<RequestBody>),
}

type Kept = bool;

/// A connection that an answer is still being read from; none over HTTP/2, which shares them.
pub(crate) struct Borrowed {
    sender: Option<http1::SendRequest<RequestBody>>,
    pool: Rc<Pool>,
}

impl Borrowed {
    /// The answer was read to its end: the connection serves the next request.
    pub(crate) fn give_back(&mut self) {
        let Some(sender) = self.sender.take().filter(|sender| !sender.is_closed()) else {
            return;
        };
        let mut idle = self.pool.idle.borrow_mut();
        if idle.len() < IDLE_AT_MOST {
            idle.push((sender, tick::since_start()));
        }
    }
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
        idle.retain(|(sender, since)| fresh(*since) && !sender.is_closed());
        let mut shared = self.shared.borrow_mut();
        // Requests under way hold senders of their own: their connection lives until they end.
        if shared.as_ref().is_some_and(|shared| !fresh(shared.used)) {
            *shared = None;
        }
    }

    /// Sends the request that is there; one that provably was not sent is sent again on another
    /// connection. It is lent, because a future has room for each value that is moved through it.
    pub(crate) async fn send(
        self: &Rc<Self>,
        request: &mut Option<Request<RequestBody>>,
    ) -> Result<(Response<Incoming>, Borrowed), NoAnswer> {
        loop {
            let sender = match self.take() {
                Some(sender) => sender,
                // Boxed: what is rare must not make every request's future large.
                None => Box::pin(self.connect()).await?,
            };
            let borrowed = |sender| Borrowed {
                sender,
                pool: Rc::clone(self),
            };
            match sender {
                Sender::Http1(mut sender, kept) => {
                    if kept && sender.ready().await.is_err() {
                        continue;
                    }
                    let Some(sent) = request.take() else {
                        return Err(NoAnswer::Broke { kept });
                    };
                    match sender.try_send_request(sent).await {
                        Ok(response) => return Ok((response, borrowed(Some(sender)))),
                        Err(mut error) => match error.take_message() {
                            Some(unsent) if kept => *request = Some(unsent),
                            _ => return Err(no_answer(error.error(), kept)),
                        },
                    }
                }
                Sender::Http2(mut sender) => {
                    let Some(mut sent) = request.take() else {
                        return Err(NoAnswer::Broke { kept: true });
                    };
                    *sent.version_mut() = http::Version::HTTP_2;
                    self.absolute(&mut sent);
                    match sender.try_send_request(sent).await {
                        Ok(response) => return Ok((response, borrowed(None))),
                        Err(mut error) => {
                            if sender.is_closed() {
                                self.shared.borrow_mut().take();
                            }
                            match error.take_message() {
                                Some(unsent) => *request = Some(self.origin_form(unsent)),
                                None => return Err(no_answer(error.error(), true)),
                            }
                        }
                    }
                }
            }
        }
    }

    /// HTTP/2 says scheme and authority in the request line's stead.
    fn absolute(&self, request: &mut Request<RequestBody>) {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = self.target.url.scheme().cloned();
        parts.authority = self.target.url.authority().cloned();
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        request.headers_mut().remove(http::header::HOST);
    }

    /// Undoes that, for a connection that may speak HTTP/1.1.
    fn origin_form(&self, mut request: Request<RequestBody>) -> Request<RequestBody> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        if let Some(host) = parts.authority.take()
            && let Ok(host) = HeaderValue::try_from(host.as_str())
        {
            request.headers_mut().insert(http::header::HOST, host);
        }
        parts.scheme = None;
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        *request.version_mut() = http::Version::HTTP_11;
        request
    }

    fn take(&self) -> Option<Sender> {
        if let Some(shared) = self.shared.borrow_mut().as_mut()
            && !shared.sender.is_closed()
        {
            shared.used = tick::since_start();
            return Some(Sender::Http2(shared.sender.clone()));
        }
        let mut idle = self.idle.borrow_mut();
        while let Some((sender, _)) = idle.pop() {
            if !sender.is_closed() {
                return Some(Sender::Http1(sender, true));
            }
        }
        None
    }

    async fn connect(self: &Rc<Self>) -> Result<Sender, NoAnswer> {
        let limit = self.target.connect_timeout;
        match tokio::time::timeout(limit, self.open()).await {
            Ok(result) => result.map_err(NoAnswer::Unreachable),
            Err(_) => Err(NoAnswer::Unreachable(
                "no connection came about in time: check host, network and proxy, or raise connect_timeout"
                    .to_owned(),
            )),
        }
    }

    async fn open(self: &Rc<Self>) -> Result<Sender, String> {
        let target = &self.target;
        let stream = stream(target).await?;
        let (Some(tls), Some(name)) = (&target.tls, &target.server_name) else {
            return http1(stream).await;
        };
        let connector = TlsConnector::from(Arc::clone(tls));
        let stream = connector.connect(name.clone(), stream).await;
        let stream = stream.map_err(|cause| told(&cause))?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return http1(stream).await;
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
        Ok(Sender::Http2(sender))
    }
}

async fn http1<I>(stream: I) -> Result<Sender, String>
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = handshake.map_err(|cause| told(&cause))?;
    tokio::task::spawn_local(connection.with_upgrades());
    Ok(Sender::Http1(sender, false))
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

fn no_answer(error: &hyper::Error, kept: bool) -> NoAnswer {
    if error.is_user() {
        NoAnswer::Body
    } else {
        NoAnswer::Broke { kept }
    }
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
