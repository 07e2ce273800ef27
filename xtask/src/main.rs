//! Tasks of this repository: `cargo xtask` alone lists them.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task talks to its user"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a task reads the environment it runs in"
)]

mod admin; // the gateway's page and metrics
mod bench_call; // instructions of a call beside bare reqwest
mod bench_gateway; // the gateway beside nginx and Envoy
mod faults; // the fault matrix
mod fuzz; // fuzz targets
mod interop; // the outside components that tests need
mod lint; // formatting, lints, documentation, licences
mod python; // components from Python's package index
mod sdk; // the OpenAI SDK through the gateway
mod shell; // runs commands
mod soak; // the gateway through a long life
mod tidy; // rules of the house that no lint knows

use std::process::ExitCode;

use bench_gateway::Mode;

const USAGE: &str = "usage: cargo xtask TASK

  test    all tests; finds or installs what they need beyond cargo
  lint    formatting, clippy, documentation, licences
  tidy    rules of the house: layering, file sizes, links
  ci      lint, tidy and test

  faults      the fault matrix: --write puts it into docs/faults.md, --check compares,
              --against envoy | databricks-sdk plays the same before a peer
  fuzz        TARGET [SECONDS]: fuzzes decode or config, for 60 seconds
  loom        every interleaving of threads in the token engine's own states
  docs        writes what documents take from the code
  soak        the gateway before thousands of connections, long streams, servers killed and
              restarted; --short is the part that belongs to the tests
  admin       the gateway's page in Chromium, its metrics before promtool
  sdk         the OpenAI SDK for Python, LangChain and LiteLLM through `gatepass exec`
  bench-gateway  the gateway beside nginx and Envoy (wrk); --access-log has all write one, --tls
              encrypts towards the upstream, --http2 has callers speak it (h2load)
  bench-call  instructions of a call beside bare reqwest (valgrind)";

fn main() -> ExitCode {
    let tasks: Vec<String> = std::env::args().skip(1).collect();
    let result = match tasks
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["test"] => test(),
        ["lint"] => lint::run(),
        ["tidy"] => tidy::run(),
        ["docs"] => docs(),
        ["loom"] => loom(),
        ["fuzz", target] => fuzz::run(target, "60"),
        ["fuzz", target, seconds] => fuzz::run(target, seconds),
        ["faults", arguments @ ..] => faults::run(arguments),
        ["bench-call"] => bench_call::run(),
        ["soak"] => soak::run(false),
        ["soak", "--short"] => soak::run(true),
        ["soak-server", kind, port] => soak::serve(kind, port),
        ["admin"] => admin::run(),
        ["sdk"] => sdk::run(),
        ["bench-gateway"] => bench_gateway::run(Mode::Plain),
        ["bench-gateway", "--access-log"] => bench_gateway::run(Mode::AccessLog),
        ["bench-gateway", "--tls"] => bench_gateway::run(Mode::Tls),
        ["bench-gateway", "--http2"] => bench_gateway::run(Mode::Http2),
        ["ci"] => lint::run().and_then(|()| tidy::run()).and_then(|()| test()),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), String> {
    let mut tests = shell::cargo(&["test", "--workspace", "--all-features", "--locked"]);
    match interop::prepare() {
        Ok(interop) => {
            tests
                .env("GATEPASS_INTEROP", interop.directory)
                .env("GATEPASS_NGINX", interop.nginx)
                .env("GATEPASS_APACHE", interop.apache);
        }
        Err(why) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            return Err(format!("{why}\nunder CI=true nothing may be skipped"));
        }
        Err(why) => println!("skipped: tests against real servers: {why}"),
    }
    shell::run(&mut tests)?;
    faults::run(&["--check"])?;
    soak::run(true)?;
    loom()
}

/// The model checks, in a build of their own: loom's locks work only within its models.
fn loom() -> Result<(), String> {
    for package in ["gatepass-core", "gatepass-oauth"] {
        let mut tests = shell::cargo(&["test", "-p", package, "--lib", "--locked", "--", "model"]);
        tests
            .env("RUSTFLAGS", "--cfg gatepass_loom")
            .env("CARGO_TARGET_DIR", shell::root().join("target/loom"))
            .env("LOOM_MAX_PREEMPTIONS", "3");
        shell::run(&mut tests)?;
    }
    Ok(())
}

/// Documents that are made from the code; tests compare them.
fn docs() -> Result<(), String> {
    let reference = [
        "run",
        "-q",
        "-p",
        "gatepass-cli",
        "--locked",
        "--",
        "schema",
        "--markdown",
    ];
    let text = shell::output(&mut shell::cargo(&reference))?;
    let path = shell::root().join("docs/configuration.md");
    std::fs::write(&path, text).map_err(|cause| format!("docs/configuration.md: {cause}"))
}
