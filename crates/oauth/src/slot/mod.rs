//! One credential at work: callers that wait, the exchange in flight, and who is told of it.
//!
//! What may happen when is the [`machine`]'s; here it meets the runtime. The lock is never held
//! across an await, and whatever ends a flight, a drop included, settles it.

mod machine; // when an exchange may start, and what comes of its end
#[cfg(all(test, gatepass_loom))]
mod model; // every interleaving of the machine

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use gatepass_core::{AuthError, Clock, ErrorKind, Lease, Now, Ready, Stamp, Verdict};
use tokio::runtime::Handle;
use tokio::sync::watch;

use self::machine::{Machine, Settled, Step};
use crate::cache::Home;
use crate::error::{TokenError, TokenErrorKind};
use crate::front::Holds;
use crate::grant::Grant;
use crate::observer::{Event, Observer, Rejection, tell};
use crate::store::Kept;
use crate::tuning::Tuning;

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
    machine: Machine<watch::Receiver<Outcome>>,
    /// Callers that wait for the exchange in flight.
    waiters: AtomicUsize,
    home: Home,
}

impl Slot {
    pub(crate) fn new(work: Work, home: Home) -> Self {
        Self {
            work,
            machine: Machine::new(),
            waiters: AtomicUsize::new(0),
            home,
        }
    }

    /// Where tokens come from.
    pub(crate) fn label(&self) -> &str {
        self.work.grant.label()
    }

    /// Whether the last exchange failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.machine.is_failing()
    }

    /// A live lease: the held one, or the next one that is obtained.
    ///
    /// Waits at most 11 s, and through at most one failed exchange; without a live lease and without
    /// a near attempt it fails at once with the last error and how long to wait.
    pub(crate) async fn lease(self: &Arc<Self>) -> Result<Ready, AuthError> {
        let Ok(runtime) = Handle::try_current() else {
            let message = "fetching a token needs a tokio runtime: call from within one";
            return Err(TokenError::new(TokenErrorKind::Interrupted, message).for_caller(None));
        };
        let limit = self.work.tuning.wait_timeout;
        match tokio::time::timeout(limit, self.wait(&runtime)).await {
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

    async fn wait(self: &Arc<Self>, runtime: &Handle) -> Result<Ready, AuthError> {
        let mut failed_before = false;
        loop {
            let mut departure = None;
            let step = self.machine.step(self.now(), |delay| {
                let (sender, receiver) = watch::channel(None);
                departure = Some((sender, delay));
                receiver
            });
            if let Some((sender, delay)) = departure {
                self.launch(runtime, sender, delay);
            }
            let mut flight = match step {
                Step::Held(lease) => return Ok(Ready::new(lease)),
                Step::Fail(error, wait) => return Err(error.for_caller(Some(wait))),
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
                    return Err(error.for_caller(self.machine.pause_left(self.now())));
                }
                Some(Err(_)) | None => failed_before = true,
            }
        }
    }

    /// Starts a background renewal if the time has come and nothing speaks against it. Cheap when
    /// there is nothing to do.
    pub(crate) fn renew_if_due(self: &Arc<Self>, now: Now) {
        let mut departure = None;
        self.machine.renew_if_due(now, || {
            // Without a runtime there is no background; the first caller past the end will wait.
            let runtime = Handle::try_current().ok()?;
            let (sender, receiver) = watch::channel(None);
            departure = Some((runtime, sender));
            Some(receiver)
        });
        if let Some((runtime, sender)) = departure {
            self.launch(&runtime, sender, Duration::ZERO);
        }
    }

    /// Puts an exchange on its way, in a task of its own that no caller can abort. No lock may be
    /// held: a runtime that is being shut down drops the task, which settles, at once.
    fn launch(self: &Arc<Self>, runtime: &Handle, sender: watch::Sender<Outcome>, delay: Duration) {
        let flight = Flight {
            slot: Arc::clone(self),
            sender: Some(sender),
            start: self.now().monotonic(),
        };
        runtime.spawn(flight.fly(delay));
    }

    /// Takes the rejected lease away if it is still the current one.
    ///
    /// Fails while rejections are backed off: the upstream's answer then goes to the caller.
    pub(crate) fn reject(&self, stamp: Stamp) -> Result<(), AuthError> {
        let now = self.now();
        let age = self.machine.age(stamp, now);
        let outcome = self.machine.take_away(stamp, now);
        self.tell(&Event::Rejected {
            stamp,
            outcome,
            age,
        });
        if outcome == Rejection::BackedOff {
            let message =
                "a fresh token is rejected as well: the token is good, its rights are not";
            return Err(AuthError::new(ErrorKind::Unchanged, message));
        }
        Ok(())
    }

    /// What a rejection of the lease with this stamp calls for.
    pub(crate) fn verdict(&self, stamp: Stamp) -> Verdict {
        self.machine.verdict(stamp, self.now())
    }

    fn settle(self: &Arc<Self>, outcome: &Result<Arc<Lease>, TokenError>, took: Duration) {
        let waiters = self.waiters.load(Ordering::Relaxed);
        let event = match (self.machine.settle(self.now(), outcome), outcome) {
            (
                Settled::Obtained {
                    usable,
                    replaced_age,
                },
                Ok(lease),
            ) => Some(Event::Obtained {
                took,
                stamp: lease.stamp(),
                usable,
                waiters,
                replaced_age,
            }),
            (Settled::Failed { next, live }, Err(error)) => Some(Event::Failed {
                took,
                kind: error.kind(),
                message: error.message(),
                next,
                live,
                held: !error.is_transient(),
            }),
            _ => None,
        };
        if let Some(event) = event {
            self.tell(&event);
        }
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
        let now = self.now();
        let lease = self.current().and_then(|lease| lease.hard());
        let lease = lease.map_or(Duration::ZERO, |hard| now.until(hard));
        lease
            .max(self.machine.pause_left(now).unwrap_or_default())
            .max(Duration::from_secs(60))
    }

    fn now(&self) -> Now {
        self.work.clock.now()
    }
}

impl Holds for Slot {
    /// The current lease, live or not.
    fn current(&self) -> Option<Arc<Lease>> {
        self.machine.current()
    }
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

/// An exchange on its way. Dropped before its end, it settles as interrupted: nothing wedges.
struct Flight {
    slot: Arc<Slot>,
    sender: Option<watch::Sender<Outcome>>,
    /// When it began, on the monotonic clock.
    start: Duration,
}

impl Flight {
    async fn fly(mut self, delay: Duration) {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let slot = Arc::clone(&self.slot);
        let now = slot.now();
        self.start = now.monotonic();
        let rejected = slot.machine.begin(now, slot.work.tuning.floor());
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
            let now = self.slot.now().monotonic();
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
