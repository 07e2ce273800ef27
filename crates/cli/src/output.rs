//! What people and programs read: masks, tables, notes.

use std::io::{self, IsTerminal, Write};

use gatepass_config::environment;
use http::HeaderValue;

/// A line on stderr. If that is closed there is nobody to tell.
pub(crate) fn note(line: &str) {
    let _nobody_to_tell = writeln!(io::stderr(), "{line}");
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

/// Only what we write ourselves: a custom Authorization value may begin with its secret.
fn is_scheme(text: &str) -> bool {
    matches!(text, "Basic" | "Bearer")
}

/// Whether stdout is a terminal that wants colour.
pub(crate) fn wants_colour() -> bool {
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
