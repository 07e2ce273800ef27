//! Header derivation, once for each credential.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gatepass_core::{Basic, Bearer};

fn derivation(criterion: &mut Criterion) {
    let token = "t".repeat(800);
    let mut group = criterion.benchmark_group("derive");
    group.bench_function("basic", |bencher| {
        bencher.iter(|| Basic::header(black_box("apiuser"), black_box("secret123")));
    });
    group.bench_function("bearer_800_bytes", |bencher| {
        bencher.iter(|| Bearer::header(black_box(&token)));
    });
    group.finish();
}

criterion_group!(benches, derivation);
criterion_main!(benches);
