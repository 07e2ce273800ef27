//! The `gatepass` command: arguments, one command, one exit code.

mod args; // what the user wrote
mod commands; // one file each
mod exit; // what the shell gets
mod files; // that are nobody else's business
mod output; // what people and programs read
mod registry; // which methods are compiled in
mod token_files; // tokens kept between runs

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::{Cli, Globals};
use exit::Failure;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    // A panic's text may quote a value, so only its place is told.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        output::note(&format!(
            "gatepass: internal error at {place}: please report it"
        ));
    }));
    let result = std::panic::catch_unwind(run);
    match result {
        Ok(Ok(code)) => ExitCode::from(code),
        Ok(Err(failure)) => failure.report(),
        Err(_) => ExitCode::from(exit::OTHER),
    }
}

fn run() -> Result<u8, Failure> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            let code = if told.use_stderr() {
                exit::USAGE
            } else {
                exit::OK
            };
            // Help into a closed pipe is no failure.
            let _closed = told.print();
            return Ok(code);
        }
    };
    let globals = Globals::merge(cli.globals, cli.command.globals())?;
    start_logging(globals.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| Failure::other(format!("no runtime can be started ({})", cause.kind())))?;
    runtime.block_on(commands::run(cli.command, &globals))
}

/// Our own words only, on stderr: other crates may log what they should not.
fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "debug",
        _ => "trace",
    };
    let crates = [
        "core",
        "config",
        "transport",
        "oauth",
        "client",
        "gateway",
        "cli",
    ];
    let filter: Vec<_> = crates
        .iter()
        .map(|name| format!("gatepass_{name}={level}"))
        .collect();
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter.join(",")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
