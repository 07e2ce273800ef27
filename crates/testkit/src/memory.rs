//! A server without a socket: HTTP/1.1 over an in-memory pipe, byte by byte under our control, so
//! that tests in fake time can have any fault.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::reply::{Fault, Reply};

/// How much a pipe holds, in bytes.
const PIPE: usize = 64 * 1024;

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 1024 * 1024;

type Answer = dyn Fn(Request<Bytes>) -> Reply + Send + Sync;

/// Hands out connections to a handler.
#[derive(Clone)]
pub(crate) struct MemoryServer(Arc<Answer>);

impl std::fmt::Debug for MemoryServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryServer")
    }
}

impl MemoryServer {
    pub(crate) fn new(answer: impl Fn(Request<Bytes>) -> Reply + Send + Sync + 'static) -> Self {
        Self(Arc::new(answer))
    }

    /// The client's end of a new connection, which takes one request. Must be called within a tokio
    /// runtime.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(PIPE);
        let answer = Arc::clone(&self.0);
        tokio::spawn(async move {
            // A client that goes away is its own business.
            let _gone = serve(server, &*answer).await;
        });
        client
    }
}

async fn serve(mut pipe: DuplexStream, answer: &Answer) -> std::io::Result<()> {
    let Some(request) = read(&mut pipe).await? else {
        return Ok(());
    };
    let reply = answer(request);
    write(&mut pipe, reply).await
}

/// One request with a `Content-Length` body, or `None` if it is no such thing.
async fn read(pipe: &mut DuplexStream) -> std::io::Result<Option<Request<Bytes>>> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > MAX_REQUEST || pipe.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or("").split(' ');
    let (method, target) = (first.next().unwrap_or(""), first.next().unwrap_or("/"));
    let mut builder = Request::builder().method(method).uri(target);
    let mut length = 0;
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap_or(0);
        }
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name),
            HeaderValue::try_from(value.trim()),
        ) {
            builder = builder.header(name, value);
        }
    }
    while bytes.len() < end + length {
        if bytes.len() > MAX_REQUEST || pipe.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
    let body = Bytes::copy_from_slice(&bytes[end..end + length]);
    Ok(builder.body(body).ok())
}

async fn write(pipe: &mut DuplexStream, reply: Reply) -> std::io::Result<()> {
    if reply.fault == Fault::Silent {
        // Open and silent until the client goes away.
        let mut rest = [0; 64];
        while pipe.read(&mut rest).await? > 0 {}
        return Ok(());
    }
    tokio::time::sleep(reply.delay).await;
    if let Fault::Raw(pieces) = &reply.fault {
        for (pause, piece) in pieces.iter() {
            tokio::time::sleep(*pause).await;
            pipe.write_all(piece).await?;
        }
        return pipe.shutdown().await;
    }
    let mut head = format!("HTTP/1.1 {}\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.push_str(&format!(
            "{name}: {}\r\n",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    let promised = match reply.fault {
        Fault::Torn => reply.body.len() + 100,
        _ => reply.body.len(),
    };
    head.push_str(&format!(
        "content-length: {promised}\r\nconnection: close\r\n\r\n"
    ));
    pipe.write_all(head.as_bytes()).await?;
    pipe.write_all(&reply.body).await?;
    if reply.fault == Fault::Torn {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pipe.shutdown().await
}
