//! What a call through the client costs beside bare reqwest, in instructions: on a shared machine
//! a count says what a clock cannot.

use std::path::PathBuf;
use std::process::Command;

use crate::shell;

const CALLS: u64 = 1000;

/// Counts, and prints a Markdown table.
pub(crate) fn run() -> Result<(), String> {
    let valgrind = shell::find("valgrind").ok_or("valgrind is not installed")?;
    let package = ["-p", "gatepass-benches", "--example", "call_cost"];
    let build = [["build", "--release", "--locked"].as_slice(), &package].concat();
    shell::run(&mut shell::cargo(&build))?;
    let binary = shell::root().join("target/release/examples/call_cost");
    let cost = |how| per_call(&valgrind, &binary, how);
    let bare = cost("bare")?;
    println!(
        "| a call with the same header, to a server in the same process | instructions | beside bare |"
    );
    println!("|---|--:|--:|");
    println!("| bare reqwest | {bare} | 1.00 |");
    for (how, name) in [
        ("bearer", "Gatepass, `bearer`"),
        ("oauth", "Gatepass, `oauth`"),
    ] {
        let ours = cost(how)?;
        let percent = ours * 100 / bare.max(1);
        println!(
            "| {name} | {ours} | {}.{:02} |",
            percent / 100,
            percent % 100
        );
    }
    Ok(())
}

/// The difference of two runs, so that starting and connecting do not count.
fn per_call(valgrind: &PathBuf, binary: &PathBuf, how: &str) -> Result<u64, String> {
    let count = |calls: u64| -> Result<u64, String> {
        let out = shell::root().join("target/callgrind.out");
        let output = Command::new(valgrind)
            .arg("--tool=callgrind")
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(binary)
            .args([how, &calls.to_string()])
            .output()
            .map_err(|cause| format!("valgrind does not start: {cause}"))?;
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        let collected = report
            .lines()
            .find_map(|line| line.split("Collected :").nth(1));
        collected
            .and_then(|count| count.trim().parse().ok())
            .ok_or_else(|| format!("valgrind counted nothing:\n{report}"))
    };
    Ok(count(CALLS + 200)?.saturating_sub(count(200)?) / CALLS)
}
