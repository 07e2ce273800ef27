//! The fault matrix: what callers see, how often the token endpoint is asked, and how long recovery
//! takes, under each fault a token endpoint or an upstream is known to have.
//!
//! Everything runs in this process, in fake time, over in-memory connections: the testkit's token
//! server on one end, the engine on the other, HTTP/1.1 bytes between them.

mod peers; // other token clients beside it
mod replies; // faults of a single reply
mod rows; // all rows of the matrix
mod time; // load, clocks, rejections: faults that take time
mod world; // an engine before a token endpoint, in fake time

use std::fs;

use crate::shell;

/// What came of one fault.
pub(crate) struct Row {
    pub(crate) fault: &'static str,
    /// Who had it: a bug number or a section of the survey the matrix was drawn from, or `-`.
    pub(crate) known_from: &'static str,
    pub(crate) callers_saw: String,
    pub(crate) requests: usize,
    pub(crate) recovered: String,
    /// Empty if all is well, else what is not.
    pub(crate) wrong: Vec<String>,
}

/// Runs the matrix; with `--write` puts it into the document, with `--check` compares it. With
/// `--against` a peer goes through the same faults instead.
pub(crate) fn run(arguments: &[&str]) -> Result<(), String> {
    if let ["--against", peer, options @ ..] = arguments {
        return peers::run(peer, options.contains(&"--write"));
    }
    let rows = rows::all()?;
    let table = table(&rows);
    let path = shell::root().join("docs/faults.md");
    match arguments {
        [] => println!("{table}"),
        ["--write"] => {
            let text =
                fs::read_to_string(&path).map_err(|cause| format!("docs/faults.md: {cause}"))?;
            let text = replaced(&text, "gatepass", &table)?;
            fs::write(&path, text).map_err(|cause| format!("docs/faults.md: {cause}"))?;
            println!("wrote {} rows to docs/faults.md", rows.len());
        }
        ["--check"] => {
            let text =
                fs::read_to_string(&path).map_err(|cause| format!("docs/faults.md: {cause}"))?;
            if replaced(&text, "gatepass", &table)? != text {
                return Err("docs/faults.md is old: run `cargo xtask faults --write`".to_owned());
            }
            println!("faults: {} rows, as docs/faults.md says", rows.len());
        }
        _ => {
            let usage = "usage: cargo xtask faults [--write | --check | --against PEER [--write]]";
            return Err(usage.to_owned());
        }
    }
    let failed: Vec<String> = rows
        .iter()
        .filter(|row| !row.wrong.is_empty())
        .map(|row| format!("{}: {}", row.fault, row.wrong.join("; ")))
        .collect();
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("\n"))
    }
}

fn table(rows: &[Row]) -> String {
    let mut text =
        "| fault | known from | callers saw | token requests | recovered after | |\n".to_owned();
    text.push_str("|---|---|---|--:|--:|---|\n");
    for row in rows {
        let verdict = if row.wrong.is_empty() { "ok" } else { "fail" };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {verdict} |\n",
            row.fault, row.known_from, row.callers_saw, row.requests, row.recovered
        ));
    }
    text
}

/// The document with another table between the marks of this name.
fn replaced(text: &str, name: &str, table: &str) -> Result<String, String> {
    let begin = format!("<!-- {name}: written by `cargo xtask faults");
    let missing = || format!("docs/faults.md has lost the marks of {name}");
    let at = text.find(&begin).ok_or_else(missing)?;
    let line = text[at..].find('\n').ok_or_else(missing)?;
    let (before, rest) = text.split_at(at + line + 1);
    let end = rest.find("<!-- end -->\n").ok_or_else(missing)?;
    Ok(format!("{before}{table}{}", &rest[end..]))
}
