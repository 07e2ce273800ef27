//! A line on the terminal while checks run; nothing where stderr is no terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::args::Globals;

pub(super) struct Progress {
    shown: bool,
    all: usize,
    done: AtomicUsize,
}

impl Progress {
    pub(super) fn of(all: usize, globals: &Globals) -> Self {
        let this = Self {
            shown: io::stderr().is_terminal() && !globals.quiet,
            all,
            done: AtomicUsize::new(0),
        };
        this.show("");
        this
    }

    pub(super) fn done(&self, name: &str) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.show(name);
    }

    fn show(&self, last: &str) {
        if self.shown {
            let done = self.done.load(Ordering::Relaxed);
            let text = format!("checking: {done} of {} done {last}", self.all);
            // Back to the beginning of the line, which is then cleared.
            let _nobody_to_tell = write!(io::stderr(), "\r\x1b[K{text:.78}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _nobody_to_tell = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
