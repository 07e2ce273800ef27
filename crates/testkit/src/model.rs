//! A protected model: answers whoever brings the credential.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request};

use crate::reply::Reply;
use crate::server::Server;
use crate::token_server::TokenServer;

/// What a model wants before it answers.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use gatepass_testkit::{Access, Model};
/// let model = Model::start(Access::Header("api-key".into(), "abcd1234".into())).await?;
/// # drop(model);
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Access {
    /// Nothing.
    Open,
    /// This header with exactly this value.
    Header(String, String),
    /// A bearer token that this server handed out and that has not expired.
    Token(TokenServer),
}

/// A request as it arrived.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use gatepass_testkit::{Access, Model};
/// let model = Model::start(Access::Open).await?;
/// // ... calls ...
/// let bodies: Vec<_> = model.seen().into_iter().map(|seen| seen.body).collect();
/// assert!(bodies.is_empty());
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Seen {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A model that answers `{"prediction":..}` to whoever may call it, and 401 to everybody else;
/// clones are the same server.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use gatepass_testkit::{Access, Model, Reply};
/// let model = Model::start(Access::Open).await?;
/// model.next(Reply::status(429).header("retry-after", "1"));
/// assert!(model.url("/v1").ends_with("/v1"));
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct Model {
    state: Arc<Mutex<State>>,
    server: Arc<Server>,
}

#[derive(Debug)]
struct State {
    access: Access,
    script: VecDeque<Reply>,
    seen: Vec<Seen>,
}

impl Model {
    /// Starts one.
    ///
    /// # Errors
    /// When no port is to be had.
    pub async fn start(access: Access) -> io::Result<Self> {
        let state = State {
            access,
            script: VecDeque::new(),
            seen: Vec::new(),
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let reply = answer(&mut lock(&shared), request);
            reply.play()
        });
        Ok(Self {
            state,
            server: Arc::new(server.await?),
        })
    }

    /// Its URL with this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        self.server.url(path)
    }

    /// Answers the next request like this, whatever it brings; several calls line up.
    pub fn next(&self, reply: Reply) {
        lock(&self.state).script.push_back(reply);
    }

    /// The requests that came, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state).seen.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(state: &mut State, request: Request<Bytes>) -> Reply {
    let (parts, body) = request.into_parts();
    let bytes = body.len();
    let target = parts
        .uri
        .path_and_query()
        .map(ToString::to_string)
        .unwrap_or_default();
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .map(|value| value.as_bytes().to_vec())
    };
    let welcome = match &state.access {
        Access::Open => true,
        Access::Header(name, value) => header(name).is_some_and(|got| got == value.as_bytes()),
        Access::Token(server) => header(AUTHORIZATION.as_str())
            .and_then(|got| String::from_utf8(got).ok())
            .and_then(|got| {
                got.strip_prefix("Bearer ")
                    .map(|token| server.accepts(token))
            })
            .unwrap_or(false),
    };
    let (method, headers) = (parts.method, parts.headers);
    state.seen.push(Seen {
        method,
        target,
        headers,
        body,
    });
    if let Some(reply) = state.script.pop_front() {
        return reply;
    }
    if welcome {
        return Reply::json(format!("{{\"prediction\":0.87,\"bytes\":{bytes}}}"));
    }
    Reply::status(401)
        .header("www-authenticate", "Bearer error=\"invalid_token\"")
        .header("content-type", "application/json")
        .body("{\"error\":\"unauthorized\"}")
}
