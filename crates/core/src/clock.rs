//! Time as an argument: the one file of the workspace that reads the real clocks.

use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment on both clocks: the monotonic one, and the wall clock.
///
/// Both are needed: the monotonic clock of Linux and macOS stands still while a machine sleeps, and
/// the wall clock jumps. Whatever must not be used past a deadline looks at both.
///
/// ```
/// use std::time::Duration;
/// let now = gatepass_core::Now::new(Duration::from_secs(5), Duration::from_secs(1_700_000_000));
/// assert_eq!(now.after(Duration::from_secs(2)).monotonic(), Duration::from_secs(7));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    monotonic: Duration,
    wall: Duration,
}

impl Now {
    /// A moment from its two readings: since the clock's own start, and since the Unix epoch.
    #[must_use]
    pub const fn new(monotonic: Duration, wall: Duration) -> Self {
        Self { monotonic, wall }
    }

    /// Time since the clock's own start; never goes backwards.
    #[must_use]
    pub const fn monotonic(self) -> Duration {
        self.monotonic
    }

    /// Time since the Unix epoch; may jump both ways.
    #[must_use]
    pub const fn wall(self) -> Duration {
        self.wall
    }

    /// The moment `by` later on both clocks; saturates instead of overflowing.
    #[must_use]
    pub const fn after(self, by: Duration) -> Self {
        Self {
            monotonic: self.monotonic.saturating_add(by),
            wall: self.wall.saturating_add(by),
        }
    }

    /// Whether `deadline` has passed on either clock, whichever comes first.
    #[must_use]
    pub fn reached(self, deadline: Self) -> bool {
        self.monotonic >= deadline.monotonic || self.wall >= deadline.wall
    }

    /// How long until `deadline`, on whichever clock comes first; zero once reached.
    #[must_use]
    pub fn until(self, deadline: Self) -> Duration {
        let monotonic = deadline.monotonic.saturating_sub(self.monotonic);
        monotonic.min(deadline.wall.saturating_sub(self.wall))
    }
}

/// Where the time comes from; tests pass one of their own.
///
/// ```
/// use gatepass_core::{Clock, SystemClock};
/// let first = SystemClock.now();
/// assert!(SystemClock.now().monotonic() >= first.monotonic());
/// ```
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// This moment on both clocks.
    fn now(&self) -> Now;
}

/// The machine's clocks.
///
/// ```
/// use gatepass_core::{Clock, SystemClock};
/// assert!(SystemClock.now().wall().as_secs() > 1_700_000_000);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this file owns the real clocks")]
    fn now(&self) -> Now {
        static START: OnceLock<Instant> = OnceLock::new();
        let monotonic = START.get_or_init(Instant::now).elapsed();
        Now::new(
            monotonic,
            SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic: u64, wall: u64) -> Now {
        Now::new(Duration::from_secs(monotonic), Duration::from_secs(wall))
    }

    #[test]
    fn either_clock_ends_a_lifetime() {
        let deadline = at(10, 110);
        assert!(!at(9, 109).reached(deadline));
        assert!(at(10, 0).reached(deadline), "the wall clock was set back");
        assert!(at(0, 110).reached(deadline), "the machine slept");
        assert_eq!(at(8, 105).until(deadline), Duration::from_secs(2));
    }

    #[test]
    fn a_lifetime_beyond_the_end_of_time_saturates() {
        assert!(!at(1, 1).reached(at(1, 1).after(Duration::MAX)));
    }
}
