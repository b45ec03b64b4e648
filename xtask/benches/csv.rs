//! Reading and writing the samples of one session: the largest file that a run
//! keeps, at several times the size that a session makes it.

use std::{hint::black_box, path::Path};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use xtask::record::{table::Table, timings::SampleRow};

const ROWS: u64 = 5_000;
const CELLS: u64 = 28;

fn samples() -> Table<SampleRow> {
    let mut table = Table::empty(Path::new("samples.csv"));
    for number in 0..ROWS {
        // Times of seven to ten digits, as real ones.
        let ns = |phase: u64| Some(10_000_000 + number * 1_000_003 * phase % 2_000_000_000);
        table.upsert(SampleRow {
            block: number / CELLS,
            order: number % CELLS,
            variant: "single-stage".to_owned(),
            scenario: "node_cold".to_owned(),
            pull_ns: ns(1),
            resolve_ns: ns(2),
            download_ns: ns(3),
            tail_ns: ns(4),
            create_ns: ns(5),
            engine_ns: ns(6),
            app_ns: ns(7),
            start_total_ns: ns(8),
            node_total_ns: ns(9),
            served_bytes: Some(447_118_789),
            cold: Some(true),
            probe_attempts: Some(number % 40),
            foreign_cpu_permille: Some(number % 50),
            steal_cpu_permille: Some(0),
            ..SampleRow::default()
        });
    }
    table
}

fn csv(criterion: &mut Criterion) {
    let table = samples();
    let text = table.text();
    let mut group = criterion.benchmark_group("csv");
    group.throughput(Throughput::Elements(ROWS));
    group.bench_function("write", |bench| bench.iter(|| black_box(&table).text()));
    group.bench_function("read", |bench| {
        bench.iter(|| Table::<SampleRow>::parse(table.path(), black_box(&text)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, csv);
criterion_main!(benches);
