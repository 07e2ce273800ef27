//! What became of changed configurations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counts them, and keeps what was wrong with the last one that was not taken over.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    taken: AtomicU64,
    rejected: AtomicU64,
    last_failure: Mutex<Option<String>>,
}

impl Reloads {
    pub(crate) fn taken(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
        self.keep(None);
    }

    pub(crate) fn rejected(&self, why: &str) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        self.keep(Some(why.to_owned()));
    }

    fn keep(&self, failure: Option<String>) {
        *self
            .last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// By outcome.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 2] {
        [
            ("taken", self.taken.load(Ordering::Relaxed)),
            ("rejected", self.rejected.load(Ordering::Relaxed)),
        ]
    }

    /// Why the last change was not taken over; none if it was.
    pub(crate) fn last_failure(&self) -> Option<String> {
        let failure = self.last_failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
