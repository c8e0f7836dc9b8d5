//! The pairs that may be rules, from few rows of each antecedent.
//!
//! A rule from A may miss at most k = count(A) - needed(A) of A's rows, so its consequent stands in all but k of any rows
//! of A. 2k + 8 rows of A are counted tag by tag, long ones (a row of 20,000 tags must not cost its square) only where
//! there are no others; what is missing in more than k of them is no candidate. (k + 1 rows would be exact as well, but
//! where k = 0 they are one row, which rules nothing in it out.)
//!
//! A tag for which 2k + 8 would be more than half of its rows (a low confidence, a very rare tag) has all its rows
//! counted instead, which is exact by itself; there a row that is much longer than the list of consequents still
//! possible is searched for them, not read.
//!
//! Cost: one walk over the ids to choose the rows, then the length of the rows chosen, some 2 % of all at 99 %
//! confidence. Ten million samples, one thread: 0.17 s CPU (180 MB of ids and 80 MB of offsets take 0.03 s to read),
//! half of it the count of the shard's own tags. Tried: the shortest rows of a tag, by a pass over `offsets` a power of
//! two (0.4 s: a mispredicted branch a row and pass, for rows half as long); now rows are looked up only for the ids that
//! are wanted ([`crate::row_scan`]), which stand near the start for frequent tags, and so in the cache.

use rayon::prelude::*;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::association::{Pairs, Thresholds};
use crate::csr::{Csr, remap, tag_counts};
use crate::error::{Error, Result};
use crate::room::{collected, collected_in_parallel, copied, extend, joined, push, reserved, zeroed};
use crate::row_scan::RowScan;

/// Candidate pairs held at once, before the work ends in an error: 8 bytes each.
const MAX_PAIRS: usize = 100_000_000;
/// Rows counted for a tag beyond the 2k that its rules may miss and the k that must then hold their consequent.
const SPARE_ROWS: i64 = 8;
/// Rows that a thread looks at in one go.
const PART: usize = 1 << 12;
/// A row longer than this is kept sorted, so that few tags can be looked up in it.
const LONG_ROW: usize = 64;

/// The pairs of a shard that may be rules of the pool, whose counts are `counts`; only from antecedents marked (not 0).
pub fn candidates(shard: Csr<'_>, counts: &[i64], marked: &[u8], thresholds: Thresholds) -> Result<Pairs> {
    for (name, found) in [("counts", counts.len()), ("marked", marked.len())] {
        if found != shard.size() {
            return Err(Error::Length { name, found, expected: shard.size() });
        }
    }
    candidates_counted(shard, &tag_counts(shard)?, counts, marked, thresholds)
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
        let same = collected(0..shard.size() as u32)?;
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
    let quotas = collected((0..shard.size()).map(|tag| {
        if marked[tag] == 0 || counts[tag] < thresholds.min_count || here[tag] == 0 {
            return 0;
        }
        let few = 2 * misses(tag) + SPARE_ROWS;
        if few > here[tag] / 2 { here[tag] as u32 } else { few as u32 }
    }))?;
    let (starts, chosen) = short_rows(shard, &quotas)?;
    let sorted = LongRows::of(shard, &chosen)?;
    let found = AtomicUsize::new(0);
    let lists = (0..shard.size()).into_par_iter().map_init(
        || Tally::new(shard.size()),
        |tally, tag| {
            if quotas[tag] == 0 || found.load(Ordering::Relaxed) > MAX_PAIRS {
                return Ok(Vec::new());
            }
            let tally = tally.as_mut().map_err(|error| error.clone())?;
            let chosen = &chosen[starts[tag]..starts[tag + 1]];
            let mut list = tally.survivors(shard, &sorted, chosen, misses(tag))?;
            list.retain(|&other| other as usize != tag && counts[other as usize] >= thresholds.needed(counts[tag]));
            list.sort_unstable();
            found.fetch_add(list.len(), Ordering::Relaxed);
            Ok(list)
        },
    );
    let lists = collected_in_parallel(lists)?;
    if found.into_inner() > MAX_PAIRS {
        return Err(Error::Limit {
            what: format!("more than {MAX_PAIRS} pairs of tags may be rules"),
            hint: "raise `min_count` or `min_confidence`".into(),
        });
    }
    Pairs::from_lists(&lists)
}

/// For each tag `quotas[tag]` of its rows, as (starts, rows): the first that are not long, then long ones, up to a factor
/// of two in length the shorter first.
fn short_rows(rows: Csr<'_>, quotas: &[u32]) -> Result<(Vec<usize>, Vec<u32>)> {
    if u32::try_from(rows.len()).is_err() {
        return Err(Error::Limit {
            what: format!("{} rows are too many for one shard", rows.len()),
            hint: "split the table into shards of fewer than 2^32 rows".into(),
        });
    }
    let mut starts = reserved(quotas.len() + 1)?;
    let mut missing = 0usize;
    starts.push(missing);
    for &quota in quotas {
        missing += quota as usize;
        starts.push(missing);
    }
    let mut chosen = zeroed::<u32>(missing)?;
    let mut next = copied(&starts)?;
    let mut choose = |tag: u32, row: u32| {
        let (Some(slot), Some(&end)) = (next.get_mut(tag as usize), starts.get(tag as usize + 1)) else {
            return missing;
        };
        if *slot < end {
            chosen[*slot] = row;
            *slot += 1;
            missing -= 1;
        }
        missing
    };
    let parts = rayon::current_num_threads().clamp(1, rows.len().max(1));
    let found = (0..parts)
        .into_par_iter()
        .map(|part| first_rows(rows, quotas, rows.len() * part / parts..rows.len() * (part + 1) / parts));
    let mut long: Vec<u32> = Vec::new();
    let mut left = usize::MAX;
    for (found, in_part) in collected_in_parallel(found)? {
        for (tag, row) in found {
            left = choose(tag, row);
        }
        extend(&mut long, &in_part)?;
    }
    long.sort_unstable_by_key(|&row| (rows.row(row as usize).len().ilog2(), row));
    for row in long {
        if left == 0 {
            break;
        }
        for &tag in rows.row(row as usize) {
            left = choose(tag, row);
        }
    }
    Ok((starts, chosen))
}

/// (tag, row) of the rows chosen, and long rows.
type FirstRows = (Vec<(u32, u32)>, Vec<u32>);

/// In some of the rows, for each tag its first `quotas[tag]` rows that are not long, as (tag, row); and the long rows that
/// hold a tag that had fewer before.
fn first_rows(rows: Csr<'_>, quotas: &[u32], within: Range<usize>) -> Result<FirstRows> {
    let (mut found, mut long) = (Vec::new(), Vec::new());
    let mut left = copied(quotas)?;
    let mut scan = RowScan::new(rows, within);
    while let Some((tag, row)) = scan.next(|tag| left.get(tag as usize).is_some_and(|&left| left > 0)) {
        if rows.row(row as usize).len() <= LONG_ROW {
            left[tag as usize] -= 1;
            push(&mut found, (tag, row))?;
        } else if long.last() != Some(&row) {
            push(&mut long, row)?;
        }
    }
    Ok((found, long))
}

/// The long rows among those chosen, sorted, so that a tag is found in one without reading it.
struct LongRows {
    rows: Vec<u32>,
    sorted: Vec<Vec<u32>>,
}

impl LongRows {
    fn of(shard: Csr<'_>, chosen: &[u32]) -> Result<Self> {
        let parts = chosen
            .par_chunks(PART)
            .map(|part| collected(part.iter().copied().filter(|&at| shard.row(at as usize).len() > LONG_ROW)));
        let mut rows = joined(&collected_in_parallel(parts)?)?;
        rows.par_sort_unstable();
        rows.dedup();
        let sorted = rows.par_iter().map(|&at| {
            let mut row = copied(shard.row(at as usize))?;
            row.sort_unstable();
            Ok(row)
        });
        Ok(Self { sorted: collected_in_parallel(sorted)?, rows })
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
    fn new(tags: usize) -> Result<Self> {
        Ok(Self { counts: zeroed(tags)?, touched: Vec::new() })
    }

    /// The tags that stand in all but at most `misses` of the rows chosen. Leaves the counters at zero.
    fn survivors(&mut self, shard: Csr<'_>, long: &LongRows, chosen: &[u32], misses: i64) -> Result<Vec<u32>> {
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
                    push(&mut self.touched, tag)?;
                }
                *count += 1;
            }
        }
        let least = chosen.len() as i64 - misses;
        let mut list = std::mem::take(&mut self.touched);
        list.retain(|&tag| i64::from(std::mem::take(&mut self.counts[tag as usize])) >= least);
        Ok(list)
    }
}
