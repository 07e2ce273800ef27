//! The knobs of the token engine.

use std::time::Duration;

use gatepass_core::Now;

use crate::lifetime::{self, Deadlines};

/// How an engine treats the tokens of one credential; part of what tells credentials apart.
///
/// ```
/// use std::time::Duration;
/// use gatepass_oauth::Tuning;
/// let mut tuning = Tuning::default();
/// assert_eq!(tuning.exchange_timeout, Duration::from_secs(10));
/// tuning.margin = Some(Duration::from_secs(40));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tuning {
    /// How long before its end a token is used no more; by default a tenth of its lifetime, 30 s at
    /// most. Never more than half of the lifetime.
    pub margin: Option<Duration>,
    /// How long before that it is renewed; by default 15 % of its lifetime, with a cap. Never more
    /// than half of what is left.
    pub renew_before: Option<Duration>,
    /// No lifetime is trusted for longer than this (24 h).
    pub max_lifetime: Duration,
    /// Between the starts of two exchanges (1 s, and never less).
    pub min_interval: Duration,
    /// Limit for one exchange (10 s).
    pub exchange_timeout: Duration,
    /// Limit for a caller that waits for a token (11 s).
    pub wait_timeout: Duration,
    /// How often secrets that may change are looked at while calls are made (10 s).
    pub look_interval: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            margin: None,
            renew_before: None,
            max_lifetime: lifetime::MAX_LIFETIME,
            min_interval: seconds(1),
            exchange_timeout: seconds(10),
            wait_timeout: seconds(11),
            look_interval: seconds(10),
        }
    }
}

impl Tuning {
    /// The deadlines of a lease that lives `lifetime` from `sent`; see [`crate::deadlines`].
    #[must_use]
    pub fn deadlines(&self, sent: Now, lifetime: Duration, jitter: f64) -> Deadlines {
        let lifetime = lifetime.min(self.max_lifetime);
        lifetime::deadlines_by(sent, lifetime, jitter, self.margin, self.renew_before)
    }

    /// The pause between the starts of two exchanges, kept above what no server should bear.
    pub(crate) fn floor(&self) -> Duration {
        self.min_interval.max(Duration::from_secs(1))
    }

    pub(crate) fn fields(&self) -> Vec<u8> {
        format!("{self:?}").into_bytes()
    }
}
