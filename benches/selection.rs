//! Selection kernels on a Zipf pool of 12,000 tags, 10 thousand to 10 million samples: `cargo bench --bench selection`.
//! Throughput in tags.
//! The pool is plainer than that of `generate.py`: no topics, so that it needs no Python.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use instag::complexity_first::complexity_first;
use instag::coverage::max_coverage;
use instag::csr::{Csr, Rows};
use instag::rank::Pool;

const TAGS: usize = 12_000;

/// Rows of 1 to 15 tags, the short ones most often; tag `t` about as often as 1 / (t + 3).
fn zipf(samples: usize) -> Rows {
    let mut state = 1u64;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let (mut offsets, mut ids, mut row) = (vec![0], Vec::new(), Vec::new());
    for _ in 0..samples {
        row.clear();
        let length = 1 + (-3.5 * uniform().ln()) as usize;
        row.extend((0..length.min(15)).map(|_| (3.0 * (TAGS as f64 / 3.0).powf(uniform()) - 3.0) as u32));
        row.sort_unstable();
        row.dedup();
        ids.extend_from_slice(&row);
        offsets.push(ids.len() as i64);
    }
    (offsets, ids)
}

fn selection(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("selection");
    group.sample_size(10);
    for samples in [10_000, 100_000, 1_000_000, 10_000_000] {
        let (offsets, ids) = zipf(samples);
        group.throughput(Throughput::Elements(ids.len() as u64));
        let pool = Pool::of(Csr::new(&offsets, &ids, TAGS).expect("made here"));
        group.bench_function(BenchmarkId::new("complexity_first", samples), |bencher| {
            bencher.iter(|| complexity_first(black_box(&pool), samples / 100));
        });
        group.bench_function(BenchmarkId::new("max_coverage, k = 6,000", samples), |bencher| {
            bencher.iter(|| max_coverage(black_box(&pool), None, 6_000));
        });
    }
    group.finish();
}

criterion_group!(benches, selection);
criterion_main!(benches);
