//! A token endpoint in memory, a clock that follows tokio's paused one, and a request to authorize.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gatepass_core::{
    AppliedAll, Attempt, AuthError, BodyView, Clock, Deployment, Endpoint, Now, ResponseView,
    Secret, SecretError, SecretSource, Verdict,
};
use gatepass_oauth::{
    OAuth, OAuthBuilder, TokenCache, TokenReply, TokenTransport, TransportFailure,
};
use http::{HeaderMap, Request, StatusCode};
use tokio::time::Instant;

/// Both clocks run with tokio's, so that pausing and advancing it moves deadlines too.
#[derive(Debug)]
pub(crate) struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    fn now(&self) -> Now {
        let passed = self.start.elapsed();
        Now::new(passed, Duration::from_secs(1_800_000_000) + passed)
    }
}

/// One scripted behaviour.
#[derive(Clone)]
pub(crate) enum Act {
    /// Hand out a fresh token with this `expires_in`, as JSON text.
    Token(&'static str),
    Status(u16, &'static str),
    RetryAfter(u16, &'static str),
    Torn,
    Silence,
    Panic,
}

/// Answers in memory after 300 ms, by its script, else by its habit.
pub(crate) struct Script {
    pub(crate) acts: Mutex<VecDeque<Act>>,
    pub(crate) habit: Mutex<Act>,
    pub(crate) requests: AtomicUsize,
    pub(crate) starts: Mutex<Vec<Instant>>,
    /// The one secret that is right; any, if none is set.
    pub(crate) right_secret: Mutex<Option<String>>,
    /// What was asked, in order.
    pub(crate) asked: Mutex<Vec<Request<Bytes>>>,
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

#[async_trait]
impl TokenTransport for Script {
    async fn send(
        &self,
        request: Request<Bytes>,
        _: usize,
    ) -> Result<TokenReply, TransportFailure> {
        let number = self.requests.fetch_add(1, Ordering::SeqCst) + 1;
        self.starts.lock().unwrap().push(Instant::now());
        let refused = self.is_wrong(&request);
        self.asked.lock().unwrap().push(request);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let act = self.acts.lock().unwrap().pop_front();
        let act = act.unwrap_or_else(|| self.habit.lock().unwrap().clone());
        let reply = |status: u16, body: String| {
            let status = StatusCode::from_u16(status).unwrap();
            Ok(TokenReply {
                status,
                headers: HeaderMap::new(),
                body: body.into_bytes().into(),
            })
        };
        if refused {
            return reply(401, "{\"error\":\"invalid_client\"}".to_owned());
        }
        match act {
            Act::Token(expires_in) => reply(
                200,
                format!(
                    "{{\"access_token\":\"tok-{number}\",\"token_type\":\"bearer\",\"expires_in\":{expires_in}}}"
                ),
            ),
            Act::Status(status, body) => reply(status, body.to_owned()),
            Act::RetryAfter(status, value) => {
                let mut busy = reply(status, String::new())?;
                busy.headers.insert("retry-after", value.parse().unwrap());
                Ok(busy)
            }
            Act::Torn => Err(TransportFailure::Torn("connection reset".into())),
            Act::Silence => std::future::pending().await,
            Act::Panic => panic!("on purpose"),
        }
    }
}

impl Script {
    /// Whether the request carries another secret than the right one, as `post` sends it.
    fn is_wrong(&self, request: &Request<Bytes>) -> bool {
        let right = self.right_secret.lock().unwrap();
        let body = String::from_utf8_lossy(request.body()).into_owned();
        right
            .as_ref()
            .is_some_and(|right| !body.contains(&format!("client_secret={right}")))
    }
}

/// A secret somebody else may change.
#[derive(Debug)]
pub(crate) struct Shelf(pub(crate) Mutex<Option<String>>);

#[async_trait]
impl SecretSource for Shelf {
    async fn load(&self) -> Result<Secret, SecretError> {
        let held = self.0.lock().unwrap().clone();
        held.map(Secret::new)
            .ok_or_else(|| SecretError::new("the shelf is empty: fill it"))
    }

    fn literal(&self) -> Option<&Secret> {
        None
    }

    fn may_change(&self) -> bool {
        true
    }
}

impl Shelf {
    pub(crate) fn put(&self, secret: &str) {
        *self.0.lock().unwrap() = Some(secret.to_owned());
    }

    pub(crate) fn clear(&self) {
        *self.0.lock().unwrap() = None;
    }
}

/// A deployment that authenticates through a scripted token endpoint.
pub(crate) struct Kit {
    pub(crate) script: Arc<Script>,
    pub(crate) deployment: Deployment,
    pub(crate) clock: Arc<TokioClock>,
}

impl Kit {
    pub(crate) fn new(habit: Act) -> Arc<Self> {
        let start =
            |secret: &str| OAuth::builder("https://auth.test/token".parse().unwrap(), "id", secret);
        Self::with(habit, TokenCache::new(), start("c4nary"))
    }

    /// With a builder and a cache of the test's own.
    pub(crate) fn with(habit: Act, cache: TokenCache, builder: OAuthBuilder) -> Arc<Self> {
        let script = Arc::new(Script {
            acts: Mutex::default(),
            habit: Mutex::new(habit),
            requests: AtomicUsize::new(0),
            starts: Mutex::default(),
            right_secret: Mutex::default(),
            asked: Mutex::default(),
        });
        let clock = Arc::new(TokioClock {
            start: Instant::now(),
        });
        let method = builder
            .clock(clock.clone())
            .cache(cache)
            .build(script.clone());
        let endpoint = Endpoint::parse(Some("https://models.test/v1"), None, false).unwrap();
        let deployment = Deployment::new("churn", endpoint, vec![method]).unwrap();
        Arc::new(Self {
            script,
            deployment,
            clock,
        })
    }

    /// The token a call would be sent with.
    pub(crate) async fn token(&self) -> Result<String, AuthError> {
        let headers = self.deployment.headers(&*self.clock).await?;
        Ok(headers["authorization"]
            .to_str()
            .unwrap()
            .strip_prefix("Bearer ")
            .unwrap()
            .to_owned())
    }

    /// A call on its way.
    pub(crate) async fn sent(&self) -> Sent {
        let mut request = http::Request::get("https://models.test/v1")
            .body(())
            .unwrap();
        let authorize = self
            .deployment
            .authorize(&mut request, BodyView::Empty, &*self.clock);
        let applied = authorize.await.unwrap();
        Sent { request, applied }
    }

    /// What a 401 calls for.
    pub(crate) fn verdict(&self, sent: &Sent) -> Verdict {
        let headers = HeaderMap::new();
        let refused = ResponseView::head(StatusCode::UNAUTHORIZED, &headers);
        self.deployment
            .credentials()
            .observe(&sent.applied, &refused)
    }

    /// Answers a call with 401: the header of its replay, or `None` if the 401 passes.
    pub(crate) async fn reject(&self, mut sent: Sent) -> Option<String> {
        let headers = HeaderMap::new();
        let refused = ResponseView::head(StatusCode::UNAUTHORIZED, &headers);
        let credentials = self.deployment.credentials();
        let attempt = match self.verdict(&sent) {
            Verdict::Renew => credentials.renew(&sent.applied, &refused).await.ok()?,
            Verdict::Replay => Attempt::default(),
            _ => return None,
        };
        let request = &mut sent.request;
        let again = self
            .deployment
            .authorize_with(request, BodyView::Empty, &*self.clock, attempt);
        again.await.ok()?;
        Some(
            sent.request.headers()["authorization"]
                .to_str()
                .unwrap()
                .to_owned(),
        )
    }

    pub(crate) fn requests(&self) -> usize {
        self.script.requests.load(Ordering::SeqCst)
    }

    pub(crate) fn next(&self, act: Act) {
        self.script.acts.lock().unwrap().push_back(act);
    }

    pub(crate) fn always(&self, act: Act) {
        *self.script.habit.lock().unwrap() = act;
    }
}

/// A request with its credential.
pub(crate) struct Sent {
    request: http::Request<()>,
    applied: AppliedAll,
}

/// Lets spawned tasks run without moving the clock.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// Lets time pass; timers on the way fire in their order.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
    settle().await;
}
