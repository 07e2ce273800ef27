//! The access log: a line for each request, written by a thread of its own.

use std::cell::RefCell;
use std::fmt::Write;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, SystemTime};

use gatepass_config::AccessLog;
use gatepass_core::Stamp;
use http::{HeaderValue, Method, StatusCode};

use crate::clock;
use crate::problem::Part;

/// What the access log says of a request beside how it ended.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) form: AccessLog,
    pub(crate) method: Method,
    /// Empty where the request was refused before it was known.
    pub(crate) deployment: String,
    pub(crate) caller: String,
    pub(crate) request_id: HeaderValue,
    /// The trace that the caller says it belongs to.
    pub(crate) trace: Option<Trace>,
    pub(crate) stamp: Option<Stamp>,
    pub(crate) replayed: bool,
}

/// The id of a trace: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trace([u8; 32]);

impl Trace {
    /// Of a `traceparent` header (W3C Trace Context s3.2); none where it has another form.
    pub(crate) fn of(traceparent: &HeaderValue) -> Option<Self> {
        let id = traceparent.as_bytes().get(3..35)?;
        let hexadecimal = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let whole = traceparent.as_bytes().get(35) == Some(&b'-');
        let id: [u8; 32] = id.try_into().ok()?;
        (whole && id.iter().all(hexadecimal)).then_some(Self(id))
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(crate) status: StatusCode,
    pub(crate) part: Option<Part>,
    /// Whether the caller got all of the answer.
    pub(crate) whole: bool,
    pub(crate) total: Duration,
    pub(crate) upstream: Duration,
}

impl Line {
    pub(crate) fn write(&self, ended: Ended) {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let now = clock::wall()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let (total, upstream) = (micros(ended.total), micros(ended.upstream));
        let failed = ended.part.map_or("", Part::name);
        let id = self.request_id.to_str().unwrap_or_default();
        LOG.with_borrow_mut(|log| {
            let text = &mut log.text;
            // Names are checked when they are read and ids when they come: nothing needs escapes.
            let _into_memory = match self.form {
                AccessLog::Off => return,
                AccessLog::Json => writeln!(
                    text,
                    "{{\"time\":{}.{:03},\"caller\":\"{}\",\"deployment\":\"{}\",\"method\":\"{}\",\"status\":{},\"failed\":\"{failed}\",\"whole\":{},\"credential\":{},\"replayed\":{},\"total_us\":{total},\"upstream_us\":{upstream},\"request_id\":\"{id}\",\"trace\":\"{}\"}}",
                    now.as_secs(),
                    now.subsec_millis(),
                    self.caller,
                    self.deployment,
                    self.method,
                    ended.status.as_u16(),
                    ended.whole,
                    self.stamp
                        .map_or_else(|| "null".to_owned(), |stamp| stamp.to_string()),
                    self.replayed,
                    self.trace.as_ref().map_or("", Trace::as_str),
                ),
                AccessLog::Text => writeln!(
                    text,
                    "{}.{:03} {} {} {} {}{}{}{} {total}us upstream {upstream}us {id}",
                    now.as_secs(),
                    now.subsec_millis(),
                    known(&self.caller),
                    self.method,
                    known(&self.deployment),
                    ended.status.as_u16(),
                    if failed.is_empty() { "" } else { " failed=" },
                    failed,
                    if ended.whole { "" } else { " broken" },
                ),
            };
            if log.text.len() > FLUSH_AT {
                log.flush();
            }
        });
    }
}

fn known(name: &str) -> &str {
    if name.is_empty() { "-" } else { name }
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
