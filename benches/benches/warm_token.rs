//! What each request pays for its credential while a live one is held: `apply` on a request, for a
//! static header and for an OAuth token, with one thread and with two, beside what hand-rolled
//! wrappers do.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::RwLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use gatepass_core::{
    Bearer, BodyView, Clock, Credentials, Outbound, SharedMethod, SystemClock, header,
};
use gatepass_oauth::{OAuth, TokenCache, TokenReply, TokenTransport, TransportFailure};
use http::{HeaderMap, Request, StatusCode};

/// Hands out one token of an hour.
#[derive(Debug)]
struct Granting;

#[async_trait]
impl TokenTransport for Granting {
    async fn send(&self, _: Request<Bytes>, _: usize) -> Result<TokenReply, TransportFailure> {
        let token = "t".repeat(800);
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

/// A method that holds what it needs already.
fn warm(method: SharedMethod) -> SharedMethod {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else { return method };
    let credentials = Credentials::new(vec![method.clone()]);
    let held = runtime.block_on(async { credentials.map(|of| async move { of.prepare().await }) });
    if let Ok(preparing) = held {
        let _held = runtime.block_on(preparing);
    }
    method
}

fn oauth() -> SharedMethod {
    let url = "https://auth.test/token".parse();
    match url {
        Ok(url) => OAuth::builder(url, "id", "s")
            .cache(TokenCache::new())
            .build(Arc::new(Granting)),
        Err(_) => Bearer::method("t"),
    }
}

/// Puts the credential on a request that is used again and again.
fn apply_many(method: &SharedMethod, times: u64) {
    let mut request = Request::new(());
    for _ in 0..times {
        let applied = request.lend(BodyView::Empty, |view| {
            method.apply(view, None, SystemClock.now()).is_ok()
        });
        black_box(applied);
    }
}

/// The same by two threads at once; the time is that of the slower one.
fn two_threads(work: impl Fn(u64) + Sync, times: u64) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    let start = std::time::Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| work(times));
        work(times);
    });
    start.elapsed()
}

fn reads(criterion: &mut Criterion) {
    let (token, fixed) = (
        warm(oauth()),
        warm(Bearer::method("t".repeat(800).as_str())),
    );
    let shared = RwLock::new(header::sensitive(vec![b't'; 807]).ok());
    let hand_rolled = |times| {
        let mut request = Request::new(());
        for _ in 0..times {
            let value = shared.read().ok().and_then(|value| value.clone());
            if let Some(value) = value {
                request
                    .headers_mut()
                    .insert(http::header::AUTHORIZATION, value);
            }
            black_box(&request);
        }
    };
    let mut group = criterion.benchmark_group("warm");
    for (name, method) in [("static", &fixed), ("oauth", &token)] {
        group.bench_function(format!("{name}_1_thread"), |bencher| {
            bencher.iter_custom(|times| {
                #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
                let start = std::time::Instant::now();
                apply_many(method, times);
                start.elapsed()
            });
        });
        group.bench_function(format!("{name}_2_threads"), |bencher| {
            bencher.iter_custom(|times| two_threads(|times| apply_many(method, times), times));
        });
    }
    group.bench_function("rwlock_header_1_thread", |bencher| {
        bencher.iter_custom(|times| {
            #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
            let start = std::time::Instant::now();
            hand_rolled(times);
            start.elapsed()
        });
    });
    group.bench_function("rwlock_header_2_threads", |bencher| {
        bencher.iter_custom(|times| two_threads(hand_rolled, times));
    });
    group.finish();
}

criterion_group!(benches, reads);
criterion_main!(benches);
