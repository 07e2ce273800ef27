//! TOML into a tree with lines.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use crate::problem::Problem;
use crate::tree::{Node, Table, Tree};

/// Parses a TOML file; every syntax error is a problem of its own.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Table, Vec<Problem>> {
    let lines = Lines::of(text);
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table(root.into_inner(), &lines));
    }
    let problem = |error: &toml::de::Error| {
        let line = error.span().map(|span| lines.at(span.start));
        Problem::of_file(file, explain(error.message())).on_line(line)
    };
    Err(errors.iter().map(problem).collect())
}

/// Our own words for a syntax error: the library's may quote the source, which may be a secret.
fn explain(message: &str) -> &'static str {
    if message.contains("duplicate") {
        "is not valid TOML here: a key or table stands twice"
    } else if message.contains("quote") || message.contains("string") {
        "is not valid TOML here: a text needs quotes around it"
    } else if message.contains("assignment") || message.contains('=') {
        "is not valid TOML here: a key and its value are joined by ="
    } else if message.contains("key") {
        "is not valid TOML here: a key is missing or misspelt"
    } else {
        "is not valid TOML here: look for a missing quote, bracket or value"
    }
}

fn table(table: DeTable<'_>, lines: &Lines) -> Table {
    let entry = |(key, value): (Spanned<toml::de::DeString<'_>>, Spanned<DeValue<'_>>)| {
        let line = Some(lines.at(key.span().start));
        (
            key.into_inner().into_owned(),
            Node {
                line,
                value: tree(value.into_inner(), lines),
            },
        )
    };
    // The library sorts by key; people read from the top.
    let mut entries: Table = table.into_iter().map(entry).collect();
    entries.sort_by_key(|(_, node)| node.line);
    entries
}

fn tree(value: DeValue<'_>, lines: &Lines) -> Tree {
    match value {
        DeValue::String(text) => Tree::Text(Zeroizing::new(text.into_owned())),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Tree::Other, Tree::Integer)
        }
        DeValue::Float(number) => number.as_str().parse().map_or(Tree::Other, Tree::Float),
        DeValue::Boolean(value) => Tree::Boolean(value),
        DeValue::Datetime(_) => Tree::Other,
        DeValue::Array(items) => {
            let node = |item: Spanned<DeValue<'_>>| {
                let line = Some(lines.at(item.span().start));
                Node {
                    line,
                    value: tree(item.into_inner(), lines),
                }
            };
            Tree::List(items.into_iter().map(node).collect())
        }
        DeValue::Table(inner) => Tree::Table(table(inner, lines)),
    }
}

/// Where lines begin, to turn an offset into a line.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            text.bytes()
                .enumerate()
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _)| at)
                .collect(),
        )
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }
}
