//! Deadlines that cost next to nothing: a clock that moves in steps, and no timer for each request.
//!
//! Each worker thread looks at its deadlines ten times a second, so they are kept to within 0.1 s.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_util::task::AtomicWaker;
use hyper::rt::{Sleep, Timer};

use crate::clock;

const STEP: Duration = Duration::from_millis(100);
const NEVER: u64 = u64::MAX;

thread_local! {
    static TICKS: Ticks = Ticks {
        start: clock::instant(),
        now: Cell::new(0),
        entries: RefCell::new(Vec::new()),
    };
}

struct Ticks {
    start: Instant,
    /// Milliseconds since the start, at the last step.
    now: Cell<u64>,
    entries: RefCell<Vec<Arc<Entry>>>,
}

#[derive(Debug)]
struct Entry {
    at: AtomicU64,
    waker: AtomicWaker,
}

/// Moves this thread's steps on; runs for as long as the thread serves.
pub(crate) async fn run() {
    let mut steps = tokio::time::interval(STEP);
    steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        steps.tick().await;
        crate::access_log::flush_log();
        TICKS.with(|ticks| {
            let now = millis(ticks.start.elapsed());
            ticks.now.set(now);
            ticks.entries.borrow_mut().retain(|entry| {
                if entry.at.load(Ordering::Relaxed) <= now {
                    entry.waker.wake();
                }
                // Nobody else holds it: whoever waited is gone.
                Arc::strong_count(entry) > 1
            });
        });
    }
}

/// Wakes whoever waits for a deadline on this thread: something else changed that they look at.
pub(crate) fn wake_all() {
    TICKS.with(|ticks| {
        let entries = ticks.entries.borrow();
        entries.iter().for_each(|entry| entry.waker.wake());
    });
}

/// How long this thread has served, as of the last step.
pub(crate) fn since_start() -> Duration {
    Duration::from_millis(now())
}

fn now() -> u64 {
    TICKS.with(|ticks| ticks.now.get())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER)
}

/// A deadline that can be moved; without one until it is set.
#[derive(Clone, Debug)]
pub(crate) struct Deadline(Arc<Entry>);

impl Deadline {
    pub(crate) fn new() -> Self {
        let entry = Arc::new(Entry {
            at: AtomicU64::new(NEVER),
            waker: AtomicWaker::new(),
        });
        TICKS.with(|ticks| ticks.entries.borrow_mut().push(Arc::clone(&entry)));
        Self(entry)
    }

    /// So long from now.
    pub(crate) fn set(&self, from_now: Duration) {
        // A step may be due at once: one more is added so that none is short.
        let at = now()
            .saturating_add(millis(from_now))
            .saturating_add(millis(STEP));
        self.0.at.store(at, Ordering::Relaxed);
    }

    /// Never, until it is set again.
    pub(crate) fn clear(&self) {
        self.0.at.store(NEVER, Ordering::Relaxed);
    }

    /// Whether it has passed, and so long ago.
    pub(crate) fn passed_for(&self, time: Duration) -> bool {
        let at = self.0.at.load(Ordering::Relaxed);
        at.saturating_add(millis(time)) <= now()
    }

    /// How long it is yet; none without one.
    pub(crate) fn left(&self) -> Option<Duration> {
        let at = self.0.at.load(Ordering::Relaxed);
        (at != NEVER).then(|| Duration::from_millis(at.saturating_sub(now())))
    }

    /// Whether it has passed; if not, the task is woken when it does.
    pub(crate) fn poll_passed(&self, context: &mut Context<'_>) -> bool {
        self.0.waker.register(context.waker());
        self.0.at.load(Ordering::Relaxed) <= now()
    }
}

/// The future's output, or nothing once the deadline has passed.
pub(crate) async fn before<F: Future>(
    deadline: &Deadline,
    mut future: Pin<&mut F>,
) -> Option<F::Output> {
    std::future::poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if deadline.poll_passed(context) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// hyper's timers on these steps.
#[derive(Clone, Debug)]
pub(crate) struct StepTimer;

struct StepSleep(Deadline);

impl Future for StepSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0.poll_passed(context) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Sleep for StepSleep {}

impl Timer for StepTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        let deadline = Deadline::new();
        deadline.set(duration);
        Box::pin(StepSleep(deadline))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, new_deadline: Instant) {
        let from_now = new_deadline.saturating_duration_since(self.now());
        match sleep.as_mut().downcast_mut_pin::<StepSleep>() {
            Some(sleep) => sleep.0.set(from_now),
            None => *sleep = self.sleep(from_now),
        }
    }

    /// The time of the last step: what is measured from it is as coarse as the steps.
    fn now(&self) -> Instant {
        TICKS.with(|ticks| ticks.start + Duration::from_millis(ticks.now.get()))
    }
}
