//! What people and programs read: a table with the failures explained below it, or JSON.

use std::io::{self, IsTerminal, Write};

use serde_json::{Value, json};

use super::row::{Row, Verdict};
use crate::args::{Format, Globals};
use crate::exit::Failure;
use crate::output::{self, Colour};

/// Explanations are wrapped to this on a terminal.
const WIDTH: usize = 80;

pub(super) fn print(rows: &[Row], ok: bool, globals: &Globals) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match globals.format {
        Format::Json => {
            let rows: Vec<Value> = rows.iter().map(object).collect();
            writeln!(out, "{}", json!({ "ok": ok, "deployments": rows }))?;
        }
        Format::Text => writeln!(out, "{}", text(rows))?,
    }
    Ok(())
}

fn object(row: &Row) -> Value {
    json!({
        "name": row.name,
        "verdict": row.verdict.text(),
        "status": row.status,
        "cause": row.cause,
        "fix": row.fix,
        "credential": row.credential,
        "usable_seconds": row.usable.map(|usable| usable.as_secs()),
        "scope": row.scope,
        "notes": row.notes,
    })
}

fn text(rows: &[Row]) -> String {
    let colour = Colour::for_stdout();
    let cells = |row: &Row| {
        let credential = match (row.credential.as_slice(), row.usable) {
            ([], _) => "-".to_owned(),
            (kinds, Some(usable)) => format!("{}, {} s", kinds.join(" + "), usable.as_secs()),
            (kinds, None) => kinds.join(" + "),
        };
        let status = row
            .status
            .map_or("-".to_owned(), |status| status.to_string());
        vec![
            row.name.clone(),
            credential,
            status,
            row.verdict.text().to_owned(),
        ]
    };
    let cells: Vec<_> = rows.iter().map(cells).collect();
    let table = output::table(&["DEPLOYMENT", "CREDENTIAL", "STATUS", "VERDICT"], &cells);
    let mut lines = table.lines();
    let mut text = colour.bold(lines.next().unwrap_or(""));
    for (line, row) in lines.zip(rows) {
        let verdict = row.verdict.text();
        let plain = line.strip_suffix(verdict).unwrap_or(line);
        text.push('\n');
        text.push_str(plain);
        text.push_str(&match row.verdict {
            Verdict::Accepted | Verdict::Defined => colour.green(verdict),
            Verdict::NotProved => colour.yellow(verdict),
            _ => colour.red(verdict),
        });
    }
    for row in rows {
        text.push_str(&explanation(row, colour));
    }
    text
}

fn explanation(row: &Row, colour: Colour) -> String {
    let mut text = String::new();
    if row.cause.is_none() && row.notes.is_empty() {
        return text;
    }
    text.push_str("\n\n");
    text.push_str(&colour.bold(&row.name));
    let mut part = |label: &str, content: &str| {
        let first = format!("  {label:<6} ");
        text.push('\n');
        text.push_str(&wrapped(&first, content));
    };
    if let Some(cause) = &row.cause {
        part("cause:", cause);
    }
    if let Some(fix) = &row.fix {
        part("fix:", fix);
    }
    for note in &row.notes {
        part("note:", note);
    }
    text
}

/// On a terminal wrapped under the first line; in a pipe one line, for grep.
fn wrapped(first: &str, content: &str) -> String {
    if !io::stdout().is_terminal() {
        return format!("{first}{content}");
    }
    let rest = " ".repeat(first.len());
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(first)
        .subsequent_indent(&rest)
        .break_words(false);
    textwrap::fill(content, options)
}
