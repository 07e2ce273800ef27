//! What is known of a caller's connection, and whether a request is under way on it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use http::{Uri, Version};

use crate::guard::{self, Here};
use crate::problem::Problem;
use crate::strip;
use crate::tick::Deadline;

/// How long after its deadline a request may still be under way.
const STUCK: Duration = Duration::from_secs(2);

/// What is known of a caller's connection.
pub(crate) struct Met {
    here: Here,
    deadline: Deadline,
    /// The Host it was last let in by, under which configuration; callers send the same one again
    /// and again.
    host: RefCell<Option<(u64, Box<[u8]>)>>,
    quiet: Rc<Quiet>,
}

/// How long a connection may go on with no request under way.
pub(crate) struct Quiet {
    deadline: Deadline,
    limit: Duration,
    under_way: Cell<usize>,
    /// The thread serves on for as long as anything holds it.
    _own: Rc<()>,
}

impl Quiet {
    /// Whether it has been quiet for too long; if not, the task is woken when it may be.
    pub(crate) fn poll_too_long(&self, context: &mut Context<'_>) -> bool {
        if !self.deadline.poll_passed(context) {
            return false;
        }
        self.deadline.set(self.limit);
        self.under_way.get() == 0
    }
}

/// A request under way, until its answer has ended.
pub(crate) struct UnderWay(Rc<Quiet>);

impl UnderWay {
    pub(crate) fn on(connection: &Met) -> Self {
        let quiet = Rc::clone(&connection.quiet);
        quiet.under_way.set(quiet.under_way.get() + 1);
        Self(quiet)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
        self.0.deadline.set(self.0.limit);
    }
}

impl Met {
    /// A connection to this end, which may be quiet for so long.
    pub(crate) fn at(here: Here, limit: Duration, own: Rc<()>) -> Self {
        let deadline = Deadline::new();
        deadline.set(limit);
        Self {
            here,
            deadline: Deadline::new(),
            host: RefCell::default(),
            quiet: Rc::new(Quiet {
                deadline,
                limit,
                under_way: Cell::new(0),
                _own: own,
            }),
        }
    }

    /// Whether a request under way is long past its deadline: a caller that does not read its answer
    /// keeps the answer from being looked at.
    pub(crate) fn is_stuck(&self) -> bool {
        self.quiet.under_way.get() > 0 && self.deadline.passed_for(STUCK)
    }

    pub(crate) fn quiet(&self) -> Rc<Quiet> {
        Rc::clone(&self.quiet)
    }

    /// Lets a request in by the name that it calls the gateway by.
    pub(crate) fn let_in(
        &self,
        seen: &strip::Seen<'_>,
        uri: &Uri,
        generation: u64,
        hosts: &[String],
    ) -> Result<(), Problem> {
        if !self.knows(seen, uri, generation) {
            guard::host(seen, uri, self.here, hosts)?;
            self.remember(seen, generation);
        }
        Ok(())
    }

    /// Of the next request: over HTTP/1.1 there is one at a time.
    pub(crate) fn deadline(&self, version: Version) -> Deadline {
        if version == Version::HTTP_2 {
            return Deadline::new();
        }
        self.deadline.clear();
        self.deadline.clone()
    }

    fn knows(&self, seen: &strip::Seen<'_>, uri: &Uri, generation: u64) -> bool {
        let known = self.host.borrow();
        let same = known
            .as_ref()
            .zip(seen.host)
            .is_some_and(|((since, host), now)| *since == generation && **host == *now.as_bytes());
        same && !seen.second_host && uri.authority().is_none()
    }

    fn remember(&self, seen: &strip::Seen<'_>, generation: u64) {
        // A copy of its own: a clone would keep the whole head in memory.
        *self.host.borrow_mut() = seen.host.map(|host| (generation, host.as_bytes().into()));
    }
}
