//! The admin listener: health, readiness, metrics, and which deployments there are.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::watch;

use crate::account::{BUCKETS, Counters, Durations};
use crate::exchanges::{Exchange, Exchanges};
use crate::forward::Newest;
use crate::guard::{self, Here};
use crate::problem::{Part, Problem};
use crate::routes::{Ledger, Snapshot};
use crate::server::{Bound, Stream};
use crate::strip::look;

/// What the admin listener tells of.
pub(crate) struct State {
    pub(crate) newest: Arc<Newest>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) draining: watch::Receiver<bool>,
    /// Only this machine reaches it: it tells everything.
    pub(crate) private: bool,
}

/// Serves it on the runtime of the caller.
pub(crate) fn start(bound: Bound, state: State) -> Result<(), String> {
    let accepting = bound
        .accepting()
        .map_err(|cause| format!("admin: cannot listen ({})", cause.kind()))?;
    let state = Arc::new(state);
    tokio::spawn(async move {
        loop {
            match accepting.accept().await {
                Ok((Stream::Tcp(stream), here)) => {
                    tokio::spawn(serve(stream, here, Arc::clone(&state)));
                }
                Ok((Stream::Unix(stream), here)) => {
                    tokio::spawn(serve(stream, here, Arc::clone(&state)));
                }
                Err(cause) => {
                    tracing::warn!(error = %cause.kind(), "an admin connection was not accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    });
    Ok(())
}

async fn serve<I>(stream: I, here: Here, state: Arc<State>)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = state.answer(&request, here);
        async move { Ok::<_, std::convert::Infallible>(answer.map(Full::new)) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    let _over = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl State {
    fn answer(&self, request: &Request<Incoming>, here: Here) -> Response<Bytes> {
        let snapshot = {
            let newest = self.newest.snapshot.lock();
            Arc::clone(&newest.unwrap_or_else(PoisonError::into_inner))
        };
        let id = HeaderValue::from_static("-");
        let seen = look(request.headers());
        let allowed = guard::host(&seen, request.uri(), here, &snapshot.hosts)
            .and_then(|()| guard::origin(&seen));
        if let Err(problem) = allowed {
            return problem.into_response(&id);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n".to_owned());
            refused
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        match request.uri().path() {
            "/-/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
            "/-/readyz" => self.ready(&snapshot, request.uri().query()),
            "/-/metrics" => {
                let mut metrics = text(StatusCode::OK, self.metrics());
                let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                metrics.headers_mut().insert(CONTENT_TYPE, kind);
                metrics
            }
            "/-/deployments" if self.private => json(&self.deployments(&snapshot)),
            _ => {
                let detail = "here are /-/healthz, /-/readyz, /-/metrics and, on this machine alone, /-/deployments";
                Problem::new(StatusCode::NOT_FOUND, Part::Gateway, detail).into_response(&id)
            }
        }
    }

    /// Ready once the configuration is loaded and the listener bound: somebody else's outage must
    /// not take every instance out of service.
    fn ready(&self, snapshot: &Snapshot, query: Option<&str>) -> Response<Bytes> {
        if *self.draining.borrow() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
        }
        let asked = query.and_then(|query| query.strip_prefix("deployment="));
        let known = |name: &str| {
            let mut all = snapshot.entries.iter();
            all.any(|entry| entry.deployment.name() == name)
        };
        match asked {
            Some(name) if !known(name) => {
                text(StatusCode::NOT_FOUND, "no such deployment\n".to_owned())
            }
            _ => text(StatusCode::OK, "ready\n".to_owned()),
        }
    }

    /// What there is and what went wrong, without secrets.
    fn deployments(&self, snapshot: &Snapshot) -> serde_json::Value {
        let all = snapshot.entries.iter().map(|entry| {
            let deployment = &entry.deployment;
            serde_json::json!({
                "name": deployment.name(),
                "origin": deployment.origin().to_string(),
            })
        });
        let sources = self.exchanges.all().into_iter().map(|(name, source)| {
            serde_json::json!({
                "source": name,
                "usable_seconds": source.usable().map(|usable| usable.as_secs()),
                "rejections": source.rejections,
                "last_failure": source.last_failure,
            })
        });
        serde_json::json!({
            "generation": snapshot.generation,
            "deployments": all.collect::<Vec<_>>(),
            "tokens": sources.collect::<Vec<_>>(),
        })
    }

    fn metrics(&self) -> String {
        let mut sums: BTreeMap<(String, String), Sums> = BTreeMap::new();
        for (deployment, caller, counters) in self.ledger.all() {
            sums.entry((deployment, caller)).or_default().add(&counters);
        }
        let mut out = Exposition(String::new());
        out.metric(
            "gatepass_connections",
            "gauge",
            "connections of callers that are open now",
        );
        out.line(
            "gatepass_connections",
            "",
            self.connections.load(Ordering::Relaxed) as u64,
        );
        out.metric(
            "gatepass_requests_total",
            "counter",
            "answers by the class of their status",
        );
        for (labels, sum) in labelled(&sums) {
            for (class, count) in (1..).zip(sum.by_class) {
                out.line(
                    "gatepass_requests_total",
                    &format!("{labels},class=\"{class}xx\""),
                    count,
                );
            }
        }
        out.metric(
            "gatepass_errors_total",
            "counter",
            "answers that the gateway made itself, by the part that failed",
        );
        for (labels, sum) in labelled(&sums) {
            let parts = [
                Part::Config,
                Part::TokenEndpoint,
                Part::Upstream,
                Part::Gateway,
            ];
            for (part, count) in parts.iter().zip(sum.by_part) {
                out.line(
                    "gatepass_errors_total",
                    &format!("{labels},part=\"{}\"", part.name()),
                    count,
                );
            }
        }
        for (name, kind, help, value) in [
            (
                "gatepass_replays_total",
                "counter",
                "requests sent once more after a rejected token",
                Value::Replays,
            ),
            (
                "gatepass_stripped_headers_total",
                "counter",
                "headers of callers that went no further",
                Value::Stripped,
            ),
            (
                "gatepass_broken_answers_total",
                "counter",
                "answers that ended early, on either side",
                Value::Broken,
            ),
            (
                "gatepass_in_flight",
                "gauge",
                "requests under way",
                Value::InFlight,
            ),
        ] {
            out.metric(name, kind, help);
            for (labels, sum) in labelled(&sums) {
                out.line(name, &labels, sum.value(value));
            }
        }
        for (name, help, upstream) in [
            (
                "gatepass_gateway_seconds",
                "time spent in the gateway until an answer began",
                false,
            ),
            (
                "gatepass_upstream_seconds",
                "time until the upstream's answer began",
                true,
            ),
        ] {
            out.metric(name, "histogram", help);
            for (labels, sum) in labelled(&sums) {
                let sums = if upstream {
                    &sum.upstream
                } else {
                    &sum.gateway
                };
                out.histogram(name, &labels, sums);
            }
        }
        self.token_metrics(&mut out);
        out.0
    }

    fn token_metrics(&self, out: &mut Exposition) {
        let sources = self.exchanges.all();
        let labels = |source: &str| format!("source=\"{}\"", escape(source));
        let name = "gatepass_token_exchanges_total";
        out.metric(name, "counter", "token exchanges, by what came of them");
        for (source, told) in &sources {
            for (outcome, count) in Exchange::ALL.iter().zip(told.by_outcome) {
                let labels = format!("{},outcome=\"{}\"", labels(source), outcome.name());
                out.line(name, &labels, count);
            }
        }
        let name = "gatepass_token_rejections_total";
        out.metric(name, "counter", "tokens that an upstream rejected");
        for (source, told) in &sources {
            out.line(name, &labels(source), told.rejections);
        }
        let name = "gatepass_token_usable_seconds";
        out.metric(name, "gauge", "how long the newest token is usable yet");
        for (source, told) in &sources {
            if let Some(usable) = told.usable() {
                out.line(name, &labels(source), usable.as_secs());
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Value {
    Replays,
    Stripped,
    Broken,
    InFlight,
}

/// The counters of all threads together.
#[derive(Default)]
struct Sums {
    by_class: [u64; 5],
    by_part: [u64; 4],
    values: [u64; 4],
    gateway: DurationSums,
    upstream: DurationSums,
}

#[derive(Default)]
struct DurationSums {
    buckets: [u64; BUCKETS.len() + 1],
    micros: u64,
}

impl Sums {
    fn add(&mut self, counters: &Counters) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for (sum, counter) in self.by_class.iter_mut().zip(&counters.by_class) {
            *sum += read(counter);
        }
        for (sum, counter) in self.by_part.iter_mut().zip(&counters.by_part) {
            *sum += read(counter);
        }
        let values = [
            &counters.replays,
            &counters.stripped,
            &counters.broken,
            &counters.in_flight,
        ];
        for (sum, counter) in self.values.iter_mut().zip(values) {
            *sum += read(counter);
        }
        self.gateway.add(&counters.gateway);
        self.upstream.add(&counters.upstream);
    }

    fn value(&self, value: Value) -> u64 {
        self.values[value as usize]
    }
}

impl DurationSums {
    fn add(&mut self, durations: &Durations) {
        for (sum, counter) in self.buckets.iter_mut().zip(&durations.buckets) {
            *sum += counter.load(Ordering::Relaxed);
        }
        self.micros += durations.micros.load(Ordering::Relaxed);
    }
}

fn labelled(sums: &BTreeMap<(String, String), Sums>) -> impl Iterator<Item = (String, &Sums)> {
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

/// The text form that Prometheus reads.
struct Exposition(String);

impl Exposition {
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

    fn histogram(&mut self, name: &str, labels: &str, sums: &DurationSums) {
        let mut count = 0;
        let ends = BUCKETS
            .iter()
            .map(|end| seconds(*end))
            .chain(["+Inf".to_owned()]);
        for (end, bucket) in ends.zip(sums.buckets) {
            count += bucket;
            self.line(
                &format!("{name}_bucket"),
                &format!("{labels},le=\"{end}\""),
                count,
            );
        }
        let _into_memory = writeln!(self.0, "{name}_sum{{{labels}}} {}", seconds(sums.micros));
        self.line(&format!("{name}_count"), labels, count);
    }
}

/// Microseconds as seconds, exactly.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn text(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn json(value: &serde_json::Value) -> Response<Bytes> {
    let mut response = text(StatusCode::OK, value.to_string());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
