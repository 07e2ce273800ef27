//! When an exchange may start and what comes of its end, of a rejection, of time: no runtime here,
//! no clock, no I/O.
//!
//! ```text
//!            ┌─────────── soft deadline: one detached renewal, nobody waits ──────────┐
//!            ▼                                                                        │
//!  empty ─> flight ──ok──> live ──hard deadline──> empty        rejected: live ──> empty
//!            │  ▲
//!          failed └── floor, backoff, Retry-After or holding is over ── (always is, some time)
//! ```
//!
//! Invariants: at most one flight; an error never replaces a lease; a late rejection touches no
//! newer lease; every end of a flight leaves a time at which the next may start.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gatepass_core::{Lease, LeaseCell, Now, Stamp, Verdict};

use crate::error::TokenError;
use crate::observer::Rejection as Outcome401;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

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

/// The states of one credential. `F` is how callers follow the exchange in flight.
pub(crate) struct Machine<F> {
    cell: LeaseCell,
    state: Mutex<State<F>>,
    /// Monotonic milliseconds before which a background renewal need not be thought of.
    renew_not_before: AtomicU64,
}

struct State<F> {
    flight: Option<F>,
    /// When the current lease came, on the monotonic clock.
    since: Duration,
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

/// What a caller that wants a lease does next.
pub(crate) enum Step<F> {
    Held(Arc<Lease>),
    Wait(F),
    /// Why not, and how long until the next exchange may start.
    Fail(TokenError, Duration),
}

/// What the end of an exchange came to.
pub(crate) enum Settled {
    Obtained {
        usable: Duration,
        /// The age of the lease it replaces.
        replaced_age: Option<Duration>,
    },
    Failed {
        /// Until the next one may start.
        next: Duration,
        /// Whether a live lease serves meanwhile.
        live: bool,
    },
}

impl<F: Clone> Machine<F> {
    pub(crate) fn new() -> Self {
        Self {
            cell: LeaseCell::new(),
            state: Mutex::new(State {
                flight: None,
                since: Duration::ZERO,
                floor: Duration::ZERO,
                pause: None,
                failures: 0,
                rejection: Rejection::default(),
            }),
            renew_not_before: AtomicU64::new(0),
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

    /// A live lease, the exchange to wait for, or why there is neither.
    ///
    /// `depart` is called if an exchange is to start after the given delay, with the lock held: the
    /// caller puts it on its way afterwards.
    pub(crate) fn step(&self, now: Now, depart: impl FnOnce(Duration) -> F) -> Step<F> {
        let mut state = self.lock();
        if let Some(lease) = self.cell.current().filter(|lease| lease.is_live(now)) {
            return Step::Held(lease);
        }
        if let Some(flight) = &state.flight {
            return Step::Wait(flight.clone());
        }
        let wait = state.next_start(now).saturating_sub(now.monotonic());
        if let Some(pause) = state.pause.as_ref().filter(|_| wait > WORTH_WAITING) {
            return Step::Fail(pause.error.clone(), wait);
        }
        let flight = depart(wait);
        state.flight = Some(flight.clone());
        Step::Wait(flight)
    }

    /// Starts a background renewal if the time has come and nothing speaks against it; `depart` as
    /// above, `None` where there is no background. Cheap when there is nothing to do.
    pub(crate) fn renew_if_due(&self, now: Now, depart: impl FnOnce() -> Option<F>) {
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
        state.flight = depart();
    }

    /// The exchange on its way begins: the next may start `floor` later. Tells whether it replaces
    /// a rejected lease.
    pub(crate) fn begin(&self, now: Now, floor: Duration) -> bool {
        let mut state = self.lock();
        state.floor = now.monotonic() + floor;
        state.rejection.pending
    }

    /// The exchange on its way ended.
    pub(crate) fn settle(&self, now: Now, outcome: &Result<Arc<Lease>, TokenError>) -> Settled {
        let mut state = self.lock();
        state.flight = None;
        let settled = match outcome {
            Ok(lease) => {
                state.failures = 0;
                state.pause = None;
                state.rejection.replaced = std::mem::take(&mut state.rejection.pending)
                    .then_some((lease.stamp(), now.monotonic()));
                let replaced = self.cell.current();
                let since = std::mem::replace(&mut state.since, now.monotonic());
                self.cell.replace(Arc::clone(lease));
                Settled::Obtained {
                    replaced_age: replaced.map(|_| now.monotonic().saturating_sub(since)),
                    usable: lease.hard().map_or(Duration::MAX, |hard| now.until(hard)),
                }
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let live = self.cell.current().filter(|lease| lease.is_live(now));
                let (next, plain) = pause(error, state.failures, live.is_some());
                state.pause = Some(Pause {
                    until: now.monotonic() + next,
                    error: error.clone(),
                    ends_with_lease: live
                        .as_ref()
                        .and_then(|lease| lease.hard())
                        .filter(|_| plain),
                });
                Settled::Failed {
                    next,
                    live: live.is_some(),
                }
            }
        };
        let next = millis(state.next_start(now));
        self.renew_not_before.store(next, Ordering::Relaxed);
        settled
    }

    /// Takes the rejected lease away if it is still the current one, and says what came of it.
    pub(crate) fn take_away(&self, stamp: Stamp, now: Now) -> Outcome401 {
        let now = now.monotonic();
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
    pub(crate) fn verdict(&self, stamp: Stamp, now: Now) -> Verdict {
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

    /// How old the lease with this stamp is, if it is the current one.
    pub(crate) fn age(&self, stamp: Stamp, now: Now) -> Option<Duration> {
        let state = self.lock();
        let current = self.cell.current().filter(|lease| lease.stamp() == stamp);
        current.map(|_| now.monotonic().saturating_sub(state.since))
    }

    /// Until the next exchange may start, where a failure holds it up.
    pub(crate) fn pause_left(&self, now: Now) -> Option<Duration> {
        let state = self.lock();
        state
            .pause
            .as_ref()
            .map(|_| state.next_start(now).saturating_sub(now.monotonic()))
    }

    fn lock(&self) -> MutexGuard<'_, State<F>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F> fmt::Debug for Machine<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

impl<F> State<F> {
    /// When the next exchange may start, on the monotonic clock.
    fn next_start(&self, now: Now) -> Duration {
        let pause = self.pause.as_ref().map_or(Duration::ZERO, |pause| {
            let cut = pause.ends_with_lease.is_some_and(|hard| now.reached(hard));
            if cut { Duration::ZERO } else { pause.until }
        });
        pause.max(self.floor)
    }
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

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
