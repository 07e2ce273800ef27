//! A clock that moves when it is told to: tokens expire without anybody sleeping.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gatepass_core::{Clock, Now, SystemClock};

/// A clock that stands still until it is told to move; clones are the same clock.
///
/// Give it to the token server and to what is tested, and a token expires at a word:
///
/// ```
/// use std::time::Duration;
/// use gatepass_core::Clock;
/// let clock = gatepass_testkit::TestClock::start();
/// let before = clock.now();
/// clock.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now(), before.after(Duration::from_secs(3600)));
/// ```
#[derive(Clone)]
pub struct TestClock(Arc<Mutex<Now>>);

impl TestClock {
    /// A clock that shows the present.
    #[must_use]
    pub fn start() -> Self {
        Self(Arc::new(Mutex::new(SystemClock.now())))
    }

    /// Moves it on.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.after(by);
    }

    /// Moves the wall clock alone to this time since the Unix epoch, as an administrator would.
    pub fn set_wall(&self, wall: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = Now::new(now.monotonic(), wall);
    }

    /// The same clock, for whoever wants a shared one.
    #[must_use]
    pub fn shared(&self) -> Arc<dyn Clock> {
        Arc::new(self.clone())
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TestClock").field(&self.now()).finish()
    }
}
