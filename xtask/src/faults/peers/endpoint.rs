//! The testkit's token server and an upstream that asks it, each on a loopback port.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gatepass_testkit::TokenServer;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::super::world::CANARY;

/// Both servers; they end with it.
pub(super) struct Endpoint {
    pub(super) tokens: TokenServer,
    pub(super) token_address: SocketAddr,
    pub(super) model_address: SocketAddr,
    serving: [AbortHandle; 2],
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.iter().for_each(AbortHandle::abort);
    }
}

impl Endpoint {
    /// Tokens of so many seconds.
    pub(super) async fn start(lifetime: u64) -> Result<Self, String> {
        let tokens = TokenServer::in_memory()
            .client("id", CANARY)
            .expires_in(Duration::from_secs(lifetime))
            .answers_after(Duration::from_millis(50));
        let (token_address, token_task) = serve_tokens(tokens.clone()).await?;
        let (model_address, model_task) = serve_model(tokens.clone()).await?;
        Ok(Self {
            tokens,
            token_address,
            model_address,
            serving: [token_task, model_task],
        })
    }

    /// Whether the upstream takes this token.
    pub(super) fn takes(&self, token: &str) -> bool {
        takes(&self.tokens, token)
    }
}

/// A scripted reply's token is not known to the server, and is good.
fn takes(tokens: &TokenServer, token: &str) -> bool {
    token == "tok-scripted" || tokens.accepts(token)
}

async fn listen() -> Result<(TcpListener, SocketAddr), String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|cause| format!("no port: {cause}"))?;
    let address = listener.local_addr().map_err(|cause| cause.to_string())?;
    Ok((listener, address))
}

/// Joins each connection to one of the in-memory server, which can answer any bytes at all.
async fn serve_tokens(tokens: TokenServer) -> Result<(SocketAddr, AbortHandle), String> {
    let (listener, address) = listen().await?;
    let accepting = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let Some(mut pipe) = tokens.connect() else {
                return;
            };
            tokio::spawn(async move {
                let _over = tokio::io::copy_bidirectional(&mut socket, &mut pipe).await;
            });
        }
    });
    Ok((address, accepting.abort_handle()))
}

/// 200 for a good token, 401 otherwise; says by a header that it was the upstream who spoke.
async fn serve_model(tokens: TokenServer) -> Result<(SocketAddr, AbortHandle), String> {
    let (listener, address) = listen().await?;
    let accepting = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let tokens = tokens.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let good = bearer(request.headers()).is_some_and(|token| takes(&tokens, token));
                let mut response = Response::new(Full::new(Bytes::new()));
                if !good {
                    *response.status_mut() = StatusCode::UNAUTHORIZED;
                }
                let from = http::HeaderValue::from_static("upstream");
                response.headers_mut().insert("x-from", from);
                async move { Ok::<_, Infallible>(response) }
            });
            tokio::spawn(async move {
                let connection = hyper::server::conn::http1::Builder::new();
                let _over = connection
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
    Ok((address, accepting.abort_handle()))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    value.strip_prefix("Bearer ")
}
