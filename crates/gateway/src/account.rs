//! What is counted and written down of each request.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant, SystemTime};

use gatepass_config::AccessLog;
use gatepass_core::Stamp;
use http::{HeaderValue, Method, StatusCode};

use crate::clock;
use crate::problem::Part;

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

/// What is written down of one request, when its answer has ended.
#[derive(Debug)]
pub(crate) struct Account {
    counters: Arc<Counters>,
    start: Instant,
    sent: Option<Instant>,
    upstream: Duration,
    status: StatusCode,
    part: Option<Part>,
    line: Option<Box<Line>>,
    ended: bool,
}

/// What the access log says beside the numbers.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) form: AccessLog,
    pub(crate) method: Method,
    pub(crate) deployment: String,
    pub(crate) caller: String,
    pub(crate) request_id: HeaderValue,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) replayed: bool,
}

impl Account {
    pub(crate) fn open(counters: Arc<Counters>, line: Option<Box<Line>>) -> Self {
        add(&counters.in_flight, 1);
        Self {
            counters,
            start: clock::instant(),
            sent: None,
            upstream: Duration::ZERO,
            status: StatusCode::OK,
            part: None,
            line,
            ended: false,
        }
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

    /// This is what the caller gets.
    pub(crate) fn status(&mut self, status: StatusCode, part: Option<Part>) {
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

    /// The answer's body ended, whole or not.
    pub(crate) fn ended(&mut self, whole: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        add(&self.counters.in_flight, u64::MAX);
        if !whole {
            add(&self.counters.broken, 1);
        }
        if let Some(line) = self.line.take() {
            self.write(&line, whole);
        }
    }

    fn write(&self, line: &Line, whole: bool) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let now = clock::wall()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let (total, upstream) = (micros(self.start.elapsed()), micros(self.upstream));
        let failed = self.part.map_or("", Part::name);
        let id = line.request_id.to_str().unwrap_or_default();
        LOG.with_borrow_mut(|log| {
            let text = &mut log.text;
            // Names are checked when they are read and ids when they come: nothing needs escapes.
            let _into_memory = match line.form {
                AccessLog::Off => return,
                AccessLog::Json => writeln!(
                    text,
                    "{{\"time\":{}.{:03},\"caller\":\"{}\",\"deployment\":\"{}\",\"method\":\"{}\",\"status\":{},\"failed\":\"{failed}\",\"whole\":{whole},\"credential\":{},\"replayed\":{},\"total_us\":{total},\"upstream_us\":{upstream},\"request_id\":\"{id}\"}}",
                    now.as_secs(),
                    now.subsec_millis(),
                    line.caller,
                    line.deployment,
                    line.method,
                    self.status.as_u16(),
                    line.stamp.map_or_else(|| "null".to_owned(), |stamp| stamp.to_string()),
                    line.replayed,
                ),
                AccessLog::Text => writeln!(
                    text,
                    "{}.{:03} {} {} {} {}{}{}{} {total}us upstream {upstream}us {id}",
                    now.as_secs(),
                    now.subsec_millis(),
                    line.caller,
                    line.method,
                    line.deployment,
                    self.status.as_u16(),
                    if failed.is_empty() { "" } else { " failed=" },
                    failed,
                    if whole { "" } else { " broken" },
                ),
            };
            if log.text.len() > FLUSH_AT {
                log.flush();
            }
        });
    }
}

impl Drop for Account {
    /// Whoever drops it early went away.
    fn drop(&mut self) {
        self.ended(false);
    }
}

const FLUSH_AT: usize = 16 * 1024;

thread_local! {
    static LOG: RefCell<Log> = const { RefCell::new(Log { text: String::new(), to: None, lost: 0 }) };
}

/// This thread's lines, on their way to the thread that writes them.
struct Log {
    text: String,
    to: Option<SyncSender<String>>,
    lost: u64,
}

impl Log {
    fn flush(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let text = std::mem::take(&mut self.text);
        let lines = text.lines().count() as u64;
        let sent = self.to.as_ref().is_some_and(|to| to.try_send(text).is_ok());
        if sent && self.lost > 0 {
            tracing::warn!(
                lines = self.lost,
                "the access log was not written fast enough"
            );
            self.lost = 0;
        } else if !sent {
            // A log that nobody reads must not hold up requests.
            self.lost += lines;
        }
    }
}

/// Lines of this thread go there from now on.
pub(crate) fn log_to(to: SyncSender<String>) {
    LOG.with_borrow_mut(|log| log.to = Some(to));
}

/// Hands over what was written since the last time; called every tick.
pub(crate) fn flush_log() {
    LOG.with_borrow_mut(Log::flush);
}
