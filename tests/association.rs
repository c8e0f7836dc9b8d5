//! Laws of itemsets, rules and merges, on any rows and any number of threads.

use instag::Csr;
use instag::association::{Pairs, Thresholds, count_pairs, finish, pair_rules};
use instag::candidates::candidates;
use instag::csr::{remap, tag_counts};
use instag::fpgrowth::{Bounds, Itemsets, frequent_itemsets};
use instag::itemset_rules::itemset_rules;
use instag::merging::{changed_tags, round};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const SIZE: usize = 12;

type Lists = Vec<Vec<u32>>;

/// Rows of few tags, some of them many times over, so that confident rules are common; repeats within a row too.
fn lists() -> impl Strategy<Value = Lists> {
    let group = (vec(0..SIZE as u32, 0..7), 1..30usize);
    vec(group, 0..12).prop_map(|groups| groups.into_iter().flat_map(|(row, times)| vec![row; times]).collect())
}

fn thresholds() -> impl Strategy<Value = Thresholds> {
    let confidences = select(&[0.01, 0.2, 0.5, 2.0 / 3.0, 0.9, 0.99, 1.0][..]);
    (1..20i64, confidences).prop_map(|(count, confidence)| Thresholds::new(count, confidence).unwrap())
}

fn csr(lists: &[Vec<u32>]) -> (Vec<i64>, Vec<u32>) {
    let ends = lists.iter().scan(0, |end, row| {
        *end += row.len() as i64;
        Some(*end)
    });
    (std::iter::once(0).chain(ends).collect(), lists.concat())
}

fn with_rows<T>(lists: &[Vec<u32>], kernel: impl Fn(Csr<'_>) -> T) -> T {
    let (offsets, ids) = csr(lists);
    kernel(Csr::new(&offsets, &ids, SIZE).unwrap())
}

fn with_threads<T: Send>(threads: usize, work: impl Fn() -> T + Sync + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

fn itemsets(lists: &[Vec<u32>], min_count: i64) -> Itemsets {
    let bounds = Bounds { min_count, max_length: usize::MAX, max_itemsets: 1_000_000 };
    with_rows(lists, |rows| frequent_itemsets(rows, bounds).unwrap())
}

/// Where each tag ends: rounds of merging until none changes anything, as `python/instag/association.py` has them.
fn merges(lists: &[Vec<u32>], thresholds: Thresholds) -> Vec<u32> {
    let ranks: Vec<u32> = (0..SIZE as u32).collect();
    let mut into = ranks.clone();
    let (mut offsets, mut ids) = csr(lists);
    loop {
        let rows = Csr::new(&offsets, &ids, SIZE).unwrap();
        let rules = pair_rules(rows, thresholds).unwrap();
        let sides = (&rules.antecedents[..], &rules.consequents[..], &rules.confidences[..]);
        let ends = round(sides, &tag_counts(rows).unwrap(), &ranks).unwrap().ends;
        if ends == ranks {
            return into;
        }
        for into in &mut into {
            *into = ends[*into as usize];
        }
        let next = remap(rows, &ends, SIZE).unwrap();
        (offsets, ids) = next;
    }
}

proptest! {
    #[test]
    fn every_subset_of_an_itemset_is_one_and_no_rarer(lists in lists(), min_count in 1..20i64) {
        let sets = itemsets(&lists, min_count);
        let all: std::collections::HashMap<&[u32], i64> = (0..sets.counts.len()).map(|at| (sets.set(at), sets.counts[at])).collect();
        prop_assert_eq!(all.len(), sets.counts.len());
        for (&set, &count) in &all {
            prop_assert!(count >= min_count);
            for out in 0..if set.len() > 1 { set.len() } else { 0 } {
                let rest = [&set[..out], &set[out + 1..]].concat();
                prop_assert!(all.get(&rest[..]).is_some_and(|&of_rest| of_rest >= count));
            }
        }
    }

    #[test]
    fn counts_of_itemsets_recount(lists in lists(), min_count in 1..20i64) {
        let sets = itemsets(&lists, min_count);
        for at in 0..sets.counts.len() {
            let holds = lists.iter().filter(|row| sets.set(at).iter().all(|tag| row.contains(tag))).count();
            prop_assert_eq!(sets.counts[at], holds as i64);
        }
    }

    #[test]
    fn rules_of_pairs_are_the_same_from_itemsets(lists in lists(), count in 1..20i64, confidence in 0.01..=1.0) {
        let thresholds = Thresholds::new(count, confidence).unwrap();
        let bounds = Bounds { min_count: count, max_length: 2, max_itemsets: 1_000_000 };
        let sets = with_rows(&lists, |rows| frequent_itemsets(rows, bounds).unwrap());
        let from_sets = itemset_rules(&sets, confidence).unwrap();
        let rules = with_rows(&lists, |rows| pair_rules(rows, thresholds).unwrap());
        prop_assert_eq!(rules.antecedents, from_sets.antecedents);
        prop_assert_eq!(rules.consequents, from_sets.consequents);
        prop_assert_eq!(rules.counts, from_sets.counts);
        prop_assert_eq!(rules.confidences, from_sets.confidences);
    }

    #[test]
    fn shards_give_the_rules_of_the_whole(lists in lists(), cut in 0.0..1.0, thresholds in thresholds()) {
        let whole = with_rows(&lists, |rows| pair_rules(rows, thresholds).unwrap());
        let counts = with_rows(&lists, |rows| tag_counts(rows).unwrap());
        let (left, right) = lists.split_at((cut * lists.len() as f64) as usize);
        let marked = vec![1; SIZE];
        let of_shard = |shard: &[Vec<u32>]| with_rows(shard, |rows| candidates(rows, &counts, &marked, thresholds).unwrap());
        let pairs: Pairs = of_shard(left).merge(&of_shard(right)).unwrap();
        let mut joint = with_rows(left, |rows| count_pairs(rows, &pairs).unwrap());
        let right = with_rows(right, |rows| count_pairs(rows, &pairs).unwrap());
        joint.iter_mut().zip(right).for_each(|(sum, more)| *sum += more);
        prop_assert_eq!(finish(&counts, &pairs, &joint, thresholds).unwrap(), whole);
    }

    #[test]
    fn a_second_merge_finds_nothing(lists in lists(), thresholds in thresholds()) {
        let first = merges(&lists, thresholds);
        let (offsets, ids) = csr(&lists);
        let merged = remap(Csr::new(&offsets, &ids, SIZE).unwrap(), &first, SIZE).unwrap();
        let rules = pair_rules(Csr::new(&merged.0, &merged.1, SIZE).unwrap(), thresholds).unwrap();
        prop_assert!(rules.antecedents.is_empty());
        for &into in &first {
            prop_assert_eq!(first[into as usize], into);
        }
    }

    #[test]
    fn only_tags_of_changed_rows_can_gain_a_rule(lists in lists(), thresholds in thresholds()) {
        let ranks: Vec<u32> = (0..SIZE as u32).collect();
        let (offsets, ids) = csr(&lists);
        let rows = Csr::new(&offsets, &ids, SIZE).unwrap();
        let rules = pair_rules(rows, thresholds).unwrap();
        let sides = (&rules.antecedents[..], &rules.consequents[..], &rules.confidences[..]);
        let ends = round(sides, &tag_counts(rows).unwrap(), &ranks).unwrap().ends;
        let marked = changed_tags(rows, &ends).unwrap();
        let next = remap(rows, &ends, SIZE).unwrap();
        let later = pair_rules(Csr::new(&next.0, &next.1, SIZE).unwrap(), thresholds).unwrap();
        // A rule between tags that the round left alone would have merged its antecedent.
        prop_assert!(later.antecedents.iter().all(|&tag| marked[tag as usize] == 1));
    }

    #[test]
    fn pairs_come_back_from_arrays(lists in lists(), thresholds in thresholds()) {
        let counts = with_rows(&lists, |rows| tag_counts(rows).unwrap());
        let pairs = with_rows(&lists, |rows| candidates(rows, &counts, &[1; SIZE], thresholds).unwrap());
        let (antecedents, consequents) = pairs.clone().into_arrays().unwrap();
        prop_assert_eq!(Pairs::from_arrays(SIZE, &antecedents, &consequents).unwrap(), pairs);
    }

    #[test]
    fn neither_threads_nor_the_order_of_rows_matter(
        lists in lists(),
        shift in 0..100usize,
        thresholds in thresholds(),
        threads in 1..5usize,
    ) {
        let mut turned = lists.clone();
        turned.rotate_left(shift % lists.len().max(1));
        let same = with_threads(threads, || (itemsets(&turned, 3), merges(&turned, thresholds)));
        prop_assert_eq!((itemsets(&lists, 3), merges(&lists, thresholds)), same);
        let rules = |lists: &Lists| with_rows(lists, |rows| pair_rules(rows, thresholds).unwrap());
        prop_assert_eq!(rules(&lists), with_threads(threads, || rules(&turned)));
    }
}
