//! The admin listener: health, readiness, metrics, what is where and how it fares.

mod metrics; // for Prometheus
mod page; // for people with a browser
mod rates; // requests a second
mod reloads; // what became of changed configurations
mod report; // for programs, and what the page shows
mod sums; // the counters of all threads together

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gatepass_core::Deployment;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

pub use report::{Credential, DeploymentReport, Failure, Report, TokenSource};

pub(crate) use reloads::Reloads;

use crate::clock;
use crate::exchanges::Exchanges;
use crate::forward::Newest;
use crate::guard::{self, Here};
use crate::problem::{Part, Problem};
use crate::routes::{Ledger, Snapshot};
use crate::server::{Bound, Stream};
use crate::strip::look;
use rates::Rates;
use sums::Sums;

/// Probes wait a second by default; what takes longer goes on, and the next probe finds it.
const READY_WITHIN: Duration = Duration::from_millis(800);

/// Connections at once: probes and scrapes come by ones and twos, and others must not use up what
/// callers need.
const AT_ONCE: usize = 128;

/// What the admin listener tells of.
pub(crate) struct State {
    pub(crate) newest: Arc<Newest>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) exchanges: Arc<Exchanges>,
    pub(crate) reloads: Arc<Reloads>,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) draining: watch::Receiver<bool>,
    /// Only this machine reaches it: it tells everything.
    pub(crate) private: bool,
}

struct Admin {
    state: State,
    rates: Rates,
    started: Instant,
}

/// Serves it on the runtime of the caller.
pub(crate) fn start(bound: Bound, state: State) -> Result<(), String> {
    let accepting = bound
        .accepting()
        .map_err(|cause| format!("admin: cannot listen ({})", cause.kind()))?;
    let admin = Arc::new(Admin {
        state,
        rates: Rates::default(),
        started: clock::instant(),
    });
    tokio::spawn(sample(Arc::downgrade(&admin)));
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        loop {
            let accepted = accepting.accept().await;
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match accepted {
                Ok((Stream::Tcp(stream), here)) => {
                    tokio::spawn(serve(stream, here, Arc::clone(&admin), place));
                }
                Ok((Stream::Unix(stream), here)) => {
                    tokio::spawn(serve(stream, here, Arc::clone(&admin), place));
                }
                Err(cause) => {
                    tracing::warn!(error = %cause.kind(), "an admin connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
    Ok(())
}

/// Looks at the counters every few seconds, so that there is something to compare them with.
async fn sample(admin: std::sync::Weak<Admin>) {
    let mut steps = tokio::time::interval(rates::STEP);
    steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        steps.tick().await;
        let Some(admin) = admin.upgrade() else {
            return;
        };
        let totals = sums::by_deployment(&admin.state.ledger);
        let totals = totals.into_iter().map(|(name, sums)| (name, sums.total()));
        admin.rates.note(clock::instant(), totals.collect());
    }
}

async fn serve<I>(stream: I, here: Here, admin: Arc<Admin>, _place: OwnedSemaphorePermit)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let admin = Arc::clone(&admin);
        async move {
            let answer = admin.answer(&request, here).await;
            Ok::<_, std::convert::Infallible>(answer.map(Full::new))
        }
    });
    // HTTP/1.1 alone: its head has a time limit from the first moment on.
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new());
    let _over = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Admin {
    async fn answer(&self, request: &Request<Incoming>, here: Here) -> Response<Bytes> {
        let snapshot = {
            let newest = self.state.newest.snapshot.lock();
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
        let private = self.state.private;
        match request.uri().path() {
            "/-/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
            "/-/readyz" => self.ready(&snapshot, request.uri().query()).await,
            "/-/metrics" => {
                let kind = "text/plain; version=0.0.4; charset=utf-8";
                typed(kind, self.metrics(&snapshot))
            }
            "/-/deployments" if private => {
                let report = serde_json::to_string(&self.report(&snapshot));
                typed("application/json", report.unwrap_or_default())
            }
            "/-/" if private => page::response(&self.report(&snapshot)),
            _ => {
                let detail = "here are /-/healthz, /-/readyz, /-/metrics and, on this machine alone, /-/ and /-/deployments";
                Problem::new(StatusCode::NOT_FOUND, Part::Gateway, detail).into_response(&id)
            }
        }
    }

    /// Ready once the configuration is loaded and the listener bound: somebody else's outage must
    /// not take every instance out of service. One deployment is ready when its credential is there.
    async fn ready(&self, snapshot: &Snapshot, query: Option<&str>) -> Response<Bytes> {
        let ready = || text(StatusCode::OK, "ready\n".to_owned());
        if *self.state.draining.borrow() {
            return text(StatusCode::SERVICE_UNAVAILABLE, "draining\n".to_owned());
        }
        let asked = query.and_then(|query| query.strip_prefix("deployment="));
        let Some(name) = asked else {
            return ready();
        };
        let Some(entry) = snapshot.entry(name) else {
            return text(StatusCode::NOT_FOUND, "no such deployment\n".to_owned());
        };
        match obtain(Arc::clone(&entry.deployment)).await {
            Ok(()) => ready(),
            Err(_) if !self.state.private => {
                let what =
                    "its credential is not to be had: `gatepass status` on that machine says why\n";
                text(StatusCode::SERVICE_UNAVAILABLE, what.to_owned())
            }
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        }
    }

    fn metrics(&self, snapshot: &Snapshot) -> String {
        let state = &self.state;
        let mut out = metrics::Exposition::default();
        out.gateway(
            snapshot.generation,
            state.connections.load(Ordering::Relaxed) as u64,
            &state.reloads,
        );
        out.refusals(&state.ledger.refused());
        out.requests(&sums::by_caller(&state.ledger));
        out.credentials(snapshot);
        out.exchanges(&state.exchanges.all());
        out.into_text()
    }

    fn report(&self, snapshot: &Snapshot) -> Report {
        let state = &self.state;
        let totals = sums::by_deployment(&state.ledger);
        let now = clock::instant();
        let deployments = snapshot.entries.iter().map(|entry| {
            let name = entry.deployment.name();
            let none = Sums::default();
            let sums = totals.get(name).unwrap_or(&none);
            let rate = self.rates.of(name, now, sums.total());
            DeploymentReport::of(entry, sums, rate)
        });
        Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            generation: snapshot.generation,
            uptime_seconds: self.started.elapsed().as_secs(),
            draining: *state.draining.borrow(),
            connections: state.connections.load(Ordering::Relaxed) as u64,
            reload_failure: state.reloads.last_failure(),
            deployments: deployments.collect(),
            tokens: state.exchanges.all().iter().map(TokenSource::of).collect(),
        }
    }
}

/// Whether the credential is there, obtained where it is not. A probe that goes away ends nothing.
async fn obtain(deployment: Arc<Deployment>) -> Result<(), String> {
    let obtaining = tokio::spawn(async move {
        let prepared = deployment.credentials().prepare().await;
        prepared
            .map(|_| ())
            .map_err(|error| error.for_deployment(deployment.name()).to_string())
    });
    match tokio::time::timeout(READY_WITHIN, obtaining).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("its method failed: report it".to_owned()),
        Err(_) => Err("its credential is being obtained: ask again".to_owned()),
    }
}

fn text(status: StatusCode, body: String) -> Response<Bytes> {
    let mut response = typed("text/plain; charset=utf-8", body);
    *response.status_mut() = status;
    response
}

fn typed(kind: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
