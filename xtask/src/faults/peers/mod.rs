//! The same faults before other token clients, in real time and over real sockets: a peer cannot be
//! run in fake time.

mod databricks; // the token source of a Python SDK
mod endpoint; // the testkit's servers on loopback ports
mod envoy; // a proxy that injects credentials
mod gatepass; // ours, by the same rules

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use gatepass_testkit::Reply;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use self::endpoint::Endpoint;
use super::replies;
use crate::shell;

/// Peers that run at once; the machine is small and they mostly wait.
const AT_ONCE: usize = 8;
/// How long a fault lasts.
const FAULT: Duration = Duration::from_secs(10);
/// How long a peer has to recover once the fault is over.
const HEALED: Duration = Duration::from_secs(45);
const BETWEEN_CALLS: Duration = Duration::from_millis(250);
/// A call that takes longer than this is over for its caller.
const PATIENCE: Duration = Duration::from_secs(12);

/// What one call came to, in a few words.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Served,
    Failed(String),
}

/// A token client under test.
enum Peer {
    Envoy(envoy::Envoy),
    Databricks(databricks::Source),
    Gatepass(Box<gatepass::Gatepass>),
}

const PEERS: &str = "gatepass, envoy or databricks-sdk";

impl Peer {
    /// Started before this endpoint, ready for calls.
    async fn start(name: &str, endpoint: &Endpoint) -> Result<Self, String> {
        match name {
            "envoy" => Ok(Self::Envoy(envoy::Envoy::start(endpoint).await?)),
            "databricks-sdk" => Ok(Self::Databricks(databricks::Source::start(endpoint)?)),
            "gatepass" => Ok(Self::Gatepass(Box::new(gatepass::Gatepass::start(
                endpoint,
            )?))),
            other => Err(format!("no peer `{other}`: {PEERS}")),
        }
    }

    async fn call(&mut self, endpoint: &Endpoint) -> Answer {
        let answer = async {
            match self {
                Self::Envoy(envoy) => envoy.call().await,
                Self::Databricks(source) => source.call(endpoint).await,
                Self::Gatepass(ours) => ours.call(endpoint).await,
            }
        };
        let late = || Answer::Failed(format!("nothing within {} s", PATIENCE.as_secs()));
        timeout(PATIENCE, answer).await.unwrap_or_else(|_| late())
    }
}

struct Row {
    fault: String,
    callers_saw: String,
    requests: usize,
    recovered: String,
}

/// Runs the faults before one peer; `--write` puts the table into the document.
pub(crate) fn run(name: &str, write: bool) -> Result<(), String> {
    let version = match name {
        "envoy" => envoy::prepare()?,
        "databricks-sdk" => databricks::prepare()?,
        "gatepass" => gatepass::version(),
        other => return Err(format!("no peer `{other}`: {PEERS}")),
    };
    let runtime = shell::runtime(2)?;
    let rows = runtime.block_on(all(name))?;
    let text = table(&version, &rows)?;
    if !write {
        println!("{text}");
        return Ok(());
    }
    let path = shell::root().join("docs/faults.md");
    let document = fs::read_to_string(&path).map_err(|cause| format!("docs/faults.md: {cause}"))?;
    let document = super::replaced(&document, &format!("peer {name}"), &text)?;
    fs::write(&path, document).map_err(|cause| format!("docs/faults.md: {cause}"))?;
    println!("wrote {} rows to docs/faults.md", rows.len());
    Ok(())
}

async fn all(name: &str) -> Result<Vec<Row>, String> {
    let free = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = Vec::new();
    for fault in replies::faults() {
        let (free, name) = (Arc::clone(&free), name.to_owned());
        running.push(tokio::spawn(async move {
            let _place = free.acquire().await.map_err(|_| "no place")?;
            at_first(&name, fault.name, fault.reply).await
        }));
    }
    let mut rows = Vec::new();
    for (number, row) in running.into_iter().enumerate() {
        rows.push(
            row.await
                .map_err(|cause| format!("row {number}: {cause}"))??,
        );
        println!("{} of the faults of a reply", rows.len());
    }
    rows.push(crossing(name).await?);
    rows.push(outage(name).await?);
    rows.push(revoked(name).await?);
    Ok(rows)
}

/// The fault from the start, then healed.
async fn at_first(name: &str, fault: &str, reply: Reply) -> Result<Row, String> {
    let endpoint = Endpoint::start(3600).await?;
    endpoint.tokens.always(reply);
    let mut peer = Peer::start(name, &endpoint).await?;
    let start = Instant::now();
    let mut seen = Seen::default();
    while start.elapsed() < FAULT {
        let answer = peer.call(&endpoint).await;
        let served = answer == Answer::Served;
        seen.add(answer, start.elapsed());
        if served {
            break;
        }
        sleep(BETWEEN_CALLS).await;
    }
    let requests = endpoint.tokens.requests();
    let recovered = if seen.served_after.is_some() {
        "-".to_owned()
    } else {
        endpoint.tokens.heal();
        recovery(&mut peer, &endpoint).await
    };
    Ok(Row {
        fault: fault.to_owned(),
        callers_saw: seen.to_text(),
        requests,
        recovered,
    })
}

/// How long until a call is served.
async fn recovery(peer: &mut Peer, endpoint: &Endpoint) -> String {
    let healed = Instant::now();
    while healed.elapsed() < HEALED {
        if peer.call(endpoint).await == Answer::Served {
            return super::world::shown(healed.elapsed());
        }
        sleep(BETWEEN_CALLS).await;
    }
    format!("not within {} s", HEALED.as_secs())
}

/// Calls one after the other across the ends of tokens of 5 s, to an upstream that checks them.
async fn crossing(name: &str) -> Result<Row, String> {
    let endpoint = Endpoint::start(5).await?;
    let mut peer = Peer::start(name, &endpoint).await?;
    let _first = recovery(&mut peer, &endpoint).await;
    let mut seen = Seen::default();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        seen.add(peer.call(&endpoint).await, start.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    Ok(Row {
        fault: "30 s of calls across tokens of 5 s".to_owned(),
        callers_saw: seen.to_text(),
        requests: endpoint.tokens.requests(),
        recovered: "-".to_owned(),
    })
}

/// The token endpoint is gone from the middle of a token's life of 20 s on, for 30 s.
async fn outage(name: &str) -> Result<Row, String> {
    let endpoint = Endpoint::start(20).await?;
    let mut peer = Peer::start(name, &endpoint).await?;
    let _first = recovery(&mut peer, &endpoint).await;
    let before = endpoint.tokens.requests();
    endpoint.tokens.always(Reply::status(503));
    let mut seen = Seen::default();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        seen.add(peer.call(&endpoint).await, start.elapsed());
        sleep(BETWEEN_CALLS).await;
    }
    let requests = endpoint.tokens.requests() - before;
    endpoint.tokens.heal();
    Ok(Row {
        fault: "503 from the middle of a token's life of 20 s on, 30 s of calls".to_owned(),
        callers_saw: seen.to_text(),
        requests,
        recovered: recovery(&mut peer, &endpoint).await,
    })
}

/// Every token is revoked at the upstream, long before its end.
async fn revoked(name: &str) -> Result<Row, String> {
    let endpoint = Endpoint::start(3600).await?;
    let mut peer = Peer::start(name, &endpoint).await?;
    let _first = recovery(&mut peer, &endpoint).await;
    endpoint.tokens.revoke_all();
    let mut seen = Seen::default();
    let start = Instant::now();
    while start.elapsed() < FAULT && seen.served_after.is_none() {
        seen.add(peer.call(&endpoint).await, start.elapsed());
        sleep(BETWEEN_CALLS).await;
    }
    let recovered = match seen.served_after {
        Some(after) => super::world::shown(after),
        None => recovery(&mut peer, &endpoint).await,
    };
    Ok(Row {
        fault: "a token that is revoked upstream".to_owned(),
        callers_saw: seen.to_text(),
        requests: endpoint.tokens.requests(),
        recovered,
    })
}

/// What callers saw, counted.
#[derive(Default)]
struct Seen {
    served: usize,
    served_after: Option<Duration>,
    failed: Vec<(String, usize)>,
}

impl Seen {
    fn add(&mut self, answer: Answer, after: Duration) {
        match answer {
            Answer::Served => {
                self.served += 1;
                self.served_after.get_or_insert(after);
            }
            Answer::Failed(why) => match self.failed.iter_mut().find(|(known, _)| *known == why) {
                Some((_, count)) => *count += 1,
                None => self.failed.push((why, 1)),
            },
        }
    }

    fn to_text(&self) -> String {
        let mut parts = Vec::new();
        for (why, count) in &self.failed {
            parts.push(format!("{why} ({count})"));
        }
        if self.served > 0 {
            parts.push(format!("served ({})", self.served));
        }
        parts.join(", ")
    }
}

fn table(version: &str, rows: &[Row]) -> Result<String, String> {
    let date = shell::output(std::process::Command::new("date").args(["-u", "+%F"]))?;
    let mut text = format!("{version}, {}.\n\n", date.trim());
    text.push_str("| fault | callers saw (calls) | token requests | recovered after |\n");
    text.push_str("|---|---|--:|--:|\n");
    for row in rows {
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            row.fault, row.callers_saw, row.requests, row.recovered
        ));
    }
    Ok(text)
}
