//! The association kernels alone, on 10,000 to ten million rows of Zipf tags with correlated topics; throughput in tags.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

use instag::Csr;
use instag::association::{Thresholds, pair_rules};
use instag::csr::Rows;
use instag::fpgrowth::{Bounds, frequent_itemsets};

const TAGS: usize = 12_000;
const TOPICS: usize = 150;

/// `SplitMix64`: one multiplication chain a draw, the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Rows of 1 to 8 draws: a tag from 1 / (t + 3), moved into the row's topic for three draws of five, with a parent that
/// nearly always comes along for every twelfth tag.
fn table(rows: usize) -> Rows {
    let mut random = Random(0);
    let (mut offsets, mut ids) = (vec![0], Vec::new());
    for _ in 0..rows {
        let start = ids.len();
        let topic = random.next() as usize % TOPICS;
        for _ in 0..=random.next() % 8 {
            let tag = ((3.0 * (TAGS as f64 / 3.0 + 1.0).powf(random.unit()) - 3.0) as usize).min(TAGS - 1);
            let on_topic = (tag / TOPICS * TOPICS + topic).min(TAGS - 1);
            let tag = if random.unit() < 0.6 { on_topic } else { tag };
            ids.push(tag as u32);
            if tag > 0 && tag % 12 == 0 && random.unit() < 0.997 {
                ids.push((tag / 5) as u32);
            }
        }
        ids[start..].sort_unstable();
        let mut last = None;
        let kept: Vec<u32> = ids.drain(start..).filter(|&tag| last.replace(tag) != Some(tag)).collect();
        ids.extend(kept);
        offsets.push(ids.len() as i64);
    }
    (offsets, ids)
}

fn association(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("association");
    group.sample_size(10);
    let thresholds = Thresholds::new(40, 0.99).expect("in their domain");
    for rows in [10_000, 100_000, 1_000_000, 10_000_000] {
        let (offsets, ids) = table(rows);
        let table = Csr::new(&offsets, &ids, TAGS).expect("rows of tags");
        group.throughput(Throughput::Elements(ids.len() as u64));
        group.bench_function(BenchmarkId::new("pair_rules", rows), |b| {
            b.iter(|| black_box(pair_rules(black_box(table), thresholds)));
        });
        if rows > 1_000_000 {
            continue; // itemsets take seconds
        }
        let bounds = Bounds { min_count: 40, max_length: usize::MAX, max_itemsets: 20_000_000 };
        group.bench_function(BenchmarkId::new("itemsets", rows), |b| {
            b.iter(|| black_box(frequent_itemsets(black_box(table), bounds)));
        });
    }
}

criterion_group!(benches, association);
criterion_main!(benches);
