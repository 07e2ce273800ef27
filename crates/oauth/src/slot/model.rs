//! Every interleaving of two threads in the machine of a slot.

use std::time::Duration;

use gatepass_core::{Lease, Now, Stamp, Verdict};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::machine::{Machine, Settled, Step};
use crate::error::{TokenError, TokenErrorKind};
use crate::observer::Rejection;

const FLOOR: Duration = Duration::from_secs(1);

/// A machine whose flights are numbers, with a count of those in the air.
struct World {
    machine: Machine<usize>,
    in_flight: AtomicUsize,
    launched: AtomicUsize,
}

fn at(second: u64) -> Now {
    let now = Duration::from_secs(second);
    Now::new(now, Duration::from_secs(1_800_000_000) + now)
}

fn lease() -> std::sync::Arc<Lease> {
    std::sync::Arc::new(Lease::headers(vec![]).until(at(50), at(100)))
}

fn failure() -> TokenError {
    TokenError::new(TokenErrorKind::Unavailable, "busy: wait")
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            machine: Machine::new(),
            in_flight: AtomicUsize::new(0),
            launched: AtomicUsize::new(0),
        })
    }

    /// With a live lease, obtained at second 0.
    fn live() -> (Arc<Self>, Stamp) {
        let world = Self::new();
        let held = lease();
        let stamp = held.stamp();
        assert!(matches!(world.step(at(0)), Step::Wait(_)));
        world.lands(at(0), Ok(held));
        (world, stamp)
    }

    fn departs(&self) -> usize {
        let others = self.in_flight.fetch_add(1, Ordering::SeqCst);
        assert_eq!(others, 0, "two exchanges in flight");
        self.launched.fetch_add(1, Ordering::SeqCst)
    }

    fn step(&self, now: Now) -> Step<usize> {
        self.machine.step(now, |_| self.departs())
    }

    fn renew(&self, now: Now) {
        self.machine.renew_if_due(now, || Some(self.departs()));
    }

    /// The flight begins and ends.
    fn lands(&self, now: Now, outcome: Result<std::sync::Arc<Lease>, TokenError>) -> Settled {
        self.machine.begin(now, FLOOR);
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.machine.settle(now, &outcome)
    }

    fn held(&self) -> Option<Stamp> {
        self.machine.current().map(|lease| lease.stamp())
    }

    fn launched(&self) -> usize {
        self.launched.load(Ordering::SeqCst)
    }
}

/// Runs `there` in a second thread and `here` in this one, in every order their steps can take.
fn interleave(world: &Arc<World>, there: impl FnOnce(&World) + 'static, here: impl FnOnce(&World)) {
    let other = {
        let world = world.clone();
        thread::spawn(move || there(&world))
    };
    here(world);
    other.join().unwrap();
}

#[test]
fn two_callers_without_a_lease_share_one_exchange() {
    loom::model(|| {
        let world = World::new();
        let call = |world: &World| match world.step(at(0)) {
            Step::Wait(flight) => assert_eq!(flight, 0),
            Step::Held(_) | Step::Fail(..) => panic!("nothing can be held yet"),
        };
        interleave(&world, call, call);
        assert_eq!(world.launched(), 1);
    });
}

#[test]
fn a_caller_beside_the_end_of_an_exchange_gets_its_lease_and_starts_no_other() {
    loom::model(|| {
        let world = World::new();
        let _first = world.step(at(0));
        let lands = |world: &World| drop(world.lands(at(0), Ok(lease())));
        interleave(&world, lands, |world| {
            let step = world.step(at(0));
            assert!(matches!(step, Step::Wait(0) | Step::Held(_)));
        });
        assert_eq!(world.launched(), 1);
    });
}

#[test]
fn a_caller_beside_a_failure_waits_for_it_or_for_the_next_attempt() {
    loom::model(|| {
        let world = World::new();
        let _first = world.step(at(0));
        let lands = |world: &World| drop(world.lands(at(0), Err(failure())));
        interleave(&world, lands, |world| {
            assert!(matches!(world.step(at(0)), Step::Wait(_)));
        });
        assert!(world.launched() <= 2);
    });
}

#[test]
fn two_requests_at_the_soft_deadline_start_one_renewal() {
    loom::model(|| {
        let (world, _) = World::live();
        let renew = |world: &World| world.renew(at(50));
        interleave(&world, renew, renew);
        assert_eq!(world.launched(), 2, "the first exchange and one renewal");
    });
}

#[test]
fn no_renewal_is_lost_beside_a_failing_one() {
    loom::model(|| {
        let (world, stamp) = World::live();
        world.renew(at(50));
        let lands = |world: &World| drop(world.lands(at(50), Err(failure())));
        interleave(&world, lands, |world| world.renew(at(51)));
        assert_eq!(world.held(), Some(stamp), "an error replaces no lease");
        // Past any backoff of a first failure the next request renews, unless one is on its way.
        world.renew(at(60));
        assert_eq!(world.launched(), 3);
        assert_eq!(world.in_flight.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_rejection_beside_a_renewal_never_takes_the_new_lease() {
    loom::model(|| {
        let (world, old) = World::live();
        world.renew(at(50));
        let new = lease();
        let fresh = new.stamp();
        let lands = move |world: &World| drop(world.lands(at(50), Ok(new)));
        interleave(&world, lands, |world| {
            let outcome = world.machine.take_away(old, at(50));
            assert!(matches!(outcome, Rejection::Dropped | Rejection::Late));
        });
        assert_eq!(world.held(), Some(fresh));
    });
}

#[test]
fn two_rejections_of_one_lease_call_for_one_exchange() {
    loom::model(|| {
        let (world, stamp) = World::live();
        let rejected = move |world: &World| {
            assert!(matches!(
                world.machine.verdict(stamp, at(10)),
                Verdict::Renew
            ));
            world.machine.take_away(stamp, at(10));
            assert!(matches!(world.step(at(10)), Step::Wait(_)));
        };
        interleave(&world, rejected, rejected);
        assert_eq!(
            world.launched(),
            2,
            "the first exchange and one for the rejection"
        );
    });
}
