//! The pairs that may be rules, from few rows of each antecedent.
//!
//! A rule from A may miss at most k = count(A) - needed(A) of A's rows, so its consequent stands in all but k of any rows
//! of A. The 2k + 8 shortest rows of A are counted tag by tag (short, so that a row of 20,000 tags does not cost its
//! square); what is missing in more than k of them is no candidate. (k + 1 rows would be exact as well, but where k = 0
//! they are one row, which rules nothing in it out.)
//!
//! A tag for which 2k + 8 would be more than half of its rows (a low confidence, a very rare tag) has all its rows
//! counted instead, which is exact by itself; there a row that is much longer than the list of consequents still
//! possible is searched for them, not read.
//!
//! Cost: O(ids) for finding the short rows, then the length of the rows chosen, some 2 % of all at 99 % confidence. Rows
//! are not sorted by length: one pass over `offsets` a power of two finds them, until every tag has its rows.

use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::association::{Pairs, Thresholds};
use crate::csr::{Csr, remap, tag_counts};
use crate::error::{Error, Result};

/// Candidate pairs held at once, before the work ends in an error: 8 bytes each.
const MAX_PAIRS: usize = 100_000_000;
/// Rows counted for a tag beyond the 2k that its rules may miss and the k that must then hold their consequent.
const SPARE_ROWS: i64 = 8;
/// A row longer than this is kept sorted, so that few tags can be looked up in it.
const LONG_ROW: usize = 64;

/// The pairs of a shard that may be rules of the pool, whose counts are `counts`; only from antecedents marked (not 0).
pub fn candidates(shard: Csr<'_>, counts: &[i64], marked: &[u8], thresholds: Thresholds) -> Result<Pairs> {
    for (name, found) in [("counts", counts.len()), ("marked", marked.len())] {
        if found != shard.size() {
            return Err(Error::Length { name, found, expected: shard.size() });
        }
    }
    candidates_counted(shard, &tag_counts(shard), counts, marked, thresholds)
}

/// As [`candidates`], where the counts of the shard itself are known.
pub(crate) fn candidates_counted(
    shard: Csr<'_>,
    here: &[i64],
    counts: &[i64],
    marked: &[u8],
    thresholds: Thresholds,
) -> Result<Pairs> {
    if here.iter().sum::<i64>() < shard.ids().len() as i64 {
        // A tag twice in a row would count twice below.
        let same: Vec<u32> = (0..shard.size() as u32).collect();
        let (offsets, ids) = remap(shard, &same, shard.size())?;
        return distinct_candidates(Csr::new(&offsets, &ids, shard.size())?, here, counts, marked, thresholds);
    }
    distinct_candidates(shard, here, counts, marked, thresholds)
}

fn distinct_candidates(
    shard: Csr<'_>,
    here: &[i64],
    counts: &[i64],
    marked: &[u8],
    thresholds: Thresholds,
) -> Result<Pairs> {
    // The misses a rule may have in this shard: those it may have in the pool, and no more than leave it confident here.
    let misses = |tag: usize| {
        let pool = counts[tag] - thresholds.needed(counts[tag]);
        pool.min(here[tag] - thresholds.needed_for_confidence(here[tag]))
    };
    let quotas: Vec<u32> = (0..shard.size())
        .map(|tag| {
            if marked[tag] == 0 || counts[tag] < thresholds.min_count || here[tag] == 0 {
                return 0;
            }
            let few = 2 * misses(tag) + SPARE_ROWS;
            if few > here[tag] / 2 { here[tag] as u32 } else { few as u32 }
        })
        .collect();
    let (starts, chosen) = shortest_rows(shard, &quotas)?;
    let sorted = LongRows::of(shard, &chosen);
    let found = AtomicUsize::new(0);
    let lists: Vec<Vec<u32>> = (0..shard.size())
        .into_par_iter()
        .map_init(
            || Tally { counts: vec![0; shard.size()], touched: Vec::new() },
            |tally, tag| {
                if quotas[tag] == 0 || found.load(Ordering::Relaxed) > MAX_PAIRS {
                    return Vec::new();
                }
                let chosen = &chosen[starts[tag]..starts[tag + 1]];
                let mut list = tally.survivors(shard, &sorted, chosen, misses(tag));
                list.retain(|&other| other as usize != tag && counts[other as usize] >= thresholds.needed(counts[tag]));
                list.sort_unstable();
                found.fetch_add(list.len(), Ordering::Relaxed);
                list
            },
        )
        .collect();
    if found.into_inner() > MAX_PAIRS {
        return Err(Error::Limit {
            what: format!("more than {MAX_PAIRS} pairs of tags may be rules"),
            hint: "raise `min_count` or `min_confidence`".into(),
        });
    }
    Ok(Pairs::from_lists(&lists))
}

/// For each tag its `quotas[tag]` shortest rows, up to a factor of two in length, shorter ones first, as (starts, rows).
fn shortest_rows(rows: Csr<'_>, quotas: &[u32]) -> Result<(Vec<usize>, Vec<u32>)> {
    if u32::try_from(rows.len()).is_err() {
        return Err(Error::Limit {
            what: format!("{} rows are too many for one shard", rows.len()),
            hint: "split the table into shards of fewer than 2^32 rows".into(),
        });
    }
    let mut starts = vec![0usize];
    starts.extend(quotas.iter().scan(0usize, |end, &quota| {
        *end += quota as usize;
        Some(*end)
    }));
    let mut missing = starts.last().copied().unwrap_or(0);
    let mut chosen = vec![0u32; missing];
    let mut next = starts.clone();
    let class = |length: usize| usize::BITS - length.leading_zeros();
    let last = rows.rows().map(|row| class(row.len())).max().unwrap_or(0);
    for wanted in 1..=last {
        if missing == 0 {
            break;
        }
        for (at, row) in rows.rows().enumerate() {
            if class(row.len()) != wanted {
                continue;
            }
            for &tag in row {
                let tag = tag as usize;
                let (Some(slot), Some(&end)) = (next.get_mut(tag), starts.get(tag + 1)) else { continue };
                if *slot < end {
                    chosen[*slot] = at as u32;
                    *slot += 1;
                    missing -= 1;
                }
            }
        }
    }
    Ok((starts, chosen))
}

/// The long rows among those chosen, sorted, so that a tag is found in one without reading it.
struct LongRows {
    rows: Vec<u32>,
    sorted: Vec<Vec<u32>>,
}

impl LongRows {
    fn of(shard: Csr<'_>, chosen: &[u32]) -> Self {
        let mut rows: Vec<u32> =
            chosen.par_iter().copied().filter(|&at| shard.row(at as usize).len() > LONG_ROW).collect();
        rows.par_sort_unstable();
        rows.dedup();
        let sorted = rows.par_iter().map(|&at| {
            let mut row = shard.row(at as usize).to_vec();
            row.sort_unstable();
            row
        });
        Self { sorted: sorted.collect(), rows }
    }

    fn get(&self, at: u32) -> Option<&[u32]> {
        self.rows.binary_search(&at).ok().map(|index| &self.sorted[index][..])
    }
}

/// One counter a tag, and which of them are not zero.
struct Tally {
    counts: Vec<u32>,
    touched: Vec<u32>,
}

impl Tally {
    /// The tags that stand in all but at most `misses` of the rows chosen. Leaves the counters at zero.
    fn survivors(&mut self, shard: Csr<'_>, long: &LongRows, chosen: &[u32], misses: i64) -> Vec<u32> {
        for (read, &at) in chosen.iter().enumerate() {
            let row = shard.row(at as usize);
            // Once more than `misses` rows are read, a tag not seen yet is no candidate.
            let closed = read as i64 > misses;
            if closed && self.touched.is_empty() {
                break;
            }
            if row.len() > LONG_ROW && closed {
                let least = read as i64 - misses;
                let counts = &mut self.counts;
                self.touched.retain(|&tag| {
                    let alive = i64::from(counts[tag as usize]) >= least;
                    if !alive {
                        counts[tag as usize] = 0;
                    }
                    alive
                });
                if let Some(sorted) = long.get(at).filter(|_| self.touched.len() * 16 < row.len()) {
                    for &tag in &self.touched {
                        self.counts[tag as usize] += u32::from(sorted.binary_search(&tag).is_ok());
                    }
                    continue;
                }
            }
            for &tag in row {
                let Some(count) = self.counts.get_mut(tag as usize) else { continue };
                if *count == 0 {
                    if closed {
                        continue;
                    }
                    self.touched.push(tag);
                }
                *count += 1;
            }
        }
        let least = chosen.len() as i64 - misses;
        let mut list = std::mem::take(&mut self.touched);
        list.retain(|&tag| i64::from(std::mem::take(&mut self.counts[tag as usize])) >= least);
        list
    }
}
