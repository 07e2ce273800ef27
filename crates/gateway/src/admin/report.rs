//! How the deployments fare: what `/-/deployments` answers with, the page shows and `gatepass status`
//! prints. Nothing secret.

use std::collections::BTreeMap;
use std::time::Duration;

use gatepass_core::{Clock, Deployment, Lease, Now, SystemClock};
use serde::{Deserialize, Serialize};

use super::sums::Sums;
use crate::exchanges::{Exchange, Source};
use crate::problem::Part;
use crate::routes::Entry;

/// How a gateway and its deployments fare.
///
/// ```
/// let text = r#"{"version": "0.1.0", "generation": 0, "uptime_seconds": 7, "draining": false,
///     "connections": 2, "reload_failure": null, "deployments": [], "tokens": []}"#;
/// let report: gatepass_gateway::Report = serde_json::from_str(text)?;
/// assert_eq!(report.connections, 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// The gateway's version.
    pub version: String,
    /// How many changed configurations were taken over.
    pub generation: u64,
    /// Seconds since it was started.
    pub uptime_seconds: u64,
    /// Whether it is about to end.
    pub draining: bool,
    /// Connections of callers that are open now.
    pub connections: u64,
    /// Why the last changed configuration was not taken over.
    pub reload_failure: Option<String>,
    /// In the order of their names.
    pub deployments: Vec<DeploymentReport>,
    /// Where tokens come from.
    pub tokens: Vec<TokenSource>,
}

/// How one deployment fares; counts are since the start of the gateway.
///
/// ```
/// let show = |one: &gatepass_gateway::DeploymentReport| format!("{}: {}", one.name, one.requests);
/// # let _ = show;
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeploymentReport {
    /// Its name.
    pub name: String,
    /// Scheme, host and port.
    pub origin: String,
    /// What its definition says, with `+` between several methods.
    pub authentication: String,
    /// What it holds.
    pub credential: Credential,
    /// Answers of any kind.
    pub requests: u64,
    /// Answers a second over the last minute.
    pub requests_per_second: f64,
    /// Requests under way.
    pub in_flight: u64,
    /// How many may be under way, where there is a limit.
    pub in_flight_limit: Option<u64>,
    /// Answers by class: `2xx`.
    pub answers: BTreeMap<String, u64>,
    /// Errors that the gateway answered with, by the part that failed: `config`, `token_endpoint`,
    /// `upstream`, `gateway`.
    pub errors: BTreeMap<String, u64>,
    /// Requests sent once more after a rejected token.
    pub replays: u64,
    /// Answers that ended early, on either side.
    pub broken: u64,
    /// What went wrong last, callers' own mistakes aside.
    pub last_failure: Option<Failure>,
}

/// What a deployment holds.
///
/// ```
/// let text = r#"{"state": "live", "expires_in_seconds": 3300, "renews_in_seconds": 3000,
///     "number": 4, "source": "https://auth.example.com/token"}"#;
/// let credential: gatepass_gateway::Credential = serde_json::from_str(text)?;
/// assert_eq!(credential.words(), "live, 55 min left");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Credential {
    /// `live`, `expired`, `not obtained yet` or `not needed`.
    pub state: String,
    /// Seconds until it is not used any more; absent where it has no end.
    pub expires_in_seconds: Option<u64>,
    /// Seconds until it is renewed.
    pub renews_in_seconds: Option<u64>,
    /// Its number, as the access log shows it.
    pub number: Option<u64>,
    /// Where it comes from, as far as that is known.
    pub source: Option<String>,
}

/// Something that went wrong.
///
/// ```
/// let show = |failure: &gatepass_gateway::Failure| format!("{}: {}", failure.part, failure.message);
/// # let _ = show;
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// Who failed: `config`, `token_endpoint`, `upstream` or `gateway`.
    pub part: String,
    /// The status that the caller got.
    pub status: u16,
    /// How long ago, in seconds.
    pub seconds_ago: u64,
    /// Cause and fix.
    pub message: String,
}

/// Where tokens come from, and what came.
///
/// ```
/// let show = |one: &gatepass_gateway::TokenSource| format!("{}: {}", one.source, one.obtained);
/// # let _ = show;
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TokenSource {
    /// A token endpoint, a program.
    pub source: String,
    /// Seconds that the newest token is usable yet.
    pub usable_seconds: Option<u64>,
    /// Exchanges that gave a token.
    pub obtained: u64,
    /// Exchanges that gave none and are tried again.
    pub failed: u64,
    /// Exchanges that were refused for good.
    pub refused: u64,
    /// Tokens that an upstream rejected.
    pub rejections: u64,
    /// What went wrong last; none since the last success.
    pub last_failure: Option<String>,
}

impl Credential {
    /// Of all the methods of a deployment, the one that ends first.
    pub(crate) fn of(deployment: &Deployment, now: Now) -> Self {
        let held = deployment.credentials().held();
        let needed: Vec<_> = held.into_iter().filter(|one| one.needed).collect();
        let source = needed.iter().find_map(|one| one.source.clone());
        let plain = |state: &str| Self {
            state: state.to_owned(),
            expires_in_seconds: None,
            renews_in_seconds: None,
            number: None,
            source: source.clone(),
        };
        if needed.is_empty() {
            return plain("not needed");
        }
        let leases: Option<Vec<_>> = needed.into_iter().map(|one| one.lease).collect();
        let Some(leases) = leases else {
            return plain("not obtained yet");
        };
        let left =
            |end: Option<Now>| end.map(|end| end.monotonic().saturating_sub(now.monotonic()));
        let hard = |lease: &Lease| left(lease.hard()).unwrap_or(Duration::MAX);
        let first = leases.iter().min_by_key(|lease| hard(lease));
        let Some(lease) = first else {
            return plain("not needed");
        };
        let seconds = |left: Option<Duration>| left.map(|left| left.as_secs());
        Self {
            expires_in_seconds: seconds(left(lease.hard())),
            renews_in_seconds: seconds(left(lease.soft())),
            number: lease.stamp().to_string().parse().ok(),
            ..plain(if lease.is_live(now) {
                "live"
            } else {
                "expired"
            })
        }
    }

    /// For people.
    #[must_use]
    pub fn words(&self) -> String {
        match self.expires_in_seconds {
            Some(seconds) if self.state == "live" => format!("live, {} left", span(seconds)),
            _ => self.state.clone(),
        }
    }
}

impl Report {
    /// How long it runs, for people.
    #[must_use]
    pub fn uptime(&self) -> String {
        span(self.uptime_seconds)
    }
}

impl Failure {
    /// How long ago it was, for people.
    #[must_use]
    pub fn age(&self) -> String {
        span(self.seconds_ago)
    }
}

impl DeploymentReport {
    pub(super) fn of(entry: &Entry, sums: &Sums, rate: f64) -> Self {
        let deployment = &entry.deployment;
        let classes = (1..).zip(sums.by_class);
        let parts = Part::ALL.iter().zip(sums.by_part);
        let failure = entry.standing.last_failure().map(|failure| Failure {
            part: failure.part.name().to_owned(),
            status: failure.status,
            seconds_ago: failure.age().as_secs(),
            message: failure.detail,
        });
        Self {
            name: deployment.name().to_owned(),
            origin: deployment.origin().to_string(),
            authentication: deployment.tags().join("+"),
            credential: Credential::of(deployment, SystemClock.now()),
            requests: sums.total(),
            requests_per_second: rate,
            in_flight: sums.in_flight,
            in_flight_limit: deployment.limits().in_flight,
            answers: classes
                .map(|(class, count)| (format!("{class}xx"), count))
                .collect(),
            errors: parts
                .map(|(part, count)| (part.name().to_owned(), count))
                .collect(),
            replays: sums.replays,
            broken: sums.broken,
            last_failure: failure,
        }
    }

    /// Answers of this class, 4 for `4xx`.
    #[must_use]
    pub fn class(&self, class: u8) -> u64 {
        self.answers
            .get(&format!("{class}xx"))
            .copied()
            .unwrap_or(0)
    }

    /// The parts that failed and how often, for people; empty if none did.
    #[must_use]
    pub fn errors_in_words(&self) -> String {
        let failed = self.errors.iter().filter(|(_, count)| **count > 0);
        let words = failed.map(|(part, count)| format!("{} {count}", part.replace('_', " ")));
        words.collect::<Vec<_>>().join(", ")
    }
}

impl TokenSource {
    pub(super) fn of((name, source): &(String, Source)) -> Self {
        let count = |exchange: Exchange| source.by_outcome[exchange as usize];
        Self {
            source: name.clone(),
            usable_seconds: source.usable().map(|usable| usable.as_secs()),
            obtained: count(Exchange::Obtained),
            failed: count(Exchange::Failed),
            refused: count(Exchange::Refused),
            rejections: source.rejections,
            last_failure: source.last_failure.clone(),
        }
    }
}

/// A span of time for people, in its largest unit.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86400),
    }
}
