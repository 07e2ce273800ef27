//! The gateway under what a long life brings: thousands of connections, slow ends, long streams, and a
//! token server and an upstream that are killed and started again all the time.
//!
//! Everything is bounded in size and time and stays on this machine. What is judged is growth, and
//! whether a call was lost that could have been served; never a duration.

mod calls; // one connection, one call
mod gateway; // the process under test
mod outages; // servers killed and restarted under load
mod servers; // what the gateway talks to

use std::time::Duration;

use calls::{Caller, nothing};
use gateway::Gateway;
use http::Method;
use servers::Server;

use crate::shell;

pub(crate) use servers::serve;

/// How much of everything.
#[derive(Clone, Copy)]
struct Scale {
    release: bool,
    idle: usize,
    busy: usize,
    calls_each: usize,
    slow: usize,
    stream: u64,
    outages: Duration,
}

const FULL: Scale = Scale {
    release: true,
    idle: 10_000,
    busy: 1_000,
    calls_each: 20,
    slow: 200,
    stream: 1024 * 1024 * 1024,
    outages: Duration::from_secs(60),
};

/// As a part of the tests.
const SHORT: Scale = Scale {
    release: false,
    idle: 1_000,
    busy: 200,
    calls_each: 5,
    slow: 50,
    stream: 64 * 1024 * 1024,
    outages: Duration::from_secs(12),
};

pub(crate) fn run(short: bool) -> Result<(), String> {
    let scale = if short { SHORT } else { FULL };
    let profile: &[&str] = if scale.release { &["--release"] } else { &[] };
    let build = [&["build", "--locked", "-p", "gatepass-cli"], profile].concat();
    shell::run(&mut shell::cargo(&build))?;
    let runtime = shell::runtime(2)?;
    runtime.block_on(all(scale))
}

async fn all(scale: Scale) -> Result<(), String> {
    let mut tokens = Server::new("tokens")?;
    let mut model = Server::new("model")?;
    tokens.start().await?;
    model.start().await?;
    let gateway = Gateway::start(scale.release, &tokens, &model).await?;
    println!("\n| | memory before | at its most | after | open files before and after |");
    println!("|---|--:|--:|--:|--:|");
    // Everything that is made once is there before anything is measured.
    calls::many(&gateway, 64, 50).await?;
    connections(&gateway, scale).await?;
    streams(&gateway, scale).await?;
    slow_ends(&gateway, scale).await?;
    let told = outages::run(&gateway, &mut tokens, &mut model, scale.outages).await?;
    println!("\n{told}");
    gateway.is_well().await
}

/// Idle connections, and busy ones beside them.
async fn connections(gateway: &Gateway, scale: Scale) -> Result<(), String> {
    let before = gateway.gauge()?;
    let idle = idle_callers(gateway, scale.idle).await?;
    let opened = gateway.gauge()?;
    let per_connection = opened.kib.saturating_sub(before.kib) / scale.idle as u64;
    calls::many(gateway, scale.busy, scale.calls_each).await?;
    let most = gateway.gauge()?;
    drop(idle);
    gateway.settled().await?;
    let after = gateway.gauge()?;
    let what = format!(
        "{} idle connections ({per_connection} KiB each), {} busy ones",
        scale.idle, scale.busy
    );
    row(
        &what,
        before.kib,
        most.kib,
        after.kib,
        [before.files, after.files],
    );
    // Two buffers of 8 KiB each are hyper's.
    within("an idle connection", per_connection, 26)?;
    files("connections", before.files, after.files)?;
    rushes(gateway, scale).await
}

/// The same again and again: threads share connections out as it comes, and each keeps some of what it
/// once needed, but that levels off.
async fn rushes(gateway: &Gateway, scale: Scale) -> Result<(), String> {
    let mut most = [0; 5];
    for most in &mut most {
        let idle = idle_callers(gateway, scale.idle).await?;
        calls::many(gateway, scale.busy, scale.calls_each).await?;
        *most = gateway.gauge()?.kib;
        drop(idle);
        gateway.settled().await?;
    }
    let mib = most.map(|kib| kib / 1024);
    println!("| five more times, at their most {mib:?} MiB | | | | |");
    let [_, _, third, _, last] = most;
    within("the last of five rushes", last, third + third / 8 + 8192)
}

/// Every one has been of use once, and is kept.
async fn idle_callers(gateway: &Gateway, count: usize) -> Result<Vec<Caller>, String> {
    let mut idle = Vec::with_capacity(count);
    for _ in 0..count {
        let mut caller = Caller::to(gateway.port).await?;
        caller.call(Method::GET, "/m/call", nothing()).await?;
        idle.push(caller);
    }
    gateway.has_connections(count as u64).await?;
    Ok(idle)
}

/// One long answer and one long request.
async fn streams(gateway: &Gateway, scale: Scale) -> Result<(), String> {
    for (what, upload) in [("an answer", false), ("a request", true)] {
        let before = gateway.gauge()?;
        let watch = gateway.watch();
        let passed = if upload {
            calls::upload(gateway, scale.stream).await?
        } else {
            calls::download(gateway, scale.stream).await?
        };
        let most = watch.most();
        gateway.settled().await?;
        let after = gateway.gauge()?;
        if passed != scale.stream {
            return Err(format!("{what}: {passed} of {} bytes", scale.stream));
        }
        let name = format!("{what} of {} MiB", scale.stream >> 20);
        row(
            &name,
            before.kib,
            most,
            after.kib,
            [before.files, after.files],
        );
        // A request keeps up to 8 MiB for a replay, until it is longer than that.
        within(what, most, before.kib + 32 * 1024)?;
    }
    Ok(())
}

/// Callers that do not read, and callers that hardly write.
async fn slow_ends(gateway: &Gateway, scale: Scale) -> Result<(), String> {
    let before = gateway.gauge()?;
    let watch = gateway.watch();
    let slow = calls::slow(gateway, scale.slow).await?;
    let most = watch.most();
    calls::many(gateway, 16, 20).await?;
    drop(slow);
    gateway.settled().await?;
    let after = gateway.gauge()?;
    let what = format!("{0} slow readers and {0} slow writers", scale.slow);
    row(
        &what,
        before.kib,
        most,
        after.kib,
        [before.files, after.files],
    );
    // Some buffers each way: a MiB for each would be the answer itself.
    let bound = before.kib + scale.slow as u64 * 1024;
    within("slow ends", most, bound)?;
    files("slow ends", before.files, after.files)
}

fn row(what: &str, before: u64, most: u64, after: u64, files: [usize; 2]) {
    let mib = |kib: u64| format!("{:.1} MiB", kib as f64 / 1024.0);
    println!(
        "| {what} | {} | {} | {} | {}, {} |",
        mib(before),
        mib(most),
        mib(after),
        files[0],
        files[1]
    );
}

/// In KiB.
fn within(what: &str, got: u64, most: u64) -> Result<(), String> {
    if got > most {
        return Err(format!("{what} takes {got} KiB, more than {most}"));
    }
    Ok(())
}

/// Connections to upstreams are kept for a while, up to 256 for each thread.
fn files(what: &str, before: usize, after: usize) -> Result<(), String> {
    if after > before + 600 {
        return Err(format!("{what}: {after} open files, {before} before"));
    }
    Ok(())
}
