//! Rules of the house that no lint knows: layering, file sizes, documents whose links lead somewhere,
//! an example for whatever is public.

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
    examples(&mut problems)?;
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
        println!("tidy: layering, file sizes, links and examples are as they should be");
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

/// Whatever a library hands on by name has an example in its documentation.
fn examples(problems: &mut Vec<String>) -> Result<(), String> {
    let libraries: Vec<PathBuf> = tracked_files()?
        .into_iter()
        .filter(|file| {
            file.ends_with("src/lib.rs") && file.starts_with(shell::root().join("crates"))
        })
        .collect();
    for library in libraries {
        let source = library.parent().unwrap_or(Path::new(""));
        let text = fs::read_to_string(&library).map_err(|cause| cause.to_string())?;
        let names = handed_on(&text);
        for file in tracked_files()?
            .iter()
            .filter(|file| file.starts_with(source))
        {
            let text = fs::read_to_string(file).unwrap_or_default();
            for name in without_example(&text, &names) {
                let file = file.strip_prefix(shell::root()).unwrap_or(file).display();
                problems.push(format!("{file}: {name} is public and has no example"));
            }
        }
    }
    Ok(())
}

/// The names in `pub use module::{..};` and `pub use module::Name;` lines of this crate's own.
fn handed_on(text: &str) -> Vec<String> {
    let uses = text.split("pub use ").skip(1);
    let own = uses.filter(|rest| !rest.starts_with("gatepass"));
    let items = own.filter_map(|rest| rest.split(';').next()?.split("::").nth(1));
    items
        .flat_map(|items| items.trim_matches(['{', '}', '\n']).split(','))
        .map(|name| name.trim().to_owned())
        .collect()
}

fn without_example<'a>(text: &str, names: &'a [String]) -> Vec<&'a str> {
    let mut documented = false;
    let mut missing = Vec::new();
    for line in text.lines() {
        if line.starts_with("///") {
            documented |= line.contains("```");
            continue;
        }
        let defines = |name: &&String| {
            ["struct", "enum", "trait", "fn", "const", "type"]
                .iter()
                .any(|kind| {
                    let rest = line.strip_prefix(&format!("pub {kind} {name}"));
                    rest.is_some_and(|rest| {
                        !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
                    })
                })
        };
        if let Some(name) = names.iter().find(defines)
            && !documented
        {
            missing.push(name.as_str());
        }
        // Attributes stand between documentation and definition.
        if !line.starts_with("#[") && !line.starts_with("    ") && !line.starts_with(")]") {
            documented = false;
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_without_an_example_is_found() {
        let names =
            handed_on("pub use a::{One, Two};\npub use b::three;\npub use gatepass_x::Four;");
        assert_eq!(names, ["One", "Two", "three"]);
        let text = "/// ```\n#[derive(\n    Debug,\n)]\npub struct One;\n/// Bare.\npub enum Two {}\npub fn three() {}";
        assert_eq!(without_example(text, &names), ["Two", "three"]);
    }
}
