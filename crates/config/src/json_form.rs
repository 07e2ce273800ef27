//! The wire JSON into trees: one object, or a list of them.

use std::path::Path;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::problem::Problem;
use crate::tree::{Node, Table, Tree};

/// Parses a JSON file into its definitions, with their index where the file is a list.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Vec<(Option<usize>, Table)>, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let what = if error.is_eof() {
            "ends too early"
        } else {
            "is not valid JSON here"
        };
        let message = format!("{what} (column {})", error.column());
        vec![Problem::of_file(file, message).on_line(Some(error.line()))]
    })?;
    match value {
        Value::Object(_) => Ok(vec![(None, table(value))]),
        Value::Array(items) => {
            let (objects, others): (Vec<_>, Vec<_>) = items
                .into_iter()
                .enumerate()
                .partition(|(_, item)| item.is_object());
            if others.is_empty() {
                return Ok(objects
                    .into_iter()
                    .map(|(at, item)| (Some(at), table(item)))
                    .collect());
            }
            let problem = |(at, _)| {
                Problem::of_file(file, "is not an object: each deployment is one")
                    .at_index(Some(at))
            };
            Err(others.into_iter().map(problem).collect())
        }
        _ => Err(vec![Problem::of_file(
            file,
            "must hold one object, or a list of objects",
        )]),
    }
}

fn table(value: Value) -> Table {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| {
                (
                    key,
                    Node {
                        line: None,
                        value: tree(value),
                    },
                )
            })
            .collect(),
        _ => Table::new(),
    }
}

fn tree(value: Value) -> Tree {
    match value {
        Value::Null => Tree::Null,
        Value::Bool(value) => Tree::Boolean(value),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(number), _) => Tree::Integer(number),
            (None, Some(number)) => Tree::Float(number),
            (None, None) => Tree::Other,
        },
        Value::String(text) => Tree::Text(Zeroizing::new(text)),
        Value::Array(items) => {
            let node = |item| Node {
                line: None,
                value: tree(item),
            };
            Tree::List(items.into_iter().map(node).collect())
        }
        Value::Object(_) => Tree::Table(table(value)),
    }
}
