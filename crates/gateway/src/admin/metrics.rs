//! Metrics in the text form that Prometheus reads. Labels are names of the configuration and words of
//! the code, so there are only so many.

use std::collections::BTreeMap;
use std::fmt::Write;

use gatepass_core::{Clock, SystemClock};

use super::reloads::Reloads;
use super::report::Credential;
use super::sums::{DurationSums, Sums};
use crate::account::BUCKETS;
use crate::exchanges::{Exchange, Source};
use crate::problem::Part;
use crate::routes::Snapshot;

#[derive(Default)]
pub(super) struct Exposition(String);

type ByCaller = BTreeMap<(String, String), Sums>;

impl Exposition {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// The gateway itself.
    pub(super) fn gateway(&mut self, generation: u64, connections: u64, reloads: &Reloads) {
        let name = "gatepass_build_info";
        self.metric(name, "gauge", "1, with the version as a label");
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        self.line(name, &version, 1);
        let name = "gatepass_connections";
        self.metric(name, "gauge", "connections of callers that are open now");
        self.line(name, "", connections);
        let name = "gatepass_config_generation";
        self.metric(
            name,
            "gauge",
            "how many changed configurations were taken over",
        );
        self.line(name, "", generation);
        let name = "gatepass_config_reloads_total";
        self.metric(
            name,
            "counter",
            "changed configurations, by what became of them",
        );
        for (outcome, count) in reloads.counts() {
            self.line(name, &format!("outcome=\"{outcome}\""), count);
        }
        let name = "gatepass_config_last_reload_successful";
        self.metric(name, "gauge", "0 while the last change is not taken over");
        self.line(name, "", u64::from(reloads.last_failure().is_none()));
    }

    /// What got no further than the gateway.
    pub(super) fn refusals(&mut self, refused: &[(u16, u64)]) {
        let name = "gatepass_refused_total";
        let help = "requests refused before their deployment was known, by status";
        self.metric(name, "counter", help);
        for (status, count) in refused {
            self.line(name, &format!("status=\"{status}\""), *count);
        }
    }

    /// Requests by deployment and caller.
    pub(super) fn requests(&mut self, sums: &ByCaller) {
        let name = "gatepass_requests_total";
        self.metric(name, "counter", "answers by the class of their status");
        for (labels, sum) in labelled(sums) {
            for (class, count) in (1..).zip(sum.by_class) {
                self.line(name, &format!("{labels},class=\"{class}xx\""), count);
            }
        }
        let name = "gatepass_errors_total";
        let help = "answers that the gateway made itself, by the part that failed";
        self.metric(name, "counter", help);
        for (labels, sum) in labelled(sums) {
            for (part, count) in Part::ALL.iter().zip(sum.by_part) {
                self.line(name, &format!("{labels},part=\"{}\"", part.name()), count);
            }
        }
        self.one(
            sums,
            "gatepass_replays_total",
            "counter",
            "requests sent once more after a rejected token",
            |sum| sum.replays,
        );
        self.one(
            sums,
            "gatepass_stripped_headers_total",
            "counter",
            "headers of callers that went no further",
            |sum| sum.stripped,
        );
        self.one(
            sums,
            "gatepass_broken_answers_total",
            "counter",
            "answers that ended early, on either side",
            |sum| sum.broken,
        );
        self.one(
            sums,
            "gatepass_in_flight",
            "gauge",
            "requests under way",
            |sum| sum.in_flight,
        );
        self.histogram(
            sums,
            "gatepass_gateway_seconds",
            "time spent in the gateway until an answer began",
            |sum| &sum.gateway,
        );
        self.histogram(
            sums,
            "gatepass_upstream_seconds",
            "time until the upstream's answer began",
            |sum| &sum.upstream,
        );
    }

    /// Which deployments there are, and how long what they hold is usable yet.
    pub(super) fn credentials(&mut self, snapshot: &Snapshot) {
        let now = SystemClock.now();
        let all: Vec<(String, Credential)> = snapshot
            .entries
            .iter()
            .map(|entry| {
                let labels = format!("deployment=\"{}\"", escape(entry.deployment.name()));
                (labels, Credential::of(&entry.deployment, now))
            })
            .collect();
        let name = "gatepass_deployment_info";
        let help =
            "1 for each deployment, with its method and where its tokens come from as labels";
        self.metric(name, "gauge", help);
        for (entry, (labels, credential)) in snapshot.entries.iter().zip(&all) {
            let labels = format!(
                "{labels},authentication=\"{}\",source=\"{}\"",
                escape(&entry.deployment.tags().join("+")),
                escape(credential.source.as_deref().unwrap_or_default())
            );
            self.line(name, &labels, 1);
        }
        let name = "gatepass_token_expiry_seconds";
        let help = "seconds until the deployment's credential is not used any more";
        self.metric(name, "gauge", help);
        for (labels, credential) in &all {
            if let Some(seconds) = credential.expires_in_seconds {
                self.line(name, labels, seconds);
            }
        }
    }

    /// Token exchanges, by where tokens come from.
    pub(super) fn exchanges(&mut self, sources: &[(String, Source)]) {
        let labels = |source: &str| format!("source=\"{}\"", escape(source));
        let name = "gatepass_token_exchanges_total";
        self.metric(name, "counter", "token exchanges, by what came of them");
        for (source, told) in sources {
            for (outcome, count) in Exchange::ALL.iter().zip(told.by_outcome) {
                let labels = format!("{},outcome=\"{}\"", labels(source), outcome.name());
                self.line(name, &labels, count);
            }
        }
        let name = "gatepass_token_rejections_total";
        self.metric(name, "counter", "tokens that an upstream rejected");
        for (source, told) in sources {
            self.line(name, &labels(source), told.rejections);
        }
        let name = "gatepass_token_usable_seconds";
        self.metric(name, "gauge", "how long the newest token is usable yet");
        for (source, told) in sources {
            if let Some(usable) = told.usable() {
                self.line(name, &labels(source), usable.as_secs());
            }
        }
    }

    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _into_memory = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &str, value: u64) {
        let braced = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{labels}}}")
        };
        let _into_memory = writeln!(self.0, "{name}{braced} {value}");
    }

    fn one(
        &mut self,
        sums: &ByCaller,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&Sums) -> u64,
    ) {
        self.metric(name, kind, help);
        for (labels, sum) in labelled(sums) {
            self.line(name, &labels, value(sum));
        }
    }

    fn histogram(
        &mut self,
        sums: &ByCaller,
        name: &str,
        help: &str,
        of: impl Fn(&Sums) -> &DurationSums,
    ) {
        self.metric(name, "histogram", help);
        for (labels, sum) in labelled(sums) {
            let sum = of(sum);
            let mut count = 0;
            let ends = BUCKETS
                .iter()
                .map(|end| seconds(*end))
                .chain(["+Inf".to_owned()]);
            for (end, bucket) in ends.zip(sum.buckets) {
                count += bucket;
                let labels = format!("{labels},le=\"{end}\"");
                self.line(&format!("{name}_bucket"), &labels, count);
            }
            let _into_memory = writeln!(self.0, "{name}_sum{{{labels}}} {}", seconds(sum.micros));
            self.line(&format!("{name}_count"), &labels, count);
        }
    }
}

fn labelled(sums: &ByCaller) -> impl Iterator<Item = (String, &Sums)> {
    sums.iter().map(|((deployment, caller), sum)| {
        let labels = format!(
            "deployment=\"{}\",caller=\"{}\"",
            escape(deployment),
            escape(caller)
        );
        (labels, sum)
    })
}

/// A label's value, as the text form wants it.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Microseconds as seconds, exactly.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
