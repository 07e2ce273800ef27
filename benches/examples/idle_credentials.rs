//! What a credential costs that is held and not used: memory, tasks, timers.
//!
//! `cargo run --release -p gatepass-benches --example idle_credentials` prints a Markdown table.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::fs;
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use gatepass_core::{Deployment, Endpoint, SystemClock};
use gatepass_oauth::{OAuth, TokenCache, TokenReply, TokenTransport, TransportFailure};
use http::{HeaderMap, Request, StatusCode};

const CREDENTIALS: usize = 10_000;

/// Hands out tokens of one length at once.
#[derive(Debug)]
struct Endless(usize);

#[async_trait]
impl TokenTransport for Endless {
    async fn send(&self, _: Request<Bytes>, _: usize) -> Result<TokenReply, TransportFailure> {
        let token = "t".repeat(self.0);
        let body = format!(
            "{{\"access_token\":\"{token}\",\"token_type\":\"bearer\",\"expires_in\":3600}}"
        );
        Ok(TokenReply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: body.into_bytes().into(),
        })
    }
}

type Failure = Box<dyn std::error::Error>;

/// Bytes for each credential that holds a token of this length, its deployment included.
async fn cost(length: usize) -> Result<usize, Failure> {
    let transport: Arc<dyn TokenTransport> = Arc::new(Endless(length));
    let cache = TokenCache::new();
    // What is the same for all, and what the allocator keeps at hand, is there before it counts.
    let warm_up = deployments("first", 1_000, &transport, &cache).await?;
    let before = resident()?;
    let held = deployments("then", CREDENTIALS, &transport, &cache).await?;
    let after = resident()?;
    drop((warm_up, held));
    Ok(after.saturating_sub(before) / CREDENTIALS)
}

async fn deployments(
    prefix: &str,
    count: usize,
    transport: &Arc<dyn TokenTransport>,
    cache: &TokenCache,
) -> Result<Vec<Deployment>, Failure> {
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let id = format!("{prefix}-{number}");
        let method = OAuth::builder("https://auth.example.com/t".parse()?, id.as_str(), "s3cr3t")
            .cache(cache.clone())
            .build(Arc::clone(transport));
        let endpoint = Endpoint::parse(Some("https://models.example.com/v1"), None, false)
            .map_err(|problems| format!("{problems:?}"))?;
        let deployment = Deployment::new(&id, endpoint, vec![method])?;
        deployment.headers(&SystemClock).await?;
        all.push(deployment);
    }
    Ok(all)
}

/// Resident memory of this process in bytes (Linux).
fn resident() -> Result<usize, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    Ok(kib.ok_or("no VmRSS")?.parse::<usize>()? * 1024)
}

fn main() -> Result<(), Failure> {
    // Each length in a process of its own: memory that one run gave back would serve the next.
    if let Some(length) = std::env::args().nth(1) {
        return measure(length.parse()?);
    }
    println!(
        "| {CREDENTIALS} credentials, each with its deployment and a live token | bytes each | tasks |"
    );
    println!("|---|--:|--:|");
    for length in ["40", "1200"] {
        let output = Command::new(std::env::current_exe()?)
            .arg(length)
            .output()?;
        print!("{}", String::from_utf8(output.stdout)?);
    }
    Ok(())
}

fn measure(length: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    runtime.block_on(async {
        let bytes = cost(length).await?;
        tokio::task::yield_now().await;
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        println!("| a token of {length} bytes | {bytes} | {tasks} |");
        Ok(())
    })
}
