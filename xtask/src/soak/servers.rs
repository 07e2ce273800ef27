//! A token server and a model, each a process that can be killed. Tokens tell their own end, so that
//! nothing has to outlive a restart.

use std::convert::Infallible;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Long enough that a token outlives every outage of its server, short enough to be renewed often.
const LIFETIME: Duration = Duration::from_secs(20);
const PIECE: usize = 64 * 1024;

/// One of them, which may run or not.
pub(super) struct Server {
    kind: &'static str,
    pub(super) port: u16,
    process: Option<Child>,
}

impl Server {
    /// With a port of its own, not running yet.
    pub(super) fn new(kind: &'static str) -> Result<Self, String> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0));
        let address = listener.and_then(|listener| listener.local_addr());
        Ok(Self {
            kind,
            port: address.map_err(|cause| format!("no port: {cause}"))?.port(),
            process: None,
        })
    }

    /// Runs when this returns.
    pub(super) async fn start(&mut self) -> Result<(), String> {
        let own = std::env::current_exe().map_err(|cause| format!("no program: {cause}"))?;
        let process = Command::new(own)
            .args(["soak-server", self.kind, &self.port.to_string()])
            .stdin(Stdio::null())
            .spawn()
            .map_err(|cause| format!("the {} server does not start: {cause}", self.kind))?;
        self.process = Some(process);
        for _ in 0..1000 {
            if TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(format!("the {} server does not listen", self.kind))
    }

    /// Killed, with whatever it was doing.
    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ended = process.kill();
            let _ended = process.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs as the process behind a [`Server`], until it is killed.
pub(crate) fn serve(kind: &str, port: &str) -> Result<(), String> {
    let port: u16 = port.parse().map_err(|_| "no port".to_owned())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| format!("no runtime: {cause}"))?;
    let tokens = kind == "tokens";
    runtime.block_on(async move {
        let listener = listen(port).map_err(|cause| format!("port {port}: {cause}"))?;
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _small = stream.set_nodelay(true);
            tokio::spawn(async move {
                let service = service_fn(move |request| async move {
                    let answer = if tokens {
                        token()
                    } else {
                        model(request).await
                    };
                    Ok::<_, Infallible>(answer)
                });
                let io = TokioIo::new(stream);
                let _over = http1::Builder::new().serve_connection(io, service).await;
            });
        }
    })
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    // Connections of the process before may still be in their last moments.
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    socket.listen(4096)
}

type Answer = Response<BoxBody<Bytes, Infallible>>;

fn now() -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap_or_default()
}

fn token() -> Answer {
    let end = (now() + LIFETIME).as_millis();
    let seconds = LIFETIME.as_secs();
    small(
        StatusCode::OK,
        format!(
            "{{\"access_token\":\"tok-{end}\",\"token_type\":\"Bearer\",\"expires_in\":{seconds}}}"
        ),
    )
}

async fn model(request: Request<Incoming>) -> Answer {
    let token = request.headers().get(http::header::AUTHORIZATION);
    let token = token.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer tok-"));
    let end = token.and_then(|end| end.parse::<u128>().ok());
    if end.is_none_or(|end| end <= now().as_millis()) {
        return small(StatusCode::UNAUTHORIZED, "{}".to_owned());
    }
    if request.method() == Method::POST {
        let mut body = request.into_body();
        let mut length = 0;
        while let Some(Ok(frame)) = body.frame().await {
            length += frame.data_ref().map_or(0, Bytes::len);
        }
        return small(StatusCode::OK, length.to_string());
    }
    let bytes = request.uri().path().rsplit_once("/bytes/");
    match bytes.and_then(|(_, bytes)| bytes.parse().ok()) {
        Some(left) => Response::new(Zeros { left }.boxed()),
        None => small(StatusCode::OK, "{\"ok\":true}".to_owned()),
    }
}

fn small(status: StatusCode, text: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed());
    *response.status_mut() = status;
    response
}

/// So many bytes, made as they are read.
pub(super) struct Zeros {
    pub(super) left: u64,
}

impl Body for Zeros {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static PIECES: [u8; PIECE] = [0; PIECE];
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = usize::try_from(self.left).map_or(PIECE, |left| left.min(PIECE));
        self.left -= piece as u64;
        let piece = Bytes::from_static(&PIECES[..piece]);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
