//! A token endpoint (RFC 6749 s3.2) that truly checks its client.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gatepass_core::{Clock, Now, SystemClock};
use http::Request;
use http::header::AUTHORIZATION;
use tokio::io::DuplexStream;

use crate::memory::MemoryServer;
use crate::reply::Reply;
use crate::server::Server;

/// A token endpoint that hands out tokens to one client; clones are the same server.
///
/// ```
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
/// # runtime.block_on(async {
/// use std::time::Duration;
/// use gatepass_testkit::{Reply, TokenServer};
/// let tokens = TokenServer::start().await?.client("id", "s3cr3t").expires_in(Duration::from_secs(5));
/// tokens.next(Reply::status(503));
/// assert_eq!(tokens.requests(), 0);
/// # Ok::<(), std::io::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct TokenServer {
    state: Arc<State>,
    place: Place,
}

/// Where it is reached.
#[derive(Clone, Debug)]
enum Place {
    Socket(Arc<Server>),
    Memory(MemoryServer),
}

#[derive(Debug)]
struct State {
    requests: AtomicUsize,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    client: (String, String),
    lifetime: Duration,
    delay: Duration,
    script: VecDeque<Reply>,
    forever: Option<Reply>,
    tokens: HashMap<String, Now>,
    clock: Arc<dyn Clock>,
    bodies: Vec<String>,
}

impl TokenServer {
    /// Starts one for the client `client` with the secret `secret` and tokens of an hour.
    ///
    /// # Errors
    /// When no port is to be had.
    pub async fn start() -> io::Result<Self> {
        let state = State::new();
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| {
            let state = Arc::clone(&shared);
            async move { state.answer(&request).play().await }
        });
        let place = Place::Socket(Arc::new(server.await?));
        Ok(Self { state, place })
    }

    /// One without a socket, for tests in fake time: its connections come from
    /// [`TokenServer::connect`].
    ///
    /// ```
    /// let tokens = gatepass_testkit::TokenServer::in_memory();
    /// assert_eq!(tokens.url(), "http://localhost/token");
    /// ```
    #[must_use]
    pub fn in_memory() -> Self {
        let state = State::new();
        let shared = Arc::clone(&state);
        let server = MemoryServer::new(move |request| shared.answer(&request));
        Self {
            state,
            place: Place::Memory(server),
        }
    }

    /// The client's end of a new connection that takes one HTTP/1.1 request; `None` where the server
    /// is reached by its URL.
    #[must_use]
    pub fn connect(&self) -> Option<DuplexStream> {
        match &self.place {
            Place::Memory(server) => Some(server.connect()),
            Place::Socket(_) => None,
        }
    }

    /// The same with tokens of this lifetime; whole seconds are what it states.
    #[must_use]
    pub fn expires_in(self, lifetime: Duration) -> Self {
        self.state.lock().lifetime = lifetime;
        self
    }

    /// The same by this clock: give it to what is tested as well, and a token expires at a word.
    #[must_use]
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        self.state.lock().clock = clock;
        self
    }

    /// The same for this client.
    #[must_use]
    pub fn client(self, id: &str, secret: &str) -> Self {
        self.state.lock().client = (id.to_owned(), secret.to_owned());
        self
    }

    /// The same, taking this long for each answer.
    #[must_use]
    pub fn answers_after(self, delay: Duration) -> Self {
        self.state.lock().delay = delay;
        self
    }

    /// Answers the next request like this; several calls line up.
    pub fn next(&self, reply: Reply) {
        self.state.lock().script.push_back(reply);
    }

    /// Answers every request like this until [`TokenServer::heal`].
    pub fn always(&self, reply: Reply) {
        self.state.lock().forever = Some(reply);
    }

    /// Forgets all scripted answers.
    pub fn heal(&self) {
        let mut inner = self.state.lock();
        inner.script.clear();
        inner.forever = None;
    }

    /// Where tokens are handed out.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.place {
            Place::Socket(server) => server.url("/token"),
            Place::Memory(_) => "http://localhost/token".to_owned(),
        }
    }

    /// How many token requests came.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// The bodies of the token requests, in order.
    #[must_use]
    pub fn bodies(&self) -> Vec<String> {
        self.state.lock().bodies.clone()
    }

    /// Whether this token was handed out here and has not expired.
    #[must_use]
    pub fn accepts(&self, token: &str) -> bool {
        let inner = self.state.lock();
        let until = inner.tokens.get(token);
        until.is_some_and(|until| !inner.clock.now().reached(*until))
    }

    /// Makes every token that was handed out so far invalid at once, without waiting.
    pub fn revoke_all(&self) {
        self.state.lock().tokens.clear();
    }
}

impl State {
    fn new() -> Arc<Self> {
        let inner = Inner {
            client: ("client".into(), "secret".into()),
            lifetime: Duration::from_secs(3600),
            delay: Duration::ZERO,
            script: VecDeque::new(),
            forever: None,
            tokens: HashMap::new(),
            clock: Arc::new(SystemClock),
            bodies: Vec::new(),
        };
        Arc::new(Self {
            requests: AtomicUsize::new(0),
            inner: Mutex::new(inner),
        })
    }

    fn answer(&self, request: &Request<Bytes>) -> Reply {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let mut inner = self.lock();
        inner
            .bodies
            .push(String::from_utf8_lossy(request.body()).into_owned());
        if let Some(reply) = inner.script.pop_front().or_else(|| inner.forever.clone()) {
            return reply;
        }
        let form: HashMap<String, String> = form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        if form.get("grant_type").map(String::as_str) != Some("client_credentials") {
            return refusal(400, "unsupported_grant_type");
        }
        if presented(request, &form).as_ref() != Some(&inner.client) {
            return refusal(401, "invalid_client");
        }
        let token = format!("tok-{:032x}", fastrand::u128(..));
        let until = inner.clock.now().after(inner.lifetime);
        inner.tokens.insert(token.clone(), until);
        let mut reply = serde_json::json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": inner.lifetime.as_secs(),
        });
        if let Some(scope) = form.get("scope") {
            reply["scope"] = scope.as_str().into();
        }
        Reply::json(reply.to_string()).after(inner.delay)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Id and secret, from a form-encoded Basic header or from the form (RFC 6749 s2.3.1).
fn presented(request: &Request<Bytes>, form: &HashMap<String, String>) -> Option<(String, String)> {
    let Some(header) = request.headers().get(AUTHORIZATION) else {
        return Some((
            form.get("client_id")?.clone(),
            form.get("client_secret")?.clone(),
        ));
    };
    let encoded = header.to_str().ok()?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decode = |text: &str| {
        let pair = format!("x={text}");
        form_urlencoded::parse(pair.as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

fn refusal(status: u16, code: &str) -> Reply {
    let body = serde_json::json!({ "error": code }).to_string();
    Reply::status(status)
        .header("content-type", "application/json")
        .body(body)
}
