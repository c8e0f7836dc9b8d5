//! Pair rules A => B: every pair with count(AB) >= `min_count` and count(AB) / count(A) >= `min_confidence`.
//!
//! Method: a rule from A may miss at most k = count(A) - needed(A) of A's rows, so its consequent stands in all but k
//! of any rows of A. The 2k + 8 shortest rows of A are counted tag by tag (short, so that a row of 20,000 tags does not
//! cost its square); what is missing in more than k of them is no candidate. The survivors, at 99 % confidence hardly
//! more than the rules themselves, are counted exactly in one pass over all rows. No table of pairs exists.
//!
//! A tag for which 2k + 8 would be more than half of its rows (a low confidence, a very rare tag) has all its rows
//! counted instead, which is exact by itself; there a row that is much longer than the list of consequents still
//! possible is searched for them, not read.
//!
//! Partials: [`candidates`] of a shard, [`Pairs::merge`], [`count_pairs`] of a shard (added up), [`finish`]. A rule of
//! the pool reaches the confidence in at least one shard (a weighted mean is no larger than its largest term, and
//! rounding to float64 keeps order), so the union of the shards' candidates misses none. [`pair_rules`] is the case of
//! one shard. The answer does not depend on the shards, nor on the number of threads.
//!
//! Cost: O(ids) for the passes, and the length of the rows chosen, some 2 % of all at 99 %.
//!
//! Tried: k + 1 rows, the least that is exact, leave every tag of one row as a candidate where k = 0, and counting those
//! cost more than reading eight rows a tag. Sorting the rows by length costs more than one pass over `offsets` a power
//! of two, which stops when every tag has its rows.

use rayon::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::csr::{Csr, remap, tag_counts};
use crate::error::{Error, Result};

/// Candidate pairs held at once, before the work ends in an error: 8 bytes each.
const MAX_PAIRS: usize = 100_000_000;
/// Rows counted for a tag beyond the 2k that its rules may miss and the k that must then hold their consequent.
const SPARE_ROWS: i64 = 8;
/// A row longer than this is kept sorted, so that few tags can be looked up in it.
const LONG_ROW: usize = 64;

/// What makes a pair a rule.
#[derive(Debug, Clone, Copy)]
pub struct Thresholds {
    min_count: i64,
    min_confidence: f64,
}

impl Thresholds {
    /// `min_count` is a number of rows, at least 1; `min_confidence` is in (0, 1].
    pub fn new(min_count: i64, min_confidence: f64) -> Result<Self> {
        if min_count < 1 {
            let reason = format!("is a number of rows, at least 1, found {min_count}");
            return Err(Error::Setting { name: "min_count", reason });
        }
        if !(min_confidence > 0.0 && min_confidence <= 1.0) {
            let reason = format!("must be above 0 and at most 1, found {min_confidence}");
            return Err(Error::Setting { name: "min_confidence", reason });
        }
        Ok(Self { min_count, min_confidence })
    }

    /// The fewest rows with both tags that confirm a rule from a tag of `count` rows.
    pub fn needed(self, count: i64) -> i64 {
        self.needed_for_confidence(count).max(self.min_count)
    }

    fn needed_for_confidence(self, count: i64) -> i64 {
        let mut joint = ((self.min_confidence * count as f64).ceil() as i64).clamp(1, count.max(1));
        // The product is rounded, the quotient decides.
        while joint > 1 && confidence(joint - 1, count) >= self.min_confidence {
            joint -= 1;
        }
        while joint < count && confidence(joint, count) < self.min_confidence {
            joint += 1;
        }
        joint
    }
}

/// count(AB) / count(A), the one division that decides everywhere.
pub fn confidence(joint: i64, count: i64) -> f64 {
    joint as f64 / count as f64
}

/// Ordered pairs of tags: the consequents of antecedent `a` are `consequents[starts[a]..starts[a + 1]]`, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    starts: Vec<usize>,
    consequents: Vec<u32>,
}

impl Pairs {
    fn from_lists(lists: &[Vec<u32>]) -> Self {
        let mut starts = Vec::with_capacity(lists.len() + 1);
        starts.push(0);
        starts.extend(lists.iter().scan(0, |end, list| {
            *end += list.len();
            Some(*end)
        }));
        Self { starts, consequents: lists.concat() }
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.consequents.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.consequents.is_empty()
    }

    /// The consequents of one antecedent, ascending.
    pub fn of(&self, antecedent: u32) -> &[u32] {
        self.consequents.get(self.span(antecedent)).unwrap_or(&[])
    }

    fn span(&self, antecedent: u32) -> std::ops::Range<usize> {
        let at = antecedent as usize;
        match (self.starts.get(at), self.starts.get(at + 1)) {
            (Some(&start), Some(&end)) => start..end,
            _ => 0..0,
        }
    }

    /// The pairs of either: how the candidates of shards come together.
    #[must_use]
    pub fn merge(&self, other: &Self) -> Self {
        let size = self.starts.len().max(other.starts.len()).saturating_sub(1);
        let lists = (0..size as u32).map(|antecedent| {
            let mut both = [self.of(antecedent), other.of(antecedent)].concat();
            both.sort_unstable();
            both.dedup();
            both
        });
        Self::from_lists(&lists.collect::<Vec<_>>())
    }
}

/// Pair rules, by antecedent, then consequent, ascending.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Antecedents.
    pub antecedents: Vec<u32>,
    /// Consequents.
    pub consequents: Vec<u32>,
    /// Rows with both tags.
    pub counts: Vec<i64>,
    /// `counts` over the rows of the antecedent.
    pub confidences: Vec<f64>,
}

/// Every pair rule of one table. O(ids) and the rows chosen (see the head of the file).
pub fn pair_rules(rows: Csr<'_>, thresholds: Thresholds) -> Result<Rules> {
    let counts = tag_counts(rows);
    let antecedents = vec![true; rows.size()];
    rules_of(rows, &counts, &antecedents, thresholds)
}

/// The pair rules whose antecedent is marked; `counts` are the table's own.
pub(crate) fn rules_of(rows: Csr<'_>, counts: &[i64], marked: &[bool], thresholds: Thresholds) -> Result<Rules> {
    let pairs = candidates(rows, counts, marked, thresholds)?;
    let joint = count_pairs(rows, &pairs);
    Ok(finish(counts, &pairs, &joint, thresholds))
}

/// The pairs of a shard that may be rules of the pool, whose counts are `counts`; only from marked antecedents.
pub fn candidates(shard: Csr<'_>, counts: &[i64], marked: &[bool], thresholds: Thresholds) -> Result<Pairs> {
    for (name, found) in [("counts", counts.len()), ("marked", marked.len())] {
        if found != shard.size() {
            return Err(Error::Length { name, found, expected: shard.size() });
        }
    }
    let here = tag_counts(shard);
    if here.iter().sum::<i64>() < shard.ids().len() as i64 {
        // A tag twice in a row would count twice below.
        let same: Vec<u32> = (0..shard.size() as u32).collect();
        let (offsets, ids) = remap(shard, &same, shard.size())?;
        return distinct_candidates(Csr::new(&offsets, &ids, shard.size())?, &here, counts, marked, thresholds);
    }
    distinct_candidates(shard, &here, counts, marked, thresholds)
}

fn distinct_candidates(
    shard: Csr<'_>,
    here: &[i64],
    counts: &[i64],
    marked: &[bool],
    thresholds: Thresholds,
) -> Result<Pairs> {
    // The misses a rule may have in this shard: those it may have in the pool, and no more than leave it confident here.
    let misses = |tag: usize| {
        let pool = counts[tag] - thresholds.needed(counts[tag]);
        pool.min(here[tag] - thresholds.needed_for_confidence(here[tag]))
    };
    let quotas: Vec<u32> = (0..shard.size())
        .map(|tag| {
            if !marked[tag] || counts[tag] < thresholds.min_count || here[tag] == 0 {
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

/// Rows of a shard that hold both tags of each pair, in the order of the pairs; the counts of shards add up.
pub fn count_pairs(shard: Csr<'_>, pairs: &Pairs) -> Vec<i64> {
    if pairs.is_empty() {
        return Vec::new();
    }
    let parts = rayon::current_num_threads().clamp(1, shard.len().max(1));
    let counted = (0..parts).into_par_iter().map(|part| {
        let bounds = (shard.len() * part / parts, shard.len() * (part + 1) / parts);
        count_pairs_between(shard, pairs, bounds)
    });
    counted.reduce(
        || vec![0; pairs.len()],
        |mut sum, part| {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            sum
        },
    )
}

fn count_pairs_between(shard: Csr<'_>, pairs: &Pairs, (start, end): (usize, usize)) -> Vec<i64> {
    let mut joint = vec![0i64; pairs.len()];
    let active: Vec<bool> = (0..shard.size() as u32).map(|tag| !pairs.of(tag).is_empty()).collect();
    // 2r + 2 where row r holds the tag, 2r + 3 once its pairs are counted: a tag twice in a row counts once.
    let mut seen = vec![0usize; shard.size()];
    for at in start..end {
        let row = shard.row(at);
        if !row.iter().any(|&tag| active.get(tag as usize) == Some(&true)) {
            continue;
        }
        let (held, done) = (2 * at + 2, 2 * at + 3);
        for &tag in row {
            if let Some(seen) = seen.get_mut(tag as usize) {
                *seen = held;
            }
        }
        for &tag in row {
            let span = pairs.span(tag);
            match seen.get_mut(tag as usize) {
                Some(seen) if *seen == held && !span.is_empty() => *seen = done,
                _ => continue,
            }
            if span.len() > 8 * row.len() {
                let list = pairs.of(tag);
                let mut here: Vec<usize> = row.iter().filter_map(|other| list.binary_search(other).ok()).collect();
                here.sort_unstable();
                here.dedup();
                for index in here {
                    joint[span.start + index] += 1;
                }
            } else {
                for (joint, &other) in joint[span].iter_mut().zip(pairs.of(tag)) {
                    *joint += i64::from(seen.get(other as usize).is_some_and(|seen| seen | 1 == done));
                }
            }
        }
    }
    joint
}

/// The candidates that are rules, from the counts of the pool.
pub fn finish(counts: &[i64], pairs: &Pairs, joint: &[i64], thresholds: Thresholds) -> Rules {
    let mut rules = Rules::default();
    for (antecedent, &count) in counts.iter().enumerate() {
        let span = pairs.span(antecedent as u32);
        if span.is_empty() {
            continue;
        }
        let needed = thresholds.needed(count);
        for (&consequent, &joint) in pairs.of(antecedent as u32).iter().zip(joint.get(span).unwrap_or(&[])) {
            if joint >= needed {
                rules.antecedents.push(antecedent as u32);
                rules.consequents.push(consequent);
                rules.counts.push(joint);
                rules.confidences.push(confidence(joint, count));
            }
        }
    }
    rules
}
