//! All slots of a process: bounded and expiring (moka), with one slot for one credential.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::sync::Cache;

use crate::key::CredentialKey;
use crate::observer::{Nobody, Observer};
use crate::slot::{Slot, Work};

/// Slots kept at most; one that a handle still holds stays reachable beyond that.
const CAPACITY: u64 = 100_000;

/// The expiring cache of tokens: the same credential always finds the same token, whoever asks.
///
/// An entry lives as long as its token, or as long as a refusal is held. Clones share one cache.
///
/// ```
/// let cache = gatepass_oauth::TokenCache::new();
/// assert!(cache.is_empty());
/// ```
#[derive(Clone)]
pub struct TokenCache(Arc<Inner>);

struct Inner {
    slots: Cache<CredentialKey, Arc<Slot>>,
    /// Evicted slots that a handle still holds, so that one key never has two exchanges in flight.
    reachable: Mutex<HashMap<CredentialKey, Weak<Slot>>>,
    observer: Arc<dyn Observer>,
}

impl TokenCache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::observed(Arc::new(Nobody))
    }

    /// An empty cache whose credentials tell this observer what happens to them.
    #[must_use]
    pub fn observed(observer: Arc<dyn Observer>) -> Self {
        let slots = Cache::builder()
            .max_capacity(CAPACITY)
            .expire_after(AsLongAsUseful)
            .build();
        Self(Arc::new(Inner {
            slots,
            reachable: Mutex::default(),
            observer,
        }))
    }

    /// The cache that is used unless another one is given; one for the process.
    #[must_use]
    pub fn shared() -> Self {
        static SHARED: OnceLock<TokenCache> = OnceLock::new();
        SHARED.get_or_init(Self::new).clone()
    }

    /// Whether no credential is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.slots.run_pending_tasks();
        self.0.slots.entry_count() == 0
    }

    /// The slot of this credential, made if there is none.
    pub(crate) fn slot(
        &self,
        key: CredentialKey,
        work: impl FnOnce(Arc<dyn Observer>) -> Work,
    ) -> Arc<Slot> {
        let mut reachable = self
            .0
            .reachable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = self.0.slots.get(&key) {
            return slot;
        }
        let slot = reachable
            .get(&key)
            .and_then(Weak::upgrade)
            .unwrap_or_else(|| {
                Arc::new(Slot::new(
                    work(Arc::clone(&self.0.observer)),
                    Home {
                        cache: Arc::downgrade(&self.0),
                        key,
                    },
                ))
            });
        if reachable.len() == reachable.capacity() {
            reachable.retain(|_, slot| slot.strong_count() > 0);
        }
        reachable.insert(key, Arc::downgrade(&slot));
        self.0.slots.insert(key, Arc::clone(&slot));
        slot
    }
}

impl Default for TokenCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache")
            .field("slots", &self.0.slots.entry_count())
            .finish()
    }
}

/// Where a slot lives, so that a new lease renews its stay.
#[derive(Clone)]
pub(crate) struct Home {
    cache: Weak<Inner>,
    key: CredentialKey,
}

impl Home {
    pub(crate) fn keep(&self, slot: &Arc<Slot>) {
        if let Some(cache) = self.cache.upgrade() {
            cache.slots.insert(self.key, Arc::clone(slot));
        }
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Home")
    }
}

/// Both hooks are needed: the default of the second one keeps the old deadline.
struct AsLongAsUseful;

impl Expiry<CredentialKey, Arc<Slot>> for AsLongAsUseful {
    fn expire_after_create(
        &self,
        _: &CredentialKey,
        slot: &Arc<Slot>,
        _: Instant,
    ) -> Option<Duration> {
        Some(slot.keep_for())
    }

    fn expire_after_update(
        &self,
        _: &CredentialKey,
        slot: &Arc<Slot>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(slot.keep_for())
    }
}
