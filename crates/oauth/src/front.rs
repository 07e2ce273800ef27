//! The lease that requests are sent with, and the slot it comes from: changed together.
//!
//! Requests read the lease without waiting. Whoever changes either holds the lock of both, so that
//! no lease of a credential that was replaced, and none that was rejected, comes back to the front.

use std::fmt;
use std::sync::{Arc, PoisonError};

use gatepass_core::{Lease, LeaseCell, Stamp};

use crate::sync::RwLock;

/// Something that has a current lease.
pub(crate) trait Holds {
    fn current(&self) -> Option<Arc<Lease>>;
}

pub(crate) struct Front<K, S> {
    lease: LeaseCell,
    slot: RwLock<Option<(K, Arc<S>)>>,
}

impl<K: Copy, S: Holds> Front<K, S> {
    pub(crate) fn new() -> Self {
        Self {
            lease: LeaseCell::new(),
            slot: RwLock::new(None),
        }
    }

    /// What requests are sent with.
    pub(crate) fn lease(&self) -> &LeaseCell {
        &self.lease
    }

    /// The slot in use, and the key it was found by.
    pub(crate) fn known(&self) -> Option<(K, Arc<S>)> {
        self.slot
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn slot(&self) -> Option<Arc<S>> {
        self.known().map(|(_, slot)| slot)
    }

    /// Puts another slot to use; its lease, if it has one, from now on.
    pub(crate) fn take_over(&self, key: K, slot: &Arc<S>) {
        let mut used = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        *used = Some((key, Arc::clone(slot)));
        if let Some(lease) = slot.current() {
            self.lease.replace(lease);
        }
    }

    /// Shows the slot's lease, if it is still the slot in use; tells whether it is.
    pub(crate) fn show(&self, slot: &Arc<S>) -> bool {
        let used = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        let in_use = used
            .as_ref()
            .is_some_and(|(_, used)| Arc::ptr_eq(used, slot));
        if let Some(lease) = slot.current().filter(|_| in_use) {
            self.lease.replace(lease);
        }
        in_use
    }

    /// The same, at the cost of a look where there is nothing new.
    pub(crate) fn show_newer(&self, slot: &Arc<S>, shown: Stamp) {
        if slot.current().is_some_and(|lease| lease.stamp() != shown) {
            self.show(slot);
        }
    }

    /// Takes a rejected lease from the front; its slot must not hold it any more.
    pub(crate) fn hide(&self, stamp: Stamp) {
        let _unchanged = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        self.lease.remove(stamp);
    }
}

impl<K, S> fmt::Debug for Front<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").finish_non_exhaustive()
    }
}

/// Every interleaving of the threads that change the front.
#[cfg(all(test, gatepass_loom))]
mod model {
    use loom::thread;

    use super::*;

    /// A slot with nothing but its lease.
    struct Held(LeaseCell);

    impl Held {
        fn of(lease: &Arc<Lease>) -> Arc<Self> {
            let cell = LeaseCell::new();
            cell.replace(Arc::clone(lease));
            Arc::new(Self(cell))
        }
    }

    impl Holds for Held {
        fn current(&self) -> Option<Arc<Lease>> {
            self.0.current()
        }
    }

    fn lease() -> Arc<Lease> {
        Arc::new(Lease::headers(vec![]))
    }

    fn shown(front: &Front<u8, Held>) -> Option<Stamp> {
        front.lease().read(Lease::stamp)
    }

    #[test]
    fn no_lease_of_a_replaced_credential_comes_back() {
        loom::model(|| {
            let front = loom::sync::Arc::new(Front::new());
            let (first, renewed, rotated) = (lease(), lease(), lease());
            let old = Held::of(&first);
            front.take_over(0, &old);
            old.0.replace(renewed);
            let rotating = {
                let (front, new) = (front.clone(), Held::of(&rotated));
                thread::spawn(move || front.take_over(1, &new))
            };
            front.show_newer(&old, first.stamp());
            rotating.join().unwrap();
            assert_eq!(shown(&front), Some(rotated.stamp()));
        });
    }

    #[test]
    fn no_rejected_lease_comes_back() {
        loom::model(|| {
            let front = loom::sync::Arc::new(Front::new());
            let rejected = lease();
            let slot = Held::of(&rejected);
            front.take_over(0, &slot);
            let showing = {
                let (front, slot) = (front.clone(), Arc::clone(&slot));
                thread::spawn(move || front.show(&slot))
            };
            slot.0.remove(rejected.stamp());
            front.hide(rejected.stamp());
            showing.join().unwrap();
            assert_eq!(shown(&front), None);
        });
    }
}
