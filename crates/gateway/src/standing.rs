//! What all threads together know of a deployment; it outlives reloads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;
use crate::problem::{Part, Problem};

/// What all threads together know of a deployment.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Requests under way; counted only where there is a limit.
    under_way: AtomicU64,
    last_failure: Mutex<Option<Failure>>,
}

/// The last thing that went wrong with a deployment.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    at: Instant,
    pub(crate) part: Part,
    pub(crate) status: u16,
    /// Cause and fix.
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn age(&self) -> Duration {
        clock::instant().saturating_duration_since(self.at)
    }
}

impl Standing {
    /// Takes a place, if one is free; [`Standing::leave`] gives it back.
    pub(crate) fn enter(&self, most: u64) -> bool {
        let free = |now| (now < most).then_some(now + 1);
        let taken = self
            .under_way
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        taken.is_ok()
    }

    pub(crate) fn leave(&self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// Notes a failure, unless it is the caller's own.
    pub(crate) fn failed(&self, problem: &Problem) {
        if problem.part == Part::Gateway && problem.status.is_client_error() {
            return;
        }
        let failure = Failure {
            at: clock::instant(),
            part: problem.part,
            status: problem.status.as_u16(),
            detail: problem.detail.clone(),
        };
        *self.lock() = Some(failure);
    }

    pub(crate) fn last_failure(&self) -> Option<Failure> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Failure>> {
        self.last_failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
