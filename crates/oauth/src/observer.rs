//! What happens in the engine, told to whoever counts it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gatepass_core::Stamp;

use crate::error::TokenErrorKind;

/// Something that happened on the cold path.
///
/// ```
/// use gatepass_oauth::Event;
/// fn is_trouble(event: &Event<'_>) -> bool {
///     matches!(event, Event::Failed { .. } | Event::RotationFailed { .. })
/// }
/// assert!(!is_trouble(&Event::Rotated));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// An exchange is under way.
    ExchangeStarted {
        /// Callers that wait for it.
        waiters: usize,
    },
    /// An exchange gave a lease.
    Obtained {
        /// How long it took.
        took: Duration,
        /// The lease.
        stamp: Stamp,
        /// How long it may be used from now on.
        usable: Duration,
        /// Callers that waited for it.
        waiters: usize,
        /// The age of the lease it replaces; `None` without one, or after a rejection took it.
        replaced_age: Option<Duration>,
    },
    /// An exchange gave none.
    Failed {
        /// How long it took.
        took: Duration,
        /// What went wrong.
        kind: TokenErrorKind,
        /// What went wrong, for people.
        message: &'a str,
        /// When the next one may start, from now.
        next: Duration,
        /// Whether a live lease serves meanwhile.
        live: bool,
        /// Whether the refusal is held so that a bad secret cannot lock an account.
        held: bool,
    },
    /// The upstream rejected a lease.
    Rejected {
        /// The lease.
        stamp: Stamp,
        /// What came of it.
        outcome: Rejection,
        /// Its age; `None` where it was replaced already.
        age: Option<Duration>,
    },
    /// A changed secret was proved and took over.
    Rotated,
    /// A changed secret was not proved; the working one stays.
    RotationFailed {
        /// What went wrong, for people.
        message: &'a str,
    },
}

/// What came of a rejected lease.
///
/// ```
/// assert_ne!(gatepass_oauth::Rejection::Late, gatepass_oauth::Rejection::Dropped);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// It was the current one and is dropped.
    Dropped,
    /// It was replaced already.
    Late,
    /// Fresh leases are rejected as well: the answer passes, nothing is renewed for a while.
    BackedOff,
}

/// Is told what happens on the cold path of the engine. Metrics are built on it.
///
/// Called while no lock is held, from whatever task it happens in: it must not block.
///
/// ```
/// use gatepass_oauth::{Event, Observer, TokenCache};
///
/// #[derive(Debug)]
/// struct Printing;
///
/// impl Observer for Printing {
///     fn event(&self, label: &str, event: &Event<'_>) {
///         if let Event::Failed { kind, .. } = event {
///             eprintln!("{label}: {kind:?}");
///         }
///     }
/// }
///
/// let cache = TokenCache::observed(std::sync::Arc::new(Printing));
/// assert!(cache.is_empty());
/// ```
pub trait Observer: fmt::Debug + Send + Sync + 'static {
    /// Something happened to the credential whose tokens come from `label`.
    fn event(&self, label: &str, event: &Event<'_>);
}

/// Tells `tracing` alone.
#[derive(Debug)]
pub(crate) struct Nobody;

impl Observer for Nobody {
    fn event(&self, _: &str, _: &Event<'_>) {}
}

/// Writes the event where people look for it, then tells the observer.
pub(crate) fn tell(observer: &dyn Observer, label: &str, event: &Event<'_>) {
    match event {
        Event::Failed {
            message,
            next,
            live,
            ..
        } => {
            tracing::warn!(label, error = message, next = ?next, live, "no token obtained");
        }
        Event::RotationFailed { message } => {
            tracing::warn!(
                label,
                error = message,
                "a changed secret does not work, the old one stays"
            );
        }
        event => tracing::debug!(label, ?event, "token engine"),
    }
    // An observer that panics must not take the exchange along.
    let telling = AssertUnwindSafe(|| observer.event(label, event));
    if catch_unwind(telling).is_err() {
        tracing::warn!(label, "the observer panicked");
    }
}
