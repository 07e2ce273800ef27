//! Documents say what the code says.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

const TROUBLESHOOTING: &str = include_str!("../../../docs/troubleshooting.md");

fn check_kinds(kinds: &[impl Debug]) {
    for kind in kinds {
        let heading = format!("\n### {kind:?}\n");
        assert!(TROUBLESHOOTING.contains(&heading), "no entry for {kind:?}");
    }
}

#[test]
fn each_kind_of_error_has_its_entry() {
    check_kinds(gatepass::core::ErrorKind::ALL);
    check_kinds(gatepass::ErrorKind::ALL);
    check_kinds(gatepass::oauth2::TokenErrorKind::ALL);
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("tests") {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Each message in the first column of a table.
fn quoted_messages() -> Vec<&'static str> {
    let cells = TROUBLESHOOTING.lines();
    cells
        .filter_map(|line| line.strip_prefix("| `")?.split("` |").next())
        .collect()
}

#[test]
fn each_quoted_message_stands_in_the_code() {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        &mut files,
    );
    let texts: Vec<String> = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    // A literal may be broken over lines, and may hold escaped quotes.
    let code = texts.concat().replace("\\\n", "").replace("\\\"", "\"");
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let messages = quoted_messages();
    assert!(messages.len() > 40, "{}", messages.len());
    for message in messages {
        let parts = message.split("..").map(str::trim);
        for part in parts.filter(|part| !part.is_empty()) {
            // What a message is filled with stands elsewhere than its frame.
            let frame = part.split(" (").next().unwrap_or(part);
            assert!(
                code.contains(frame),
                "not in the code: {frame:?} of {message:?}"
            );
        }
    }
}
