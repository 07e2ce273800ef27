//! Listeners and threads: each thread accepts, serves and calls upstreams by itself.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpSocket, UnixListener};
use tokio::runtime::LocalOptions;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use crate::access_log;
use crate::forward::{Ids, Newest, Worker};
use crate::guard::Here;
use crate::met::Met;
use crate::routes::{Books, Ledger, Local};
use crate::tick::{self, Deadline, StepTimer};
use crate::upstream::LocalExecutor;

const BACKLOG: u32 = 4096;
/// Request heads of more bytes are refused (431).
const MAX_HEAD: usize = 64 * 1024;
/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Where a listener is.
///
/// ```
/// use gatepass_gateway::Listen;
/// assert_eq!("unix:/run/gatepass.sock".parse(), Ok(Listen::Unix("/run/gatepass.sock".into())));
/// assert!("127.0.0.1:4780".parse::<Listen>().unwrap().is_private());
/// assert!(!"0.0.0.0:4780".parse::<Listen>().unwrap().is_private());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address and a port, 0 for a free one.
    Address(SocketAddr),
    /// A unix socket, for its owner alone.
    Unix(PathBuf),
}

impl Listen {
    /// Whether only this machine reaches it.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match self {
            Self::Address(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl std::str::FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let with_name = text
            .strip_prefix("localhost:")
            .map(|port| format!("127.0.0.1:{port}"));
        let address = with_name.as_deref().unwrap_or(text).parse();
        address.map(Self::Address).map_err(|_| {
            "is no place to listen: write HOST:PORT (an IP address) or unix:PATH".to_owned()
        })
    }
}

/// A bound listener that several threads accept from.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

impl Bound {
    /// Binds it; must be called within a runtime.
    pub(crate) fn new(listen: &Listen) -> Result<Self, String> {
        let why = |cause: io::Error| {
            format!(
                "cannot listen ({}): choose another address, or stop what listens there",
                cause.kind()
            )
        };
        match listen {
            Listen::Address(address) => tcp(*address).map(Self::Tcp).map_err(why),
            Listen::Unix(path) => unix(path)
                .map(|listener| Self::Unix(listener, path.clone()))
                .map_err(why),
        }
    }

    /// As a URL of this scheme, or `unix:PATH`.
    pub(crate) fn url(&self, scheme: &str) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| String::new(), |address| format!("{scheme}://{address}")),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener, path) => Ok(Self::Unix(listener.try_clone()?, path.clone())),
        }
    }

    pub(crate) fn accepting(self) -> io::Result<Accepting> {
        match self {
            Self::Tcp(listener) => TcpListener::from_std(listener).map(Accepting::Tcp),
            Self::Unix(listener, _) => UnixListener::from_std(listener).map(Accepting::Unix),
        }
    }
}

fn tcp(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// A socket for its owner alone, from the moment it can be seen.
fn unix(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    use std::os::unix::fs::PermissionsExt;
    // What a stopped gateway left behind answers to nobody; a live one is not taken over.
    if path.exists() {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    let hidden = path.with_extension(format!("{}.new", std::process::id()));
    let listener = std::os::unix::net::UnixListener::bind(&hidden)?;
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&hidden, path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A listener within a runtime.
pub(crate) enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection that was accepted.
pub(crate) enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

impl Accepting {
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Here)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let here = stream.local_addr()?;
                let here = Here::Address(here.ip(), here.port());
                Ok((Stream::Tcp(stream), here))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Here::Unix))
            }
        }
    }
}

/// What all threads have in common.
pub(crate) struct Common {
    pub(crate) newest: Arc<Newest>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) draining: watch::Receiver<bool>,
    pub(crate) quiet_timeout: Duration,
    pub(crate) log: std::sync::mpsc::SyncSender<String>,
}

/// Starts the threads.
pub(crate) fn start(
    bound: &Bound,
    threads: usize,
    common: impl Fn() -> Common,
) -> io::Result<Vec<JoinHandle<()>>> {
    let mut running = Vec::with_capacity(threads);
    for number in 0..threads {
        let (bound, common) = (bound.try_clone()?, common());
        let thread = std::thread::Builder::new().name(format!("gatepass-{number}"));
        running.push(thread.spawn(move || serve(bound, common))?);
    }
    Ok(running)
}

fn serve(bound: Bound, common: Common) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default());
    let Ok(runtime) = runtime else {
        tracing::error!("a thread got no runtime");
        return;
    };
    runtime.block_on(async move {
        match bound.accepting() {
            Ok(accepting) => accept(accepting, common).await,
            Err(cause) => tracing::error!(error = %cause.kind(), "a thread cannot accept"),
        }
        access_log::flush_log();
    });
}

async fn accept(accepting: Accepting, common: Common) {
    access_log::log_to(common.log.clone());
    tokio::task::spawn_local(tick::run());
    let snapshot = {
        let newest = common.newest.snapshot.lock();
        Arc::clone(&newest.unwrap_or_else(std::sync::PoisonError::into_inner))
    };
    let worker = Rc::new(Worker {
        newest: Arc::clone(&common.newest),
        local: RefCell::new(Rc::new(Local::new(snapshot, None))),
        books: Books::of(Arc::clone(&common.ledger)),
        ids: Ids::new(),
        draining: Cell::new(false),
    });
    tokio::task::spawn_local(sweep(Rc::downgrade(&worker)));
    let mut draining = common.draining.clone();
    let own = Rc::new(());
    loop {
        let accepted = tokio::select! {
            accepted = accepting.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => break,
        };
        match accepted {
            Ok((stream, here)) => {
                let met = Met::at(here, common.quiet_timeout, Rc::clone(&own));
                let connection = Connection {
                    worker: Rc::clone(&worker),
                    met: Rc::new(met),
                    _count: Counted::new(&common.connections),
                };
                let tls = worker.tls().map(TlsAcceptor::from);
                match (stream, tls) {
                    (Stream::Tcp(stream), None) => {
                        tokio::task::spawn_local(connection.serve(stream));
                    }
                    (Stream::Unix(stream), None) => {
                        tokio::task::spawn_local(connection.serve(stream));
                    }
                    (Stream::Tcp(stream), Some(tls)) => {
                        tokio::task::spawn_local(connection.encrypted(stream, tls));
                    }
                    (Stream::Unix(stream), Some(tls)) => {
                        tokio::task::spawn_local(connection.encrypted(stream, tls));
                    }
                }
            }
            // Out of descriptors, most often: those who are served go on, and give some back.
            Err(cause) => {
                tracing::warn!(error = %cause.kind(), "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(accepting);
    worker.draining.set(true);
    tick::wake_all();
    while Rc::strong_count(&own) > 1 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Once a second, for as long as the thread serves.
async fn sweep(worker: std::rc::Weak<Worker>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        seconds.tick().await;
        match worker.upgrade() {
            Some(worker) => worker.sweep(),
            None => return,
        }
    }
}

/// Counts a connection for as long as it is.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Connection {
    worker: Rc<Worker>,
    met: Rc<Met>,
    _count: Counted,
}

impl Connection {
    /// The same over TLS; whoever does not finish the handshake in time is let go of.
    async fn encrypted<I>(self, stream: I, tls: TlsAcceptor)
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let deadline = Deadline::new();
        deadline.set(HANDSHAKE);
        let shaken = tick::before(&deadline, std::pin::pin!(tls.accept(stream))).await;
        drop(deadline);
        match shaken {
            Some(Ok(stream)) => self.serve(stream).await,
            Some(Err(cause)) => tracing::debug!(error = %cause, "a caller did not agree on TLS"),
            None => tracing::debug!("a caller did not finish its TLS handshake"),
        }
    }

    async fn serve<I>(self, stream: I)
    where
        I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (met, stuck) = (Rc::clone(&self.met), Rc::clone(&self.met));
        let (worker, quiet) = (Rc::clone(&self.worker), met.quiet());
        let service = service_fn(move |request| {
            let mut answering = worker.begin(request, &met);
            async move { Ok::<_, std::convert::Infallible>(answering.answer().await) }
        });
        let mut builder = auto::Builder::new(LocalExecutor);
        // Quiet connections are ended below: hyper would set a timer for each head.
        builder
            .http1()
            .header_read_timeout(None)
            .max_buf_size(MAX_HEAD);
        builder
            .http2()
            .timer(StepTimer)
            .max_header_list_size(MAX_HEAD as u32);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut ending = false;
        // A caller that goes away, or talks nonsense, is its own business.
        poll_fn(|context| {
            if self.worker.draining.get() && !ending {
                ending = true;
                connection.as_mut().graceful_shutdown();
            }
            let over = connection.as_mut().poll(context).is_ready();
            if over || quiet.poll_too_long(context) || stuck.is_stuck() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}
