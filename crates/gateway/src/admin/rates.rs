//! Requests a second, over the last minute.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often totals are noted.
pub(super) const STEP: Duration = Duration::from_secs(5);
/// A minute, and the step under way.
const NOTES: usize = 13;

type Totals = BTreeMap<String, u64>;

/// Totals of the last minute, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<VecDeque<(Instant, Totals)>>);

impl Rates {
    pub(super) fn note(&self, at: Instant, totals: Totals) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() == NOTES {
            notes.pop_front();
        }
        notes.push_back((at, totals));
    }

    /// Since the oldest note; 0 before there is one.
    pub(super) fn of(&self, name: &str, now: Instant, total: u64) -> f64 {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((at, totals)) = notes.front() else {
            return 0.0;
        };
        let more = total.saturating_sub(totals.get(name).copied().unwrap_or(0));
        let seconds = now.saturating_duration_since(*at).as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = more as f64 / seconds.max(1.0);
        (rate * 10.0).round() / 10.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn check(notes: &[(u64, u64)], at: u64, total: u64, want: f64) {
        let start = clock::instant();
        let after = |seconds| start + Duration::from_secs(seconds);
        let rates = Rates::default();
        for (seconds, total) in notes {
            rates.note(after(*seconds), [("churn".to_owned(), *total)].into());
        }
        let got = rates.of("churn", after(at), total);
        assert!((got - want).abs() < 0.01, "{got} {want}");
    }

    #[test]
    fn a_rate_is_measured_since_the_oldest_note_of_a_minute() {
        check(&[], 9, 7, 0.0);
        check(&[(0, 0)], 10, 50, 5.0);
        check(&[(0, 100), (5, 150)], 10, 200, 10.0);
        let minutes: Vec<(u64, u64)> = (0..40).map(|step| (step * 5, step * 10)).collect();
        check(&minutes, 200, 400, 2.0);
    }
}
