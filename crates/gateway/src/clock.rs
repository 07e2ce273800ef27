//! The clocks that durations are measured by and keys expire by; the only place that reads them.

#![expect(
    clippy::disallowed_methods,
    reason = "this file owns the gateway's clocks"
)]

use std::time::{Instant, SystemTime};

pub(crate) fn instant() -> Instant {
    Instant::now()
}

pub(crate) fn wall() -> SystemTime {
    SystemTime::now()
}
