//! The state of one credential: its lease, the exchange in flight, and when the next may start.
//!
//! ```text
//!            ┌─────────── soft deadline: one detached renewal, nobody waits ──────────┐
//!            ▼                                                                        │
//!  empty ─> flight ──ok──> live ──hard deadline──> empty        rejected: live ──> empty
//!            │  ▲
//!          failed └── floor, backoff, Retry-After or holding is over ── (always is, some time)
//! ```
//!
//! Invariants: at most one flight; the lock is never held across an await; an error never replaces
//! a lease; whatever ends a flight, a drop included, settles it.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use gatepass_core::{AuthError, Clock, ErrorKind, Lease, LeaseCell, Now, Ready, Stamp, Verdict};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::cache::Home;
use crate::error::{TokenError, TokenErrorKind};
use crate::grant::Grant;
use crate::observer::{Event, Observer, Rejection as Outcome401, tell};
use crate::store::Kept;
use crate::tuning::Tuning;

/// The first backoff after a failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// A caller waits for the next attempt only if it starts within this.
const WORTH_WAITING: Duration = Duration::from_secs(2);
/// The longest backoff while a live lease serves, and without one.
const BACKOFF_CAP_LIVE: Duration = Duration::from_secs(60);
const BACKOFF_CAP_EMPTY: Duration = Duration::from_secs(15);
/// A permanent refusal is held between one and two times this.
const HOLDING: Duration = Duration::from_secs(30);
/// A lease that replaced a rejected one and is rejected this early is itself suspicious.
const REJECTED_EARLY: Duration = Duration::from_secs(60);
const REJECTION_BACKOFF_CAP: Duration = Duration::from_secs(60);

type Outcome = Option<Result<Arc<Lease>, TokenError>>;

/// What a slot works with.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) grant: Box<dyn Grant>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) tuning: Tuning,
    pub(crate) observer: Arc<dyn Observer>,
    /// Where tokens are kept outside this process, if anywhere.
    pub(crate) kept: Option<Kept>,
}

/// One credential's state; shared by every handle with the same credential.
#[derive(Debug)]
pub(crate) struct Slot {
    work: Work,
    cell: LeaseCell,
    state: Mutex<State>,
    /// Monotonic milliseconds before which a background renewal need not be thought of.
    renew_not_before: AtomicU64,
    /// Callers that wait for the exchange in flight.
    waiters: AtomicUsize,
    home: Home,
}

#[derive(Debug, Default)]
struct State {
    flight: Option<watch::Receiver<Outcome>>,
    /// The earliest start of the next exchange, by the floor alone.
    floor: Duration,
    /// The same by what the last failure calls for.
    pause: Option<Pause>,
    failures: u32,
    rejection: Rejection,
}

/// Why the next exchange waits beyond the floor.
#[derive(Debug)]
struct Pause {
    until: Duration,
    error: TokenError,
    /// A plain backoff that was chosen while a live lease served; cut when that lease dies.
    ends_with_lease: Option<Now>,
}

/// What is remembered of rejected leases.
#[derive(Debug, Default)]
struct Rejection {
    backoff: Duration,
    until: Duration,
    /// The next lease will be one that replaces a rejected one.
    pending: bool,
    /// The current lease replaced a rejected one, at this time.
    replaced: Option<(Stamp, Duration)>,
    /// This lease was rejected, in its first minute, while rejections were backed off.
    passed: Option<Stamp>,
}

impl Rejection {
    /// Whether the lease replaced a rejected one, and was itself rejected in its first minute.
    fn is_suspicious(&self, stamp: Stamp, now: Duration) -> bool {
        let replaced = self.replaced.filter(|(replaced, _)| *replaced == stamp);
        let early = replaced.is_some_and(|(_, at)| now < at + REJECTED_EARLY);
        early || self.passed == Some(stamp)
    }

    /// A rejection that passes because rejections are backed off is remembered.
    fn note_passed(&mut self, stamp: Stamp, now: Duration) {
        if self.is_suspicious(stamp, now) {
            self.passed = Some(stamp);
        }
    }
}

enum Step {
    Held(Arc<Lease>),
    Wait(watch::Receiver<Outcome>),
    Fail(AuthError),
}

impl Slot {
    pub(crate) fn new(work: Work, home: Home) -> Self {
        let state = Mutex::new(State::default());
        Self {
            work,
            cell: LeaseCell::new(),
            state,
            renew_not_before: AtomicU64::new(0),
            waiters: AtomicUsize::new(0),
            home,
        }
    }

    /// The current lease, live or not.
    pub(crate) fn current(&self) -> Option<Arc<Lease>> {
        self.cell.current()
    }

    /// Whether the last exchange failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.lock().failures > 0
    }

    /// A live lease: the held one, or the next one that is obtained.
    ///
    /// Waits at most 11 s, and through at most one failed exchange; without a live lease and without
    /// a near attempt it fails at once with the last error and how long to wait.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Ready, AuthError> {
        if Handle::try_current().is_err() {
            return Err(no_runtime().for_caller(None));
        }
        let limit = self.work.tuning.wait_timeout;
        match tokio::time::timeout(limit, self.wait()).await {
            Ok(result) => result,
            Err(_) => {
                let seconds = limit.as_secs();
                let message =
                    format!("no token within {seconds} s: the exchange goes on, try again");
                Err(TokenError::new(TokenErrorKind::Timeout, message)
                    .for_caller(Some(self.work.tuning.floor())))
            }
        }
    }

    async fn wait(self: &Arc<Self>) -> Result<Ready, AuthError> {
        let mut failed_before = false;
        loop {
            let mut flight = match self.step() {
                Step::Held(lease) => return Ok(Ready::new(lease)),
                Step::Fail(error) => return Err(error),
                Step::Wait(flight) => flight,
            };
            let waiting = Waiting::at(&self.waiters);
            let outcome = flight
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|seen| seen.clone());
            drop(waiting);
            match outcome {
                Some(Ok(lease)) => return Ok(Ready::new(lease)),
                Some(Err(error)) if failed_before => {
                    return Err(error.for_caller(self.pause_left()));
                }
                Some(Err(_)) | None => failed_before = true,
            }
        }
    }

    fn step(self: &Arc<Self>) -> Step {
        let now = self.work.clock.now();
        let mut state = self.lock();
        if let Some(lease) = self.cell.current().filter(|lease| lease.is_live(now)) {
            return Step::Held(lease);
        }
        if let Some(flight) = &state.flight {
            return Step::Wait(flight.clone());
        }
        let wait = state.next_start(now).saturating_sub(now.monotonic());
        if let Some(pause) = state.pause.as_ref().filter(|_| wait > WORTH_WAITING) {
            return Step::Fail(pause.error.for_caller(Some(wait)));
        }
        match self.start(&mut state, wait) {
            Ok(flight) => Step::Wait(flight),
            Err(error) => Step::Fail(error.for_caller(None)),
        }
    }

    /// Starts a background renewal if the time has come and nothing speaks against it. Cheap when
    /// there is nothing to do.
    pub(crate) fn renew_if_due(self: &Arc<Self>, now: Now) {
        if millis(now.monotonic()) < self.renew_not_before.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.lock();
        let due = self
            .cell
            .current()
            .is_some_and(|lease| lease.soft().is_some_and(|soft| now.reached(soft)));
        if !due || state.flight.is_some() {
            return;
        }
        let next = state.next_start(now);
        if next > now.monotonic() {
            self.renew_not_before.store(millis(next), Ordering::Relaxed);
            return;
        }
        let current = self.cell.current().map(|lease| lease.stamp());
        if state.rejection.passed.is_some() && state.rejection.passed == current {
            // What replaces a lease that is being rejected is as suspicious.
            state.rejection.pending = true;
        } else {
            // It reached its soft deadline unrejected: whatever was suspected is over.
            state.rejection = Rejection::default();
        }
        // Without a runtime there is no background; the first caller past the end will wait.
        let _detached = self.start(&mut state, Duration::ZERO);
    }

    /// Puts an exchange on its way, in a task of its own that no caller can abort.
    fn start(
        self: &Arc<Self>,
        state: &mut State,
        delay: Duration,
    ) -> Result<watch::Receiver<Outcome>, TokenError> {
        let runtime = Handle::try_current().map_err(|_| no_runtime())?;
        let (sender, receiver) = watch::channel(None);
        state.flight = Some(receiver.clone());
        let flight = Flight {
            slot: Arc::clone(self),
            sender: Some(sender),
            start: self.work.clock.now().monotonic(),
        };
        runtime.spawn(flight.fly(delay));
        Ok(receiver)
    }

    /// Takes the rejected lease away if it is still the current one.
    ///
    /// Fails while rejections are backed off: the upstream's answer then goes to the caller.
    pub(crate) fn reject(&self, stamp: Stamp) -> Result<(), AuthError> {
        let outcome = self.take_away(stamp);
        self.tell(&Event::Rejected { stamp, outcome });
        if outcome == Outcome401::BackedOff {
            let message =
                "a fresh token is rejected as well: the token is good, its rights are not";
            return Err(AuthError::new(ErrorKind::Unchanged, message));
        }
        Ok(())
    }

    fn take_away(&self, stamp: Stamp) -> Outcome401 {
        let now = self.work.clock.now().monotonic();
        let mut state = self.lock();
        let current = self.cell.current();
        if current.is_none_or(|lease| lease.stamp() != stamp) {
            return Outcome401::Late;
        }
        let suspicious = state.rejection.is_suspicious(stamp, now);
        if suspicious && now >= state.rejection.until {
            let backoff = (state.rejection.backoff * 2).clamp(FIRST_BACKOFF, REJECTION_BACKOFF_CAP);
            let first = state.rejection.backoff.is_zero();
            state.rejection.backoff = backoff;
            state.rejection.until = now + backoff;
            // The backoff that was running is over: one more attempt, then twice as long.
            if first {
                state.rejection.passed = Some(stamp);
                return Outcome401::BackedOff;
            }
        } else if now < state.rejection.until {
            state.rejection.note_passed(stamp, now);
            return Outcome401::BackedOff;
        }
        state.rejection.pending = true;
        self.cell.remove(stamp);
        Outcome401::Dropped
    }

    /// What a rejection of the lease with this stamp calls for.
    pub(crate) fn verdict(&self, stamp: Stamp) -> Verdict {
        let now = self.work.clock.now();
        let mut state = self.lock();
        match self.cell.current() {
            Some(lease) if lease.stamp() != stamp && lease.is_live(now) => Verdict::Replay,
            Some(lease) if lease.stamp() == stamp && now.monotonic() < state.rejection.until => {
                state.rejection.note_passed(stamp, now.monotonic());
                Verdict::Refused
            }
            _ => Verdict::Renew,
        }
    }

    fn settle(self: &Arc<Self>, outcome: &Result<Arc<Lease>, TokenError>, took: Duration) {
        let now = self.work.clock.now();
        let waiters = self.waiters.load(Ordering::Relaxed);
        let mut state = self.lock();
        state.flight = None;
        let event = match outcome {
            Ok(lease) => {
                state.failures = 0;
                state.pause = None;
                state.rejection.replaced = std::mem::take(&mut state.rejection.pending)
                    .then_some((lease.stamp(), now.monotonic()));
                self.cell.replace(Arc::clone(lease));
                Event::Obtained {
                    took,
                    stamp: lease.stamp(),
                    usable: lease.hard().map_or(Duration::MAX, |hard| now.until(hard)),
                    waiters,
                }
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let live = self.cell.current().filter(|lease| lease.is_live(now));
                let (wait, plain) = pause(error, state.failures, live.is_some());
                state.pause = Some(Pause {
                    until: now.monotonic() + wait,
                    error: error.clone(),
                    ends_with_lease: live
                        .as_ref()
                        .and_then(|lease| lease.hard())
                        .filter(|_| plain),
                });
                Event::Failed {
                    took,
                    kind: error.kind(),
                    message: error.message(),
                    next: wait,
                    live: live.is_some(),
                    held: !error.is_transient(),
                }
            }
        };
        self.renew_not_before
            .store(millis(state.next_start(now)), Ordering::Relaxed);
        drop(state);
        self.tell(&event);
        self.home.keep(self);
    }

    pub(crate) fn tell(&self, event: &Event<'_>) {
        tell(&*self.work.observer, self.work.grant.label(), event);
    }

    /// Obtains a lease: a kept token that is fresh, unless that was rejected, else a new one.
    async fn obtain(&self, rejected: bool) -> Result<Lease, TokenError> {
        let clock = &*self.work.clock;
        let mut _alone = None;
        if let Some(kept) = self.work.kept.as_ref().filter(|_| !rejected) {
            if let Some(lease) = kept.fresh(clock.now()).await {
                return Ok(lease);
            }
            _alone = Some(kept.store.lock(&kept.key).await);
            // Whoever held the lock may have put one there.
            if let Some(lease) = kept.fresh(clock.now()).await {
                return Ok(lease);
            }
        }
        let obtained = self.work.grant.obtain(clock).await?;
        let jitter = fastrand::f64();
        let due = self
            .work
            .tuning
            .deadlines(obtained.sent, obtained.lifetime, jitter);
        let lease = Lease::headers(obtained.headers)
            .until(due.soft, due.hard)
            .with_facts(obtained.facts);
        if let Some(kept) = &self.work.kept {
            kept.save(&lease, clock.now()).await;
        }
        Ok(lease)
    }

    /// How long this slot is worth remembering.
    pub(crate) fn keep_for(&self) -> Duration {
        let now = self.work.clock.now();
        let lease = self.cell.current().and_then(|lease| lease.hard());
        let lease = lease.map_or(Duration::ZERO, |hard| now.until(hard));
        lease
            .max(self.pause_left().unwrap_or_default())
            .max(Duration::from_secs(60))
    }

    fn pause_left(&self) -> Option<Duration> {
        let now = self.work.clock.now();
        let state = self.lock();
        state
            .pause
            .as_ref()
            .map(|_| state.next_start(now).saturating_sub(now.monotonic()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When the next exchange may start, on the monotonic clock.
    fn next_start(&self, now: Now) -> Duration {
        let pause = self.pause.as_ref().map_or(Duration::ZERO, |pause| {
            let cut = pause.ends_with_lease.is_some_and(|hard| now.reached(hard));
            if cut { Duration::ZERO } else { pause.until }
        });
        pause.max(self.floor)
    }
}

/// How long a failure keeps the next exchange away, and whether that is a plain backoff.
fn pause(error: &TokenError, failures: u32, live: bool) -> (Duration, bool) {
    if let Some(asked) = error.retry_after() {
        return (asked, false);
    }
    if !error.is_transient() {
        return (HOLDING + HOLDING.mul_f64(fastrand::f64()), false);
    }
    let cap = if live {
        BACKOFF_CAP_LIVE
    } else {
        BACKOFF_CAP_EMPTY
    };
    let full = FIRST_BACKOFF
        .saturating_mul(1 << (failures - 1).min(6))
        .min(cap);
    (full / 2 + (full / 2).mul_f64(fastrand::f64()), true)
}

fn no_runtime() -> TokenError {
    let message = "fetching a token needs a tokio runtime: call from within one";
    TokenError::new(TokenErrorKind::Interrupted, message)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// An exchange on its way. Dropped before its end, it settles as interrupted: nothing wedges.
struct Flight {
    slot: Arc<Slot>,
    sender: Option<watch::Sender<Outcome>>,
    /// When it began, on the monotonic clock.
    start: Duration,
}

/// A caller that waits, counted.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn at(waiters: &'a AtomicUsize) -> Self {
        waiters.fetch_add(1, Ordering::Relaxed);
        Self(waiters)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Flight {
    async fn fly(mut self, delay: Duration) {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let slot = Arc::clone(&self.slot);
        self.start = slot.work.clock.now().monotonic();
        let rejected = {
            let mut state = slot.lock();
            state.floor = self.start + slot.work.tuning.floor();
            state.rejection.pending
        };
        slot.tell(&Event::ExchangeStarted {
            waiters: slot.waiters.load(Ordering::Relaxed),
        });
        let outcome = AssertUnwindSafe(slot.obtain(rejected)).catch_unwind().await;
        self.land(outcome.unwrap_or_else(|_| {
            let message = "the token exchange panicked: it is tried again by itself";
            Err(TokenError::new(TokenErrorKind::Interrupted, message))
        }));
    }

    fn land(&mut self, outcome: Result<Lease, TokenError>) {
        if let Some(sender) = self.sender.take() {
            let outcome = outcome.map(Arc::new);
            let now = self.slot.work.clock.now().monotonic();
            self.slot.settle(&outcome, now.saturating_sub(self.start));
            sender.send_replace(Some(outcome));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let message = "the token exchange was stopped with its runtime: try again";
        self.land(Err(TokenError::new(TokenErrorKind::Interrupted, message)));
    }
}
