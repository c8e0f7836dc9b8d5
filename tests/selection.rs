//! Laws of selection: one pass equals Algorithm 1 taken literally, shards equal the whole, lazy equals eager.

use std::collections::HashSet;

use instag::complexity_first::{Picks, complexity_first};
use instag::coverage::max_coverage;
use instag::csr::{Csr, DROPPED, Rows, remap};
use instag::draw::draw;
use instag::first_rounds::{Cut, Shard, reached};
use instag::rank::Pool;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

const SIZE: u32 = 12;

fn rows_of_tags() -> impl Strategy<Value = Vec<Vec<u32>>> {
    vec(btree_set(0..SIZE, 0..5).prop_map(|row| row.into_iter().collect()), 0..60)
}

fn csr(rows: &[Vec<u32>]) -> Rows {
    let mut offsets = vec![0];
    offsets.extend(rows.iter().scan(0, |end, row| {
        *end += row.len() as i64;
        Some(*end)
    }));
    (offsets, rows.concat())
}

/// Algorithm 1 as the paper prints it.
fn literal(rows: &[Vec<u32>], complexity: impl Fn(usize) -> f64, k: usize) -> Picks {
    let mut left: Vec<usize> = (0..rows.len()).collect();
    left.sort_by(|&a, &b| complexity(b).total_cmp(&complexity(a)));
    let mut picks = Picks::default();
    for round in 1.. {
        let mut covered: HashSet<u32> = HashSet::new();
        let before = picks.rows.len();
        for row in std::mem::take(&mut left) {
            let new = rows[row].iter().filter(|tag| !covered.contains(*tag)).count();
            if new > 0 && picks.rows.len() < k {
                covered.extend(&rows[row]);
                picks.rows.push(row as i64);
                picks.rounds.push(round);
                picks.gains.push(new as i64);
            } else {
                left.push(row);
            }
        }
        if picks.rows.len() == before {
            return picks;
        }
    }
    picks
}

fn eager_coverage(rows: &[Vec<u32>], weights: &[f64], k: usize) -> Picks {
    let mut picks = Picks::default();
    let (mut covered, mut round) = (HashSet::new(), 1);
    while picks.rows.len() < k {
        let mut best: Option<(f64, usize)> = None;
        for row in (0..rows.len()).filter(|&row| !picks.rows.contains(&(row as i64))) {
            let gain = rows[row].iter().filter(|tag| !covered.contains(*tag)).map(|&tag| weights[tag as usize]).sum();
            if best.is_none_or(|(most, _)| gain > most) {
                best = Some((gain, row));
            }
        }
        match best {
            Some((gain, row)) if gain > 0.0 => {
                picks.gains.push(rows[row].iter().filter(|&&tag| covered.insert(tag)).count() as i64);
                picks.rows.push(row as i64);
                picks.rounds.push(round);
            }
            _ if covered.is_empty() => break,
            _ => {
                covered.clear();
                round += 1;
            }
        }
    }
    picks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn one_pass_is_algorithm_1(rows in rows_of_tags(), k in 0usize..70) {
        let (offsets, ids) = csr(&rows);
        let pool = Pool::of(Csr::new(&offsets, &ids, SIZE as usize).unwrap());
        prop_assert_eq!(complexity_first(&pool, k).unwrap(), literal(&rows, |row| rows[row].len() as f64, k));
    }

    #[test]
    fn one_pass_ranks_by_what_it_is_given(
        (rows, complexity) in rows_of_tags().prop_flat_map(|rows| {
            let rows_n = rows.len();
            (Just(rows), vec(prop_oneof![Just(0.0), Just(-0.0), -2.0..3.0f64], rows_n))
        }),
        k in 0usize..70,
    ) {
        let (offsets, ids) = csr(&rows);
        let whole = Csr::new(&offsets, &ids, SIZE as usize).unwrap();
        let pool = Pool { complexity: Some(&complexity), ..Pool::of(whole) };
        prop_assert_eq!(complexity_first(&pool, k).unwrap(), literal(&rows, |row| complexity[row] + 0.0, k));
    }

    #[test]
    fn what_shards_keep_is_picked_from_as_the_pool_is(
        (rows, complexity) in rows_of_tags().prop_flat_map(|rows| {
            let rows_n = rows.len();
            (Just(rows), proptest::option::of(vec(-2.0..3.0f64, rows_n)))
        }),
        into in vec(prop_oneof![3 => 0..SIZE, 1 => Just(DROPPED)], SIZE as usize),
        skipped in proptest::option::of(vec(0u8..4, 60)),
        cuts in vec(0usize..60, 0..5),
        (line, number) in (-2.0..5.0f64, 0i64..60),
        k in 1usize..40,
    ) {
        let (complexity, line) = (complexity.as_deref(), if complexity.is_some() { line } else { line.round() });
        let (offsets, ids) = csr(&rows);
        let (offsets, ids) = remap(Csr::new(&offsets, &ids, SIZE as usize).unwrap(), &into, SIZE as usize).unwrap();
        let eligible = skipped.as_deref().map(|mask| &mask[..rows.len()]);
        let pool = Pool { rows: Csr::new(&offsets, &ids, SIZE as usize).unwrap(), complexity, eligible };
        let expected = complexity_first(&pool, k).unwrap();

        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(rows.len())).chain([0, rows.len()]).collect();
        cuts.sort_unstable();
        let cut = Cut { complexity: line, number };
        let gathered = |state: Option<(&[u32], u32)>| {
            let mut kept: (Vec<i64>, Vec<Vec<u32>>) = (vec![], vec![]);
            for bounds in cuts.windows(2) {
                let (offsets, ids) = csr(&rows[bounds[0]..bounds[1]]);
                let shard = Shard {
                    rows: Csr::new(&offsets, &ids, SIZE as usize).unwrap(),
                    into: &into,
                    size: SIZE as usize,
                    complexity: complexity.map(|values| &values[bounds[0]..bounds[1]]),
                    eligible: eligible.map(|mask| &mask[bounds[0]..bounds[1]]),
                    first: bounds[0] as i64,
                };
                let (numbers, (offsets, ids)) = match state {
                    None => shard.ahead(cut).unwrap(),
                    Some((reached, end)) => shard.behind(cut, reached, end).unwrap(),
                };
                kept.0.extend(numbers);
                kept.1.extend(Csr::new(&offsets, &ids, SIZE as usize).unwrap().rows().map(<[u32]>::to_vec));
            }
            kept
        };
        let pool_of = |(numbers, rows): &(Vec<i64>, Vec<Vec<u32>>)| {
            (csr(rows), complexity.map(|values| numbers.iter().map(|&at| values[at as usize]).collect::<Vec<_>>()))
        };
        let mut kept = gathered(None);
        let ((offsets, ids), ranks) = pool_of(&kept);
        let ahead = Csr::new(&offsets, &ids, SIZE as usize).unwrap();
        let state = reached(&Pool { complexity: ranks.as_deref(), ..Pool::of(ahead) }, k).unwrap();
        let (numbers, others) = gathered(Some((&state.0, state.1)));
        kept.0.extend(numbers);
        kept.1.extend(others);
        let ((offsets, ids), ranks) = pool_of(&kept);
        let both = Csr::new(&offsets, &ids, SIZE as usize).unwrap();
        let mut picks = complexity_first(&Pool { complexity: ranks.as_deref(), ..Pool::of(both) }, k).unwrap();
        picks.rows.iter_mut().for_each(|row| *row = kept.0[*row as usize]);
        prop_assert_eq!(picks, expected);
    }

    #[test]
    fn lazy_is_eager(rows in rows_of_tags(), weights in vec(0u8..4, SIZE as usize), k in 0usize..70) {
        let (offsets, ids) = csr(&rows);
        let pool = Pool::of(Csr::new(&offsets, &ids, SIZE as usize).unwrap());
        let weights: Vec<f64> = weights.into_iter().map(|weight| f64::from(weight) * 0.3).collect();
        let picks = max_coverage(&pool, Some(&weights), k).unwrap();
        prop_assert_eq!(picks, eager_coverage(&rows, &weights, k));
        let picks = max_coverage(&pool, None, k).unwrap();
        prop_assert_eq!(picks, eager_coverage(&rows, &[1.0; SIZE as usize], k));
    }

    #[test]
    fn lazy_is_eager_to_the_last_row_and_round(
        (size, rows) in (1..29u32).prop_flat_map(|size| {
            let row = btree_set(0..size, 0..4).prop_map(|row| row.into_iter().collect::<Vec<u32>>());
            (Just(size), vec(row, 0..120))
        }),
        weights in vec(0u8..4, 28),
    ) {
        let (offsets, ids) = csr(&rows);
        let pool = Pool::of(Csr::new(&offsets, &ids, size as usize).unwrap());
        let weights: Vec<f64> = weights.into_iter().map(|weight| f64::from(weight) * 0.3).take(size as usize).collect();
        let picks = max_coverage(&pool, Some(&weights), rows.len()).unwrap();
        prop_assert_eq!(picks, eager_coverage(&rows, &weights, rows.len()));
        let picks = max_coverage(&pool, None, rows.len()).unwrap();
        prop_assert_eq!(picks, eager_coverage(&rows, &[1.0; 28], rows.len()));
    }

    #[test]
    fn fewer_draws_are_a_prefix(bits in vec(any::<u64>(), 1..200)) {
        let all = draw(bits.len(), &bits).unwrap();
        let mut sorted = all.clone();
        sorted.sort_unstable();
        prop_assert!(sorted.iter().copied().eq(0..bits.len() as i64));
        for k in [0, 1, bits.len() / 20, bits.len() / 2] {
            prop_assert_eq!(&draw(bits.len(), &bits[..k]).unwrap(), &all[..k]);
        }
    }
}

#[test]
fn what_cannot_be_ranked_or_weighed_is_refused() {
    let rows = Csr::new(&[0, 1], &[0], 1).unwrap();
    let nan = Pool { complexity: Some(&[f64::NAN]), ..Pool::of(rows) };
    assert!(complexity_first(&nan, 1).unwrap_err().to_string().contains("row 0 has NaN"));
    let many = [0; 101];
    let untagged = Csr::new(&many, &[], 1).unwrap();
    let short = Pool { complexity: Some(&[1.0]), ..Pool::of(untagged) };
    assert!(complexity_first(&short, 1).unwrap_err().to_string().contains("`complexity` has 1 entries, but 100"));
    let short = Pool { eligible: Some(&[]), ..Pool::of(rows) };
    assert!(complexity_first(&short, 1).unwrap_err().to_string().contains("`eligible` has 0 entries"));
    assert!(max_coverage(&Pool::of(rows), Some(&[-1.0]), 1).unwrap_err().to_string().contains("tag 0 has -1"));
    let (offsets, ids) = csr(&[vec![0], vec![0, 1]]);
    let pool = Pool::of(Csr::new(&offsets, &ids, 2).unwrap());
    let huge = max_coverage(&pool, Some(&[f64::MAX; 2]), 1).unwrap_err().to_string();
    assert!(huge.contains("`weights` add up to no finite number in row 1"), "{huge}");
    assert!(draw(1, &[0, 0]).is_err());
}
