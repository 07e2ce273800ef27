//! Locks and atomics where threads meet; loom's own under its model checker.

#[cfg(gatepass_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard, RwLock, atomic::AtomicU64, atomic::Ordering};
#[cfg(not(gatepass_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard, RwLock, atomic::AtomicU64, atomic::Ordering};
