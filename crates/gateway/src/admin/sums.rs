//! The counters of all threads together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::account::{BUCKETS, Counters, Durations};
use crate::routes::Ledger;

/// What the threads counted of one deployment, or of one caller at one deployment.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Answers by the first digit of their status, less one.
    pub(super) by_class: [u64; 5],
    /// Errors of the gateway's own making, by part.
    pub(super) by_part: [u64; 4],
    pub(super) replays: u64,
    pub(super) stripped: u64,
    pub(super) broken: u64,
    pub(super) in_flight: u64,
    pub(super) gateway: DurationSums,
    pub(super) upstream: DurationSums,
}

#[derive(Debug, Default)]
pub(super) struct DurationSums {
    pub(super) buckets: [u64; BUCKETS.len() + 1],
    pub(super) micros: u64,
}

/// By deployment and caller.
pub(super) fn by_caller(ledger: &Ledger) -> BTreeMap<(String, String), Sums> {
    let mut sums: BTreeMap<_, Sums> = BTreeMap::new();
    for (deployment, caller, counters) in ledger.all() {
        sums.entry((deployment, caller)).or_default().add(&counters);
    }
    sums
}

/// By deployment.
pub(super) fn by_deployment(ledger: &Ledger) -> BTreeMap<String, Sums> {
    let mut sums: BTreeMap<_, Sums> = BTreeMap::new();
    for (deployment, _, counters) in ledger.all() {
        sums.entry(deployment).or_default().add(&counters);
    }
    sums
}

impl Sums {
    fn add(&mut self, counters: &Counters) {
        for (sum, counter) in self.by_class.iter_mut().zip(&counters.by_class) {
            *sum += read(counter);
        }
        for (sum, counter) in self.by_part.iter_mut().zip(&counters.by_part) {
            *sum += read(counter);
        }
        for (sum, counter) in [
            (&mut self.replays, &counters.replays),
            (&mut self.stripped, &counters.stripped),
            (&mut self.broken, &counters.broken),
            (&mut self.in_flight, &counters.in_flight),
        ] {
            *sum += read(counter);
        }
        self.gateway.add(&counters.gateway);
        self.upstream.add(&counters.upstream);
    }

    /// Answers of any kind.
    pub(super) fn total(&self) -> u64 {
        self.by_class.iter().sum()
    }
}

impl DurationSums {
    fn add(&mut self, durations: &Durations) {
        for (sum, counter) in self.buckets.iter_mut().zip(&durations.buckets) {
            *sum += read(counter);
        }
        self.micros += read(&durations.micros);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
