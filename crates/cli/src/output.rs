//! What people and programs read: masks, tables, notes.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use gatepass_config::environment;
use http::HeaderValue;

use crate::exit::Failure;

/// A line on stderr. If that is closed there is nobody to tell.
pub(crate) fn note(line: &str) {
    let _nobody_to_tell = writeln!(io::stderr(), "{line}");
}

/// A line on standard output.
pub(crate) fn line(line: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

/// A header value without its secret: the scheme, if there is one, and `[redacted]`.
pub(crate) fn masked(name: &str, value: &HeaderValue) -> String {
    let scheme = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .map(|(scheme, _)| scheme);
    match scheme.filter(|scheme| name.eq_ignore_ascii_case("authorization") && is_scheme(scheme)) {
        Some(scheme) => format!("{scheme} [redacted]"),
        None => "[redacted]".to_owned(),
    }
}

/// Which kind of credential a header holds, for people.
pub(crate) fn kind_of(name: &str, value: &HeaderValue) -> String {
    let masked = masked(name, value);
    match masked.strip_suffix(" [redacted]") {
        Some("Bearer") => "bearer token".to_owned(),
        Some(scheme) => scheme.to_lowercase(),
        None => format!("{name} header"),
    }
}

/// A number of seconds above zero, as a limit.
pub(crate) fn seconds(option: &str, given: f64) -> Result<Duration, Failure> {
    let limit = Duration::try_from_secs_f64(given).ok();
    limit
        .filter(|limit| !limit.is_zero())
        .ok_or_else(|| Failure::usage(format!("{option} takes seconds above 0")))
}

/// Colours of a terminal, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Colour(bool);

impl Colour {
    /// Colours if stdout is a terminal that wants them.
    pub(crate) fn for_stdout() -> Self {
        Self(wants_colour())
    }

    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.paint("31", text)
    }
}

/// Only what we write ourselves: a custom Authorization value may begin with its secret.
fn is_scheme(text: &str) -> bool {
    matches!(text, "Basic" | "Bearer")
}

/// Whether stdout is a terminal that wants colour.
fn wants_colour() -> bool {
    io::stdout().is_terminal() && environment::variable("NO_COLOR").is_none()
}

/// Rows under a header line, each column as wide as its widest cell.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain(header.get(column).map(|cell| cell.len()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<_> = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut text = line(&mut header.iter().copied());
    for row in rows {
        text.push('\n');
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}
