//! What a method holds now, and the cell it is read from on every request.
//!
//! A read touches one atomic and a copy that belongs to the reading thread. Sharing one
//! `HeaderValue` between threads would make them queue at its reference count.

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::AtomicU64 as Counter;
use std::sync::{Arc, PoisonError, Weak};

use http::{HeaderName, HeaderValue};

use crate::clock::Now;
use crate::header;
use crate::sync::{AtomicU64, Ordering, RwLock};

/// Copies of leases a thread keeps at most; the least recently used goes first.
const COPIES_PER_THREAD: usize = 64;

/// The process-wide unique number of a lease: says exactly which one a request was sent with.
///
/// ```
/// assert_ne!(gatepass_core::Stamp::next(), gatepass_core::Stamp::next());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stamp(u64);

impl Stamp {
    /// A number that no other lease of this process has.
    #[must_use]
    pub fn next() -> Self {
        static NEXT: Counter = Counter::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a lease puts on requests.
///
/// ```
/// use gatepass_core::{Lease, Material};
/// let key = Lease::key(std::sync::Arc::new([0_u8; 32]));
/// assert!(matches!(key.material(), Material::Key(_)));
/// assert_eq!(format!("{:?}", key.material()), "Key([redacted])");
/// ```
#[derive(Clone)]
pub enum Material {
    /// Headers, ready to be cloned into a request.
    Headers(Vec<(HeaderName, HeaderValue)>),
    /// Key material of a method's own kind, to sign with.
    Key(Arc<dyn Any + Send + Sync>),
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Headers(_) => "Headers([redacted])",
            Self::Key(_) => "Key([redacted])",
        })
    }
}

/// What a method holds now: prepared headers or a key, with its deadlines.
///
/// From the soft deadline on it should be renewed; at or past the hard one it is never used.
///
/// ```
/// use gatepass_core::{Lease, header};
/// let value = header::sensitive(b"abcd1234".to_vec())?;
/// let lease = Lease::headers(vec![(header::name("api-key")?, value)]);
/// assert!(lease.hard().is_none());
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone)]
pub struct Lease {
    stamp: Stamp,
    material: Material,
    soft: Option<Now>,
    hard: Option<Now>,
    facts: Arc<[(&'static str, String)]>,
}

impl Lease {
    /// A lease without an end that puts these headers on requests.
    #[must_use]
    pub fn headers(headers: Vec<(HeaderName, HeaderValue)>) -> Self {
        Self::of(Material::Headers(headers))
    }

    /// A lease without an end on key material.
    #[must_use]
    pub fn key(key: Arc<dyn Any + Send + Sync>) -> Self {
        Self::of(Material::Key(key))
    }

    fn of(material: Material) -> Self {
        Self {
            stamp: Stamp::next(),
            material,
            soft: None,
            hard: None,
            facts: Arc::new([]),
        }
    }

    /// The same lease with facts for people to read; nothing secret.
    #[must_use]
    pub fn with_facts(mut self, facts: Vec<(&'static str, String)>) -> Self {
        self.facts = facts.into();
        self
    }

    /// Facts for people to read: lifetime, granted scope.
    #[must_use]
    pub fn facts(&self) -> &[(&'static str, String)] {
        &self.facts
    }

    /// The same lease with a soft and a hard deadline.
    #[must_use]
    pub fn until(mut self, soft: Now, hard: Now) -> Self {
        self.soft = Some(soft);
        self.hard = Some(hard);
        self
    }

    /// Its number.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// What it puts on requests.
    #[must_use]
    pub fn material(&self) -> &Material {
        &self.material
    }

    /// From here on it should be renewed; `None` means never.
    #[must_use]
    pub fn soft(&self) -> Option<Now> {
        self.soft
    }

    /// From here on it must not be used; `None` means never.
    #[must_use]
    pub fn hard(&self) -> Option<Now> {
        self.hard
    }

    /// Whether it may still be used.
    #[must_use]
    pub fn is_live(&self, now: Now) -> bool {
        self.hard.is_none_or(|hard| !now.reached(hard))
    }

    fn copy_for_this_thread(&self) -> Self {
        let mut copy = self.clone();
        if let Material::Headers(headers) = &mut copy.material {
            for (_, value) in headers {
                *value = header::deep_copy(value);
            }
        }
        copy
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("stamp", &self.stamp)
            .field("soft", &self.soft)
            .field("hard", &self.hard)
            .finish_non_exhaustive()
    }
}

/// Holds the current lease of one credential; read on every request without waiting.
///
/// ```
/// use std::sync::Arc;
/// use gatepass_core::{Lease, LeaseCell};
/// let cell = LeaseCell::new();
/// let lease = Arc::new(Lease::headers(vec![]));
/// cell.replace(Arc::clone(&lease));
/// assert_eq!(cell.read(|held| held.stamp()), Some(lease.stamp()));
/// assert!(cell.remove(lease.stamp()));
/// assert!(cell.current().is_none());
/// ```
#[derive(Debug)]
pub struct LeaseCell {
    id: u64,
    /// The stamp of the current lease, 0 without one; a thread's copy is good while it matches.
    generation: AtomicU64,
    current: RwLock<Option<Arc<Lease>>>,
    /// Dropped with the cell, so that threads can tell which of their copies are orphans.
    alive: Arc<()>,
}

impl LeaseCell {
    /// An empty cell.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: Counter = Counter::new(1);
        Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            generation: AtomicU64::new(0),
            current: RwLock::new(None),
            alive: Arc::new(()),
        }
    }

    /// Makes `lease` the current one.
    pub fn replace(&self, lease: Arc<Lease>) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        self.generation.store(lease.stamp.0, Ordering::Release);
        *current = Some(lease);
    }

    /// Takes the current lease away if it is the one with this stamp; tells whether it was.
    pub fn remove(&self, stamp: Stamp) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let hit = current.as_ref().is_some_and(|lease| lease.stamp == stamp);
        if hit {
            self.generation.store(0, Ordering::Release);
            *current = None;
        }
        hit
    }

    /// The current lease, shared. For the cold path; requests use [`LeaseCell::read`].
    #[must_use]
    pub fn current(&self) -> Option<Arc<Lease>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Calls `use_it` with this thread's copy of the current lease; `None` without one.
    ///
    /// The caller checks the deadlines: an expired lease is handed out like any other.
    pub fn read<R>(&self, use_it: impl FnOnce(&Lease) -> R) -> Option<R> {
        let generation = self.generation.load(Ordering::Acquire);
        if generation == 0 {
            return None;
        }
        COPIES.with(|copies| match copies.try_borrow_mut() {
            Ok(mut copies) => copies.of(self, generation).map(use_it),
            // A read within a read: rare, and served from the shared lease.
            Err(_) => self.current().as_deref().map(use_it),
        })
    }
}

impl Default for LeaseCell {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(not(gatepass_loom))]
thread_local! {
    static COPIES: RefCell<Copies> = const { RefCell::new(Copies(Vec::new())) };
}
#[cfg(gatepass_loom)]
loom::thread_local! {
    static COPIES: RefCell<Copies> = RefCell::new(Copies(Vec::new()));
}

/// A thread's copies, most recently used first.
struct Copies(Vec<ThreadCopy>);

struct ThreadCopy {
    cell: u64,
    lease: Lease,
    alive: Weak<()>,
}

impl Copies {
    fn of(&mut self, cell: &LeaseCell, generation: u64) -> Option<&Lease> {
        let found = self.0.iter().position(|copy| copy.cell == cell.id);
        match found {
            Some(0) => {}
            Some(at) => self.0[..=at].rotate_right(1),
            None => {
                self.0.retain(|copy| copy.alive.strong_count() > 0);
                self.0.truncate(COPIES_PER_THREAD - 1);
                let lease = cell.current()?.copy_for_this_thread();
                let alive = Arc::downgrade(&cell.alive);
                self.0.insert(
                    0,
                    ThreadCopy {
                        cell: cell.id,
                        lease,
                        alive,
                    },
                );
            }
        }
        if self.0[0].lease.stamp.0 != generation {
            match cell.current() {
                Some(lease) => self.0[0].lease = lease.copy_for_this_thread(),
                None => {
                    self.0.remove(0);
                    return None;
                }
            }
        }
        self.0.first().map(|copy| &copy.lease)
    }
}

#[cfg(not(gatepass_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    fn lease(text: &str) -> Arc<Lease> {
        let value = header::sensitive(text.as_bytes().to_vec()).unwrap();
        Arc::new(Lease::headers(vec![(
            HeaderName::from_static("api-key"),
            value,
        )]))
    }

    fn seen(cell: &LeaseCell) -> Option<String> {
        cell.read(|lease| match lease.material() {
            Material::Headers(headers) => headers[0].1.to_str().unwrap().to_owned(),
            Material::Key(_) => String::new(),
        })
    }

    #[test]
    fn each_thread_sees_the_newest_lease_and_its_own_bytes() {
        let cell = LeaseCell::new();
        assert_eq!(seen(&cell), None);
        let first = lease("first");
        cell.replace(Arc::clone(&first));
        assert_eq!(seen(&cell).as_deref(), Some("first"));
        cell.replace(lease("second"));
        assert_eq!(seen(&cell).as_deref(), Some("second"));
        std::thread::scope(|scope| {
            scope.spawn(|| assert_eq!(seen(&cell).as_deref(), Some("second")));
        });
        assert!(
            !cell.remove(first.stamp()),
            "a late rejection of the old one changes nothing"
        );
        assert_eq!(seen(&cell).as_deref(), Some("second"));
    }

    #[test]
    fn many_cells_share_a_thread_and_orphans_leave() {
        let cells: Vec<_> = (0..200).map(|_| LeaseCell::new()).collect();
        for (i, cell) in cells.iter().enumerate() {
            cell.replace(lease(&format!("value-{i}")));
        }
        for (i, cell) in cells.iter().enumerate().chain(cells.iter().enumerate()) {
            assert_eq!(seen(cell), Some(format!("value-{i}")));
        }
        COPIES.with(|copies| assert!(copies.borrow().0.len() <= COPIES_PER_THREAD));
        drop(cells);
        let last = LeaseCell::new();
        last.replace(lease("last"));
        assert_eq!(seen(&last).as_deref(), Some("last"));
        COPIES.with(|copies| assert_eq!(copies.borrow().0.len(), 1));
    }

    #[test]
    fn a_read_within_a_read_is_served() {
        let cell = LeaseCell::new();
        cell.replace(lease("again"));
        let inner = cell.read(|_| seen(&cell)).flatten();
        assert_eq!(inner.as_deref(), Some("again"));
    }
}

/// Every interleaving of a reader, who keeps a copy, with those who change the lease.
#[cfg(all(test, gatepass_loom))]
mod model {
    use loom::thread;

    use super::*;

    fn lease() -> Arc<Lease> {
        Arc::new(Lease::headers(vec![]))
    }

    fn seen(cell: &LeaseCell) -> Option<Stamp> {
        cell.read(Lease::stamp)
    }

    #[test]
    fn a_reader_sees_a_lease_that_was_current_and_never_goes_back() {
        loom::model(|| {
            let cell = loom::sync::Arc::new(LeaseCell::new());
            let (first, second) = (lease(), lease());
            let stamps = [first.stamp(), second.stamp()];
            cell.replace(first);
            let changing = {
                let cell = cell.clone();
                thread::spawn(move || cell.replace(second))
            };
            let (before, after) = (seen(&cell), seen(&cell));
            let place = |seen: Option<Stamp>| {
                let seen = seen.expect("the cell is never empty");
                stamps.iter().position(|stamp| *stamp == seen)
            };
            assert!(place(before) <= place(after));
            changing.join().unwrap();
            assert_eq!(seen(&cell), Some(stamps[1]), "the newest, once it is there");
        });
    }

    #[test]
    fn a_removed_lease_is_not_read_again() {
        loom::model(|| {
            let cell = loom::sync::Arc::new(LeaseCell::new());
            let (first, second) = (lease(), lease());
            let (old, new) = (first.stamp(), second.stamp());
            cell.replace(first);
            assert_eq!(seen(&cell), Some(old));
            let replacing = {
                let cell = cell.clone();
                thread::spawn(move || cell.replace(second))
            };
            cell.remove(old);
            let now = seen(&cell);
            assert!(
                now.is_none() || now == Some(new),
                "the removed one came back"
            );
            replacing.join().unwrap();
            assert_eq!(
                seen(&cell),
                Some(new),
                "a removal of the old one took the new one"
            );
        });
    }
}
