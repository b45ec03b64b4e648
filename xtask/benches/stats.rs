//! What the statistics of one cell and of one comparison cost: `cargo bench -p
//! xtask --bench stats --profile dev`, the build that measures (without the
//! profile, cargo builds everything a second time). A comparison computes some
//! hundred of each at a look.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use xtask::stats::{
    Summary,
    effect::{Effect, Pair},
    looks::ALPHA,
};

/// Times of about a second, in nanoseconds, in no order.
fn samples(n: u64) -> Vec<u64> {
    (1..=n)
        .map(|index| 1_000_000_000 + index * 7_919_000 % 40_000_003)
        .collect()
}

fn summaries(criterion: &mut Criterion) {
    for n in [30, 60] {
        let samples = samples(n);
        criterion.bench_function(&format!("summary of {n}"), |bencher| {
            bencher.iter(|| Summary::of(black_box(&samples)));
        });
    }
}

fn effects(criterion: &mut Criterion) {
    let samples = samples(120);
    let pairs: Vec<Pair> = samples
        .chunks_exact(2)
        .map(|pair| Pair {
            base: pair[0],
            head: pair[1],
        })
        .collect();
    criterion.bench_function("effect of 60 blocks", |bencher| {
        bencher.iter(|| Effect::of(black_box(&pairs), ALPHA));
    });
}

criterion_group!(benches, summaries, effects);
criterion_main!(benches);
