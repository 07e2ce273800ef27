//! What is counted of each request, and written down when it has ended.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gatepass_core::Stamp;
use http::StatusCode;

use crate::access_log::{Ended, Line};
use crate::clock;
use crate::problem::{Part, Problem};
use crate::routes::Route;

/// Upper ends of the buckets of a duration, in microseconds.
pub(crate) const BUCKETS: [u64; 18] = [
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    10_000_000,
    60_000_000,
    600_000_000,
];

/// The numbers of one caller at one deployment, written by one thread alone.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Answers by the first digit of their status, less one.
    pub(crate) by_class: [AtomicU64; 5],
    /// Errors that the gateway answered with, by [`Part`].
    pub(crate) by_part: [AtomicU64; 4],
    pub(crate) replays: AtomicU64,
    pub(crate) stripped: AtomicU64,
    pub(crate) broken: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) gateway: Durations,
    pub(crate) upstream: Durations,
}

#[derive(Debug, Default)]
pub(crate) struct Durations {
    pub(crate) buckets: [AtomicU64; BUCKETS.len() + 1],
    pub(crate) micros: AtomicU64,
}

impl Durations {
    fn add(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().position(|end| micros <= *end);
        add(&self.buckets[bucket.unwrap_or(BUCKETS.len())], 1);
        add(&self.micros, micros);
    }
}

/// Without a locked instruction: one thread writes, others read.
fn add(counter: &AtomicU64, more: u64) {
    let now = counter.load(Ordering::Relaxed).wrapping_add(more);
    counter.store(now, Ordering::Relaxed);
}

/// What is known of one request; settled when its answer has ended.
pub(crate) struct Account {
    route: Rc<Route>,
    counters: Arc<Counters>,
    start: Instant,
    sent: Option<Instant>,
    upstream: Duration,
    status: StatusCode,
    part: Option<Part>,
    line: Option<Box<Line>>,
    /// Counted among those that the deployment's limit allows.
    admitted: bool,
    ended: bool,
}

impl Account {
    pub(crate) fn open(route: Rc<Route>, counters: Arc<Counters>, line: Option<Box<Line>>) -> Self {
        add(&counters.in_flight, 1);
        Self {
            route,
            counters,
            start: clock::instant(),
            sent: None,
            upstream: Duration::ZERO,
            status: StatusCode::OK,
            part: None,
            line,
            admitted: false,
            ended: false,
        }
    }

    /// Takes one of the places that the deployment has, where it has a limit.
    pub(crate) fn admit(&mut self) -> Result<(), Problem> {
        let Some(most) = self.route.deployment.limits().in_flight else {
            return Ok(());
        };
        self.admitted = self.route.standing.enter(most);
        if self.admitted {
            return Ok(());
        }
        let name = self.route.deployment.name();
        let detail = format!(
            "deployment \"{name}\" has {most} requests under way already: wait, or raise in_flight_limit"
        );
        Err(Problem::busy(detail))
    }

    pub(crate) fn stripped(&self, headers: usize) {
        if headers > 0 {
            add(&self.counters.stripped, headers as u64);
        }
    }

    pub(crate) fn sent_with(&mut self, stamp: Option<Stamp>) {
        self.sent = Some(clock::instant());
        if let Some(line) = &mut self.line {
            line.stamp = stamp;
        }
    }

    pub(crate) fn replayed(&mut self) {
        add(&self.counters.replays, 1);
        if let Some(line) = &mut self.line {
            line.replayed = true;
        }
    }

    /// The upstream's answer began, or there will be none.
    pub(crate) fn answered(&mut self) {
        if let Some(sent) = self.sent.take() {
            self.upstream += sent.elapsed();
        }
    }

    /// This is what the caller gets from the upstream.
    pub(crate) fn passed(&mut self, status: StatusCode) {
        self.status(status, None);
    }

    /// The caller gets this instead of an answer.
    pub(crate) fn failed(&mut self, problem: &Problem) {
        self.route.standing.failed(problem);
        self.status(problem.status, Some(problem.part));
    }

    fn status(&mut self, status: StatusCode, part: Option<Part>) {
        self.status = status;
        self.part = part;
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        add(&self.counters.by_class[class], 1);
        if let Some(part) = part {
            add(&self.counters.by_part[part as usize], 1);
        }
        let head = self.start.elapsed();
        self.counters
            .gateway
            .add(head.saturating_sub(self.upstream));
        if !self.upstream.is_zero() {
            self.counters.upstream.add(self.upstream);
        }
    }

    /// The answer broke off for this reason.
    pub(crate) fn broke(&mut self, why: &str) {
        let name = self.route.deployment.name();
        let detail = format!("an answer of deployment \"{name}\" broke off: {why}");
        let problem = Problem::upstream(self.status, detail);
        self.route.standing.failed(&problem);
        self.ended(false);
    }

    /// The answer's body ended, whole or not.
    pub(crate) fn ended(&mut self, whole: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        add(&self.counters.in_flight, u64::MAX);
        if std::mem::take(&mut self.admitted) {
            self.route.standing.leave();
        }
        if !whole {
            add(&self.counters.broken, 1);
        }
        if let Some(line) = self.line.take() {
            line.write(Ended {
                status: self.status,
                part: self.part,
                whole,
                total: self.start.elapsed(),
                upstream: self.upstream,
            });
        }
    }
}

impl Drop for Account {
    /// Whoever drops it early went away.
    fn drop(&mut self) {
        self.ended(false);
    }
}
