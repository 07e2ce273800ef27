//! Random schedules of calls, failures, clock steps, rejections and changed secrets, against a
//! simple oracle that knows only what it handed out.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use gatepass_core::{
    AppliedAll, BodyView, Clock, Deployment, Endpoint, Now, ResponseView, SharedSource,
};
use gatepass_oauth::{OAuth, Post, TokenCache, TokenReply, TokenTransport, TransportFailure};
use http::{HeaderMap, Request, StatusCode};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::kit::Shelf;

#[derive(Clone, Debug)]
enum Step {
    /// This many callers at once, some of whom go away after so many milliseconds.
    Call {
        callers: usize,
        patience: Option<u64>,
    },
    Pass(u64),
    /// The upstream rejects the token of the last call.
    Reject,
    /// The token endpoint behaves like this from now on.
    Endpoint(Habit),
    /// The wall clock jumps by so many seconds.
    Wall(i64),
    /// The secret changes, at the token endpoint too.
    Rotate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    Token(u64),
    Busy,
    Refuses,
    Torn,
    Silent,
    Panics,
}

fn habit() -> impl Strategy<Value = Habit> {
    prop_oneof![
        4 => (2_u64..4_000).prop_map(Habit::Token),
        1 => Just(Habit::Busy),
        1 => Just(Habit::Refuses),
        1 => Just(Habit::Torn),
        1 => Just(Habit::Silent),
        1 => Just(Habit::Panics),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_usize..20, proptest::option::of(0_u64..12_000))
            .prop_map(|(callers, patience)| Step::Call { callers, patience }),
        6 => (1_u64..3_000_000).prop_map(Step::Pass),
        6 => (1_u64..5_000).prop_map(Step::Pass),
        3 => Just(Step::Reject),
        3 => habit().prop_map(Step::Endpoint),
        1 => (-100_000_i64..100_000).prop_map(Step::Wall),
        1 => Just(Step::Rotate),
    ]
}

/// Follows tokio's clock; the wall clock can be moved.
#[derive(Debug)]
struct JumpingClock {
    start: Instant,
    wall: AtomicI64,
}

impl Clock for JumpingClock {
    fn now(&self) -> Now {
        let passed = self.start.elapsed();
        let seconds = 1_800_000_000 + self.wall.load(Ordering::SeqCst);
        Now::new(passed, Duration::from_secs(seconds.unsigned_abs()) + passed)
    }
}

/// The token endpoint, which remembers everything.
struct Oracle {
    state: Mutex<Remembered>,
}

struct Remembered {
    habit: Habit,
    secret: String,
    /// Each token, and when it ends by the issuer's own time.
    ends: HashMap<String, Instant>,
    in_flight: HashMap<String, usize>,
    starts: Vec<(String, Instant)>,
    /// Whatever gives the engine the right to one more exchange.
    excuses: usize,
    shortest: u64,
    wrong: Vec<String>,
}

impl fmt::Debug for Oracle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Oracle")
    }
}

/// Ends a request even if it is dropped or panics.
struct InFlight<'a>(&'a Oracle, String);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock().unwrap();
        *state.in_flight.get_mut(&self.1).unwrap() -= 1;
    }
}

#[async_trait]
impl TokenTransport for Oracle {
    async fn send(
        &self,
        request: Request<Bytes>,
        _: usize,
    ) -> Result<TokenReply, TransportFailure> {
        let body = String::from_utf8(request.body().to_vec()).unwrap();
        let secret = body.split("client_secret=").nth(1).unwrap().to_owned();
        let (habit, right) = {
            let mut state = self.state.lock().unwrap();
            let count = state.in_flight.entry(secret.clone()).or_default();
            *count += 1;
            if *count > 1 {
                state
                    .wrong
                    .push("two exchanges in flight for one credential".into());
            }
            let now = Instant::now();
            let last = state.starts.iter().rev().find(|(of, _)| *of == secret);
            if last.is_some_and(|(_, at)| now - *at < Duration::from_secs(1)) {
                state.wrong.push("two exchanges within a second".into());
            }
            state.starts.push((secret.clone(), now));
            (state.habit, state.secret == secret)
        };
        let _in_flight = InFlight(self, secret);
        tokio::time::sleep(Duration::from_millis(200)).await;
        if !right || !matches!(habit, Habit::Token(_)) {
            self.state.lock().unwrap().excuses += 1;
        }
        let reply = |status: u16, body: String| TokenReply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.into_bytes().into(),
        };
        if !right {
            return Ok(reply(401, "{\"error\":\"invalid_client\"}".into()));
        }
        match habit {
            Habit::Token(lifetime) => {
                let mut state = self.state.lock().unwrap();
                let token = format!("tok-{}", state.ends.len());
                state.ends.insert(
                    token.clone(),
                    Instant::now() + Duration::from_secs(lifetime),
                );
                state.shortest = state.shortest.min(lifetime);
                Ok(reply(
                    200,
                    format!(
                        "{{\"access_token\":\"{token}\",\"token_type\":\"bearer\",\"expires_in\":{lifetime}}}"
                    ),
                ))
            }
            Habit::Busy => Ok(reply(503, String::new())),
            Habit::Refuses => Ok(reply(400, "{\"error\":\"invalid_scope\"}".into())),
            Habit::Torn => Err(TransportFailure::Torn("reset".into())),
            Habit::Silent => std::future::pending().await,
            Habit::Panics => panic!("on purpose"),
        }
    }
}

struct World {
    oracle: Arc<Oracle>,
    shelf: Arc<Shelf>,
    clock: Arc<JumpingClock>,
    deployment: Arc<Deployment>,
    last: Option<AppliedAll>,
    rotations: usize,
}

impl World {
    fn new() -> Self {
        let state = Remembered {
            habit: Habit::Token(3600),
            secret: "s0".into(),
            ends: HashMap::new(),
            in_flight: HashMap::new(),
            starts: Vec::new(),
            excuses: 0,
            shortest: 3600,
            wrong: Vec::new(),
        };
        let oracle = Arc::new(Oracle {
            state: Mutex::new(state),
        });
        let shelf = Arc::new(Shelf(Mutex::new(Some("s0".into()))));
        let clock = Arc::new(JumpingClock {
            start: Instant::now(),
            wall: AtomicI64::new(0),
        });
        let source: SharedSource = shelf.clone();
        let method = OAuth::builder("https://auth.test/t".parse().unwrap(), "id", source)
            .client_auth(Arc::new(Post))
            .clock(clock.clone())
            .cache(TokenCache::new())
            .build(oracle.clone());
        let endpoint = Endpoint::parse(Some("https://models.test/"), None, false).unwrap();
        let deployment = Arc::new(Deployment::new("x", endpoint, vec![method]).unwrap());
        Self {
            oracle,
            shelf,
            clock,
            deployment,
            last: None,
            rotations: 0,
        }
    }

    async fn call(&mut self, callers: usize, patience: Option<u64>) {
        let calls: Vec<_> = (0..callers)
            .map(|_| {
                let (deployment, clock, oracle) = (
                    self.deployment.clone(),
                    self.clock.clone(),
                    self.oracle.clone(),
                );
                tokio::spawn(async move {
                    let mut request = Request::get("https://models.test/").body(()).unwrap();
                    let before = Instant::now();
                    let applied = deployment
                        .authorize(&mut request, BodyView::Empty, &*clock)
                        .await;
                    let mut state = oracle.state.lock().unwrap();
                    if before.elapsed() > Duration::from_millis(23_000) {
                        state
                            .wrong
                            .push(format!("a caller waited {:?}", before.elapsed()));
                    }
                    let applied = applied.ok()?;
                    let token = request.headers()["authorization"].to_str().unwrap()
                        ["Bearer ".len()..]
                        .to_owned();
                    if state.ends[&token] <= Instant::now() {
                        state.wrong.push("an expired token was used".into());
                    }
                    Some(applied)
                })
            })
            .collect();
        if let Some(patience) = patience {
            tokio::time::sleep(Duration::from_millis(patience)).await;
        }
        for (number, call) in calls.into_iter().enumerate() {
            if patience.is_some() && number % 2 == 0 {
                call.abort();
            } else if let Some(applied) = call.await.unwrap() {
                self.last = Some(applied);
            }
        }
    }

    async fn take(&mut self, step: &Step) {
        match step {
            Step::Call { callers, patience } => self.call(*callers, *patience).await,
            Step::Pass(millis) => tokio::time::sleep(Duration::from_millis(*millis)).await,
            Step::Reject => {
                let Some(applied) = self.last.clone() else {
                    return;
                };
                self.oracle.state.lock().unwrap().excuses += 1;
                let headers = HeaderMap::new();
                let answer = ResponseView::head(StatusCode::UNAUTHORIZED, &headers);
                let _again = self.deployment.reconsider(&applied, &answer, true).await;
            }
            Step::Endpoint(habit) => {
                let mut state = self.oracle.state.lock().unwrap();
                state.habit = *habit;
                // Whatever is under way ends as the old habit says.
                state.excuses += 1;
            }
            Step::Wall(seconds) => {
                self.clock.wall.fetch_add(*seconds, Ordering::SeqCst);
                // A token that seems to have ended may be renewed.
                self.oracle.state.lock().unwrap().excuses += 2;
            }
            Step::Rotate => {
                self.rotations += 1;
                let secret = format!("s{}", self.rotations);
                let mut state = self.oracle.state.lock().unwrap();
                state.secret.clone_from(&secret);
                state.excuses += 2;
                drop(state);
                self.shelf.put(&secret);
            }
        }
    }

    /// Healed, it serves within the longest holding.
    async fn recovers(&mut self) -> bool {
        self.oracle.state.lock().unwrap().habit = Habit::Token(3600);
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let mut request = Request::get("https://models.test/").body(()).unwrap();
            let authorize = self
                .deployment
                .authorize(&mut request, BodyView::Empty, &*self.clock);
            if authorize.await.is_ok() {
                return true;
            }
        }
        false
    }
}

fn check(steps: &[Step]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new();
        let start = Instant::now();
        for step in steps {
            world.take(step).await;
        }
        let elapsed = start.elapsed().as_secs_f64();
        prop_assert!(world.recovers().await, "not recovered");
        let state = world.oracle.state.lock().unwrap();
        prop_assert_eq!(&state.wrong, &Vec::<String>::new());
        // The earliest soft deadline is no earlier than half of the shortest life.
        let bound = 2.0 + elapsed / (state.shortest as f64 / 2.0).max(1.0) + state.excuses as f64;
        let exchanges = state.starts.len() as f64;
        prop_assert!(
            exchanges <= bound + 5.0,
            "{exchanges} exchanges, bound {bound}"
        );
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_breaks_a_promise(steps in proptest::collection::vec(step(), 1..40)) {
        check(&steps)?;
    }
}
