//! When a lease should be renewed, and when it must not be used any more.

use std::time::Duration;

use gatepass_core::Now;

/// No lifetime is trusted for longer than this.
pub(crate) const MAX_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The two deadlines of a lease.
///
/// ```
/// use std::time::Duration;
/// let start = gatepass_core::Now::new(Duration::ZERO, Duration::ZERO);
/// let due = gatepass_oauth::deadlines(start, Duration::from_secs(60), 0.0);
/// assert_eq!((due.soft, due.hard), (start.after(Duration::from_secs(45)), start.after(Duration::from_secs(54))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// From here on it should be renewed.
    pub soft: Now,
    /// From here on it must not be used.
    pub hard: Now,
}

/// The deadlines of a lease that lives `lifetime` from `sent`, the moment before its request left.
///
/// The margin before the end is a tenth of the lifetime, at least a second where that is no more
/// than a quarter, at most 30 s; the window for renewal is 15 % of the lifetime before the hard
/// deadline, and begins up to a quarter earlier by `jitter` (0 to 1), so that fleets do not renew in
/// step.
///
/// ```
/// use std::time::Duration;
/// use gatepass_core::Now;
/// let start = Now::new(Duration::ZERO, Duration::ZERO);
/// let hour = gatepass_oauth::deadlines(start, Duration::from_secs(3600), 0.0);
/// assert_eq!(hour.soft.monotonic().as_secs(), 3270);
/// assert_eq!(hour.hard.monotonic().as_secs(), 3570);
/// ```
#[must_use]
pub fn deadlines(sent: Now, lifetime: Duration, jitter: f64) -> Deadlines {
    deadlines_by(sent, lifetime.min(MAX_LIFETIME), jitter, None, None)
}

/// The same with a margin and a window of one's own.
pub(crate) fn deadlines_by(
    sent: Now,
    lifetime: Duration,
    jitter: f64,
    margin: Option<Duration>,
    window: Option<Duration>,
) -> Deadlines {
    let seconds = |n: u64| Duration::from_secs(n);
    let margin = match margin {
        Some(margin) => margin.min(lifetime / 2),
        None => (lifetime / 10)
            .max(seconds(1).min(lifetime / 4))
            .min(seconds(30)),
    };
    let hard = lifetime - margin;
    let cap = match lifetime.as_secs() {
        0..=3600 => seconds(5 * 60),
        3601..=43200 => seconds(15 * 60),
        _ => seconds(60 * 60),
    };
    let window = match window {
        Some(window) => window.min(hard / 2),
        None => (lifetime.saturating_mul(3) / 20).min(cap),
    };
    let early = (window / 4).mul_f64(jitter.clamp(0.0, 1.0));
    let soft = hard.saturating_sub(window).saturating_sub(early);
    Deadlines {
        soft: sent.after(soft),
        hard: sent.after(hard),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(lifetime_ms: u64, soft_ms: u128, hard_ms: u128) {
        let start = Now::new(Duration::ZERO, Duration::ZERO);
        let got = deadlines(start, Duration::from_millis(lifetime_ms), 0.0);
        assert_eq!(
            (
                got.soft.monotonic().as_millis(),
                got.hard.monotonic().as_millis()
            ),
            (soft_ms, hard_ms)
        );
    }

    #[test]
    fn the_designed_points() {
        check(0, 0, 0);
        check(1_000, 600, 750);
        check(5_000, 3_250, 4_000);
        check(60_000, 45_000, 54_000);
        check(3_600_000, 3_270_000, 3_570_000);
    }

    proptest! {
        #[test]
        fn soft_before_hard_before_the_end(millis: u64, jitter in 0.0..1.0f64) {
            let start = Now::new(Duration::ZERO, Duration::ZERO);
            let lifetime = Duration::from_millis(millis);
            let got = deadlines(start, lifetime, jitter);
            prop_assert!(got.soft.monotonic() <= got.hard.monotonic());
            prop_assert!(got.hard.monotonic() <= lifetime.min(MAX_LIFETIME));
        }
    }
}
