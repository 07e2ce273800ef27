//! A whole call through the client beside bare reqwest with the same header, to the same server on
//! loopback: the difference is what Gatepass costs.

use std::error::Error;

use criterion::{Criterion, criterion_group, criterion_main};
use gatepass_core::Bearer;
use gatepass_testkit::{Access, Model, TokenServer};
use http::header::AUTHORIZATION;

fn calls(criterion: &mut Criterion) {
    if let Err(cause) = try_calls(criterion) {
        criterion
            .benchmark_group(format!("client call: not measured, {cause}"))
            .finish();
    }
}

fn try_calls(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let tokens = runtime.block_on(TokenServer::start())?;
    let model = runtime.block_on(Model::start(Access::Open))?;
    let url = model.url("/predict");
    let bearer = gatepass_client::bearer("tok-static").url(&url).build()?;
    let oauth = gatepass_client::oauth(&tokens.url())
        .client("client", "secret")
        .url(&url)
        .build()?;
    let bare = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let header = Bearer::header("tok-static")?;
    let parsed: reqwest::Url = url.parse()?;

    let mut group = criterion.benchmark_group("call");
    group.sample_size(60);
    group.bench_function("bare_reqwest", |bencher| {
        bencher.to_async(&runtime).iter(|| async {
            let request = bare
                .get(parsed.clone())
                .header(AUTHORIZATION, header.clone());
            request.send().await?.bytes().await
        });
    });
    group.bench_function("gatepass_bearer", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| async { bearer.get("").send().await?.bytes().await });
    });
    group.bench_function("gatepass_oauth", |bencher| {
        bencher
            .to_async(&runtime)
            .iter(|| async { oauth.get("").send().await?.bytes().await });
    });
    group.finish();
    Ok(())
}

criterion_group!(benches, calls);
criterion_main!(benches);
