//! Fuzz targets, run by cargo-fuzz on the stable toolchain. Their properties are also proptests,
//! which the test command runs.

use std::process::Command;

use crate::shell;

const CARGO_FUZZ: &str = "cargo-fuzz@0.13.2";

/// Fuzzes one target; what it finds and learns stays in `target/fuzz-corpus`.
pub(crate) fn run(target: &str, seconds: &str) -> Result<(), String> {
    let root = shell::root();
    let tool = root.join("target/tools/bin/cargo-fuzz");
    if !tool.is_file() {
        println!("installing cargo-fuzz into target/tools ...");
        let into = root.join("target/tools");
        let mut install = shell::cargo(&["install", "--locked", CARGO_FUZZ, "--root"]);
        shell::run(install.arg(into))?;
    }
    let corpus = root.join("target/fuzz-corpus").join(target);
    std::fs::create_dir_all(&corpus).map_err(|cause| format!("{}: {cause}", corpus.display()))?;
    let mut fuzz = Command::new(tool);
    fuzz.args(["fuzz", "run", "--sanitizer", "none", target])
        .arg(corpus)
        .args(["--", "-max_len=4096"])
        .arg(format!("-max_total_time={seconds}"))
        .env("CARGO_TARGET_DIR", root.join("target/fuzz"))
        .current_dir(root);
    shell::run(&mut fuzz)
}
