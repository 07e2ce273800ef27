//! Calls through the gateway, each connection used as the caller means it.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::gateway::{Gateway, KEY};
use super::servers::Zeros;

type Sent = BoxBody<Bytes, Infallible>;

/// A connection of a caller.
pub(super) struct Caller(SendRequest<Sent>);

impl Caller {
    pub(super) async fn to(port: u16) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await;
        let stream = stream.map_err(|cause| format!("not connected: {cause}"))?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(|cause| format!("not connected: {cause}"))?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a request; the status and how many bytes the answer had.
    pub(super) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Sent,
    ) -> Result<(StatusCode, u64, Vec<u8>), String> {
        let broke = |cause: hyper::Error| format!("{path}: {cause}");
        self.0.ready().await.map_err(broke)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("x-api-key", KEY)
            .body(body)
            .map_err(|cause| cause.to_string())?;
        let answer = self.0.send_request(request).await.map_err(broke)?;
        let status = answer.status();
        let mut body = answer.into_body();
        let (mut length, mut beginning) = (0, Vec::new());
        while let Some(frame) = body.frame().await {
            if let Ok(piece) = frame.map_err(broke)?.into_data() {
                length += piece.len() as u64;
                if beginning.len() < 64 * 1024 {
                    beginning.extend_from_slice(&piece);
                }
            }
        }
        Ok((status, length, beginning))
    }
}

pub(super) fn nothing() -> Sent {
    Empty::new().boxed()
}

pub(super) fn some(bytes: usize) -> Sent {
    Full::new(Bytes::from(vec![b'x'; bytes])).boxed()
}

/// A connection that says nothing.
pub(super) async fn connect(gateway: &Gateway) -> Result<TcpStream, String> {
    let stream = TcpStream::connect(("127.0.0.1", gateway.port)).await;
    stream.map_err(|cause| format!("not connected: {cause}"))
}

/// What a GET of a port of this machine answers with.
pub(super) async fn text(port: u16, path: &str) -> Result<String, String> {
    let mut caller = Caller::to(port).await?;
    let (status, _, beginning) = caller.call(Method::GET, path, nothing()).await?;
    if !status.is_success() {
        return Err(format!("{path}: {status}"));
    }
    Ok(String::from_utf8_lossy(&beginning).into_owned())
}

/// So many connections at once, so many calls over each; all of them are served.
pub(super) async fn many(
    gateway: &Gateway,
    connections: usize,
    calls: usize,
) -> Result<(), String> {
    let mut all = JoinSet::new();
    for _ in 0..connections {
        let port = gateway.port;
        all.spawn(async move {
            let mut caller = Caller::to(port).await?;
            for number in 0..calls {
                let (method, body) = match number % 2 {
                    0 => (Method::GET, nothing()),
                    _ => (Method::POST, some(4096)),
                };
                let (status, ..) = caller.call(method, "/m/call", body).await?;
                if status != StatusCode::OK {
                    return Err(format!("a call was answered with {status}"));
                }
            }
            Ok(())
        });
    }
    while let Some(one) = all.join_next().await {
        one.map_err(|cause| cause.to_string())??;
    }
    Ok(())
}

/// How many bytes of a long answer arrived.
pub(super) async fn download(gateway: &Gateway, bytes: u64) -> Result<u64, String> {
    let mut caller = Caller::to(gateway.port).await?;
    let path = format!("/m/bytes/{bytes}");
    let (_, length, _) = caller.call(Method::GET, &path, nothing()).await?;
    Ok(length)
}

/// How many bytes of a long request arrived.
pub(super) async fn upload(gateway: &Gateway, bytes: u64) -> Result<u64, String> {
    let mut caller = Caller::to(gateway.port).await?;
    let body = Zeros { left: bytes }.boxed();
    let (_, _, text) = caller.call(Method::POST, "/m/take", body).await?;
    let text = String::from_utf8_lossy(&text);
    text.parse().map_err(|_| format!("it took {text}"))
}

/// Callers that ask for much and read nothing, and callers that send a body byte by byte.
pub(super) async fn slow(gateway: &Gateway, each: usize) -> Result<Vec<TcpStream>, String> {
    let mut all = Vec::with_capacity(2 * each);
    let host = format!("host: localhost\r\nx-api-key: {KEY}\r\n");
    for _ in 0..each {
        let mut reader = connect(gateway).await?;
        let ask = format!("GET /m/bytes/67108864 HTTP/1.1\r\n{host}\r\n");
        let mut writer = connect(gateway).await?;
        let begin = format!("POST /m/take HTTP/1.1\r\n{host}content-length: 1000\r\n\r\n");
        for (stream, head) in [(&mut reader, ask), (&mut writer, begin)] {
            stream
                .write_all(head.as_bytes())
                .await
                .map_err(|cause| format!("not sent: {cause}"))?;
        }
        all.extend([reader, writer]);
    }
    for _ in 0..20 {
        for writer in all.iter_mut().skip(1).step_by(2) {
            let sent = writer.write_all(b"x").await;
            sent.map_err(|cause| format!("a slow writer was cut off: {cause}"))?;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(all)
}
