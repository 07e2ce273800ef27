//! Rules of the house that no lint knows: layering, file sizes, documents whose links lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell;

/// Crates that must not stand under another one, however deep.
const FORBIDDEN: [(&str, &[&str]); 3] = [
    (
        "gatepass-core",
        &[
            "tokio",
            "reqwest",
            "moka",
            "hyper",
            "gatepass-config",
            "gatepass-oauth",
        ],
    ),
    (
        "gatepass-config",
        &[
            "reqwest",
            "moka",
            "hyper",
            "gatepass-oauth",
            "gatepass-client",
        ],
    ),
    (
        "gatepass-oauth",
        &["reqwest", "hyper", "gatepass-config", "gatepass-client"],
    ),
];

/// Code of a file, its tests aside.
const MAX_LINES: usize = 600;

pub(crate) fn run() -> Result<(), String> {
    let mut problems = Vec::new();
    layering(&mut problems)?;
    for file in tracked_files()? {
        let Ok(text) = fs::read_to_string(&file) else {
            continue;
        };
        let name = file
            .strip_prefix(shell::root())
            .unwrap_or(&file)
            .display()
            .to_string();
        match file.extension().and_then(|end| end.to_str()) {
            Some("rs") => source(&name, &text, &mut problems),
            Some("md") => links(&name, &file, &text, &mut problems),
            _ => {}
        }
    }
    if problems.is_empty() {
        println!("tidy: layering, file sizes and links are as they should be");
        return Ok(());
    }
    Err(problems.join("\n"))
}

fn layering(problems: &mut Vec<String>) -> Result<(), String> {
    for (package, forbidden) in FORBIDDEN {
        let tree = [
            "tree",
            "-p",
            package,
            "--edges",
            "normal",
            "--no-default-features",
            "--prefix",
            "none",
            "--locked",
        ];
        let tree = shell::output(&mut shell::cargo(&tree))?;
        for line in tree.lines() {
            let name = line.split(' ').next().unwrap_or("");
            if forbidden.contains(&name) {
                problems.push(format!(
                    "{package} stands on {name}, which its layer must not know"
                ));
            }
        }
    }
    Ok(())
}

fn tracked_files() -> Result<Vec<PathBuf>, String> {
    let mut git = std::process::Command::new("git");
    let list = shell::output(git.args(["ls-files"]).current_dir(shell::root()))?;
    Ok(list.lines().map(|line| shell::root().join(line)).collect())
}

fn source(name: &str, text: &str, problems: &mut Vec<String>) {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let lines = code.lines().count();
    if lines > MAX_LINES {
        problems.push(format!(
            "{name} has {lines} lines of code: split it below {MAX_LINES}"
        ));
    }
    if !name.starts_with("xtask/") && text.contains("TODO") {
        problems.push(format!(
            "{name} holds a TODO: do it, or write down where it is tracked"
        ));
    }
}

/// Relative links of a document must lead to something.
fn links(name: &str, file: &Path, text: &str, problems: &mut Vec<String>) {
    let directory = file.parent().unwrap_or(Path::new(""));
    for target in text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let path = target.split('#').next().unwrap_or("");
        let relative = !path.is_empty() && !path.contains("://") && !path.contains(' ');
        if relative && !directory.join(path).exists() {
            problems.push(format!("{name} links to {path}, which is not there"));
        }
    }
}
