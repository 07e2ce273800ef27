//! How far the clock of this machine is from a server's, by the `Date` of its reply.

use std::fmt;
use std::time::Duration;

use gatepass_core::Now;
use http::HeaderMap;
use http::header::DATE;

/// Differences below this are the network's, and of `Date` being whole seconds.
const WORTH_A_NOTE: u64 = 30;

/// How far the clock of this machine is from a server's, in seconds (RFC 9110 s6.6.1).
///
/// ```
/// use std::time::Duration;
/// use gatepass_core::Now;
/// use gatepass_oauth::Skew;
/// let mut headers = http::HeaderMap::new();
/// headers.insert("date", "Thu, 01 Jan 1970 00:10:00 GMT".parse().unwrap());
/// let skew = Skew::of(&headers, Now::new(Duration::ZERO, Duration::ZERO)).unwrap();
/// assert_eq!(skew.to_string(), "this machine's clock is 600 s behind that");
/// assert!(skew.is_worth_a_note());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// Seconds this machine is ahead; negative when it is behind.
    ahead: i64,
}

impl Skew {
    /// Compares `now` with the `Date` of a reply; `None` without a readable one.
    #[must_use]
    pub fn of(headers: &HeaderMap, now: Now) -> Option<Self> {
        let date = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
        let theirs = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        Some(Self {
            ahead: seconds(now.wall()).saturating_sub(seconds(theirs)),
        })
    }

    /// Seconds this machine is ahead of the server; negative when it is behind.
    #[must_use]
    pub fn ahead(self) -> i64 {
        self.ahead
    }

    /// Whether it is more than a slow network explains (30 s).
    #[must_use]
    pub fn is_worth_a_note(self) -> bool {
        self.ahead.unsigned_abs() >= WORTH_A_NOTE
    }
}

impl fmt::Display for Skew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.ahead < 0 { "behind" } else { "ahead of" };
        let seconds = self.ahead.unsigned_abs();
        write!(f, "this machine's clock is {seconds} s {way} that")
    }
}
