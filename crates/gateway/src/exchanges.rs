//! Token exchanges as metrics: counted by whoever runs them, told by the admin listener.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

/// What came of an exchange.
///
/// ```
/// use gatepass_gateway::Exchange;
/// assert_ne!(Exchange::Obtained, Exchange::Failed);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exchange {
    /// A token.
    Obtained,
    /// None, and it is asked for again by itself.
    Failed,
    /// None, and the refusal is held.
    Refused,
}

impl Exchange {
    pub(crate) const ALL: [Self; 3] = [Self::Obtained, Self::Failed, Self::Refused];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Obtained => "obtained",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// Exchanges of a process, by where tokens come from.
///
/// ```
/// use std::time::Duration;
/// use gatepass_gateway::{Exchange, Exchanges};
/// let exchanges = Exchanges::default();
/// exchanges.count("https://auth.example.com/t", Exchange::Obtained);
/// exchanges.usable("https://auth.example.com/t", Duration::from_secs(3600));
/// exchanges.rejected("https://auth.example.com/t");
/// ```
#[derive(Debug, Default)]
pub struct Exchanges(Mutex<BTreeMap<String, Source>>);

/// Where tokens come from, and what came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) by_outcome: [u64; 3],
    pub(crate) rejections: u64,
    until: Option<Instant>,
    /// What went wrong last, with its fix; none since the last success.
    pub(crate) last_failure: Option<String>,
}

impl Source {
    /// How long the newest token is usable yet.
    pub(crate) fn usable(&self) -> Option<Duration> {
        let until = self.until?;
        Some(until.saturating_duration_since(clock::instant()))
    }
}

impl Exchanges {
    /// One exchange ended.
    pub fn count(&self, source: &str, outcome: Exchange) {
        self.with(source, |source| {
            source.by_outcome[outcome as usize] += 1;
            if outcome == Exchange::Obtained {
                source.last_failure = None;
            }
        });
    }

    /// The newest token is usable for so long from now.
    pub fn usable(&self, source: &str, usable: Duration) {
        let until = clock::instant().checked_add(usable);
        self.with(source, |source| source.until = until);
    }

    /// An upstream rejected a token.
    pub fn rejected(&self, source: &str) {
        self.with(source, |source| source.rejections += 1);
    }

    /// What went wrong, with its fix; nothing secret.
    pub fn failure(&self, source: &str, message: &str) {
        self.with(source, |source| {
            source.last_failure = Some(message.to_owned())
        });
    }

    pub(crate) fn all(&self) -> Vec<(String, Source)> {
        let sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pair = |(name, source): (&String, &Source)| (name.clone(), source.clone());
        sources.iter().map(pair).collect()
    }

    fn with(&self, source: &str, change: impl FnOnce(&mut Source)) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(sources.entry(source.to_owned()).or_default());
    }
}
