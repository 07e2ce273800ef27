//! An engine before a token endpoint, in fake time.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gatepass_core::{
    AppliedAll, AuthError, BodyView, Clock, Deployment, Endpoint, Now, ResponseView,
};
use gatepass_oauth::{
    Event, OAuth, Observer, Scope, TokenCache, TokenReply, TokenTransport, TransportFailure,
};
use gatepass_testkit::TokenServer;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

/// The secret of the client; no message may hold it.
pub(crate) const CANARY: &str = "c4nary-secret";

/// Both clocks follow tokio's paused one; the wall clock can be set, and the machine can sleep.
#[derive(Debug)]
pub(crate) struct FakeClock {
    start: Instant,
    /// Milliseconds the wall clock is ahead of its own beginning.
    wall_offset: AtomicI64,
}

impl FakeClock {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            wall_offset: AtomicI64::new(0),
        }
    }

    /// Moves the wall clock alone: an administrator, or a sleep that the other clock missed.
    pub(crate) fn move_wall(&self, seconds: i64) {
        self.wall_offset.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> Now {
        let passed = self.start.elapsed();
        let offset = self.wall_offset.load(Ordering::SeqCst);
        let wall = Duration::from_secs(1_800_000_000) + passed;
        let by = Duration::from_millis(offset.unsigned_abs());
        let wall = if offset < 0 {
            wall.saturating_sub(by)
        } else {
            wall + by
        };
        Now::new(passed, wall)
    }
}

/// HTTP/1.1 to the in-memory token server, a connection for each request.
struct Pipes(TokenServer);

impl fmt::Debug for Pipes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pipes")
    }
}

#[async_trait]
impl TokenTransport for Pipes {
    async fn send(
        &self,
        mut request: Request<Bytes>,
        limit: usize,
    ) -> Result<TokenReply, TransportFailure> {
        let torn = |cause: hyper::Error| TransportFailure::Torn(cause.to_string());
        let pipe = self.0.connect();
        let pipe = pipe.ok_or_else(|| TransportFailure::Connect("no pipe: report it".into()))?;
        let path = request.uri().path().to_owned();
        *request.uri_mut() = path.parse().unwrap_or_default();
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(pipe));
        let (mut sender, connection) = handshake.await.map_err(torn)?;
        tokio::spawn(connection);
        let response = sender
            .send_request(request.map(Full::new))
            .await
            .map_err(torn)?;
        let (head, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(torn)?;
            let data = frame.into_data().unwrap_or_default();
            if bytes.len() + data.len() > limit {
                return Err(TransportFailure::TooLong);
            }
            bytes.extend_from_slice(&data);
        }
        Ok(TokenReply {
            status: head.status,
            headers: head.headers,
            body: bytes.into(),
        })
    }
}

/// Notes when exchanges start, and scans every word for the secret.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    pub(crate) starts: Mutex<Vec<Instant>>,
    pub(crate) leaks: Mutex<Vec<String>>,
}

impl Witness {
    fn scan(&self, text: &str) {
        if text.contains(CANARY) {
            let mut leaks = self.leaks.lock().unwrap_or_else(PoisonError::into_inner);
            leaks.push("the secret stands in a message".to_owned());
        }
    }

    pub(crate) fn starts(&self) -> Vec<Instant> {
        self.starts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Observer for Witness {
    fn event(&self, _: &str, event: &Event<'_>) {
        if let Event::ExchangeStarted { .. } = event {
            let mut starts = self.starts.lock().unwrap_or_else(PoisonError::into_inner);
            starts.push(Instant::now());
        }
        self.scan(&format!("{event:?}"));
    }
}

/// One deployment and its token endpoint; clones are the same world.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) tokens: TokenServer,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) witness: Arc<Witness>,
    deployment: Arc<Deployment>,
}

/// A call on its way.
pub(crate) struct Sent {
    pub(crate) token: String,
    applied: AppliedAll,
}

impl World {
    /// Tokens of this lifetime, replies after 50 ms.
    pub(crate) fn new(lifetime: u64) -> Result<Self, String> {
        // The same jitter each time, so that the table stays the same.
        fastrand::seed(7);
        let clock = Arc::new(FakeClock::new());
        let tokens = TokenServer::in_memory()
            .client("id", CANARY)
            .expires_in(Duration::from_secs(lifetime))
            .answers_after(Duration::from_millis(50))
            .clock(clock.clone());
        let witness = Arc::new(Witness::default());
        let url = tokens
            .url()
            .parse()
            .map_err(|_| "the token URL does not parse")?;
        let method = OAuth::builder(url, "id", CANARY)
            .scope(Scope::None)
            .clock(clock.clone())
            .cache(TokenCache::observed(witness.clone()))
            .build(Arc::new(Pipes(tokens.clone())));
        let endpoint = Endpoint::parse(Some("https://models.test/v1"), None, false);
        let endpoint = endpoint.map_err(|_| "the endpoint does not parse")?;
        let deployment = Deployment::new("x", endpoint, vec![method]);
        let deployment = deployment.map_err(|error| error.to_string())?;
        Ok(Self {
            tokens,
            clock,
            witness,
            deployment: Arc::new(deployment),
        })
    }

    /// A call with its credential.
    pub(crate) async fn send(&self) -> Result<Sent, AuthError> {
        let mut request = Request::new(());
        *request.uri_mut() = http::Uri::from_static("https://models.test/v1");
        let authorize = self
            .deployment
            .authorize(&mut request, BodyView::Empty, &*self.clock);
        let applied = authorize
            .await
            .inspect_err(|error| self.witness.scan(&format!("{error} {error:?}")))?;
        let value = request.headers().get(http::header::AUTHORIZATION);
        let token = value.and_then(|value| value.to_str().ok()).unwrap_or("");
        Ok(Sent {
            token: token.strip_prefix("Bearer ").unwrap_or(token).to_owned(),
            applied,
        })
    }

    /// A whole call to an upstream that takes what the token server handed out: its status, and how
    /// many requests the upstream saw. `refuses` makes it say 401 whatever comes.
    pub(crate) async fn call(&self, refuses: bool) -> Result<(u16, u32), AuthError> {
        let sent = self.send().await?;
        let status = |token: &str| {
            if !refuses && self.tokens.accepts(token) {
                StatusCode::OK
            } else {
                StatusCode::UNAUTHORIZED
            }
        };
        let first = status(&sent.token);
        let headers = HeaderMap::new();
        let answer = ResponseView::head(first, &headers);
        let Some(attempt) = self
            .deployment
            .reconsider(&sent.applied, &answer, true)
            .await
        else {
            return Ok((first.as_u16(), 1));
        };
        let mut request = Request::new(());
        *request.uri_mut() = http::Uri::from_static("https://models.test/v1");
        let again =
            self.deployment
                .authorize_with(&mut request, BodyView::Empty, &*self.clock, attempt);
        let applied = again.await?;
        let value = request.headers().get(http::header::AUTHORIZATION);
        let token = value.and_then(|value| value.to_str().ok()).unwrap_or("");
        let second = status(token.strip_prefix("Bearer ").unwrap_or(token));
        let answer = ResponseView::head(second, &headers);
        let _for_the_next_call = self.deployment.reconsider(&applied, &answer, false).await;
        Ok((second.as_u16(), 2))
    }

    /// An upstream rejects what was sent, and nothing is sent again.
    pub(crate) async fn reject(&self, sent: &Sent) {
        let headers = HeaderMap::new();
        let answer = ResponseView::head(StatusCode::UNAUTHORIZED, &headers);
        let _next = self
            .deployment
            .reconsider(&sent.applied, &answer, true)
            .await;
    }

    /// What no row may do, whatever else it is about.
    pub(crate) fn common_faults(&self) -> Vec<String> {
        let mut wrong = self
            .witness
            .leaks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let starts = self.witness.starts();
        let too_close = starts
            .windows(2)
            .any(|pair| pair[1] - pair[0] < Duration::from_secs(1));
        if too_close {
            wrong.push("two exchanges started within a second".to_owned());
        }
        wrong
    }
}

pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Seconds with one decimal.
pub(crate) fn shown(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
