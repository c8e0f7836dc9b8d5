//! Lazy greedy maximization of a monotone submodular function over the samples (Minoux 1978); here, tag coverage.
//!
//! `F(S) = sum over tags of w[t] * min(held by S, 1)`. Each pick is the sample that adds most to `F`, the earlier row among
//! equals. When no sample adds a tag, the covered set is emptied and a new round starts. A sample's gain never grows
//! within a round, so an old gain is a bound: only samples whose bound reaches the top are looked at again, and one whose
//! gain is still its bound is the next pick.
//!
//! Samples that were looked at wait by their gain ([`crate::waiting`]). Of a round, only the samples that would add most to an empty one are ranked (1 in [`HEAD`]). When they
//! are used up, most tags are covered, and one walk over the pool in memory order, by all threads, gathers the samples
//! that hold one of the rest; and again when few of those are left.
//!
//! Cost: a walk or two over the pool a round (4 bytes an id, 8 an offset), some 2,000 picks a round at 12,000 tags.
//! Ten million samples, k = 6,000 (3 rounds), one thread: 1.0 s CPU, of which the 9 walks are 0.7 (each some 5 ns a
//! sample; the bytes alone, 260 MB, take 30 ms); a plain bucket queue in C that goes through all samples a round 1.4 s.
//! Tried: all samples ranked and walked in that order, a heap for all (3.6 s: a cache miss a sample, most of them only to
//! be pushed again); gathering all that still add something (2.8 s: six of ten do after the head); a sum a row in place
//! of running sums over a block (20 ns a sample: the branch that ends a row is mispredicted). In lower steps than `LOWER`
//! more walks, in higher ones more samples that wait: 3 and 4 cost as much.
//!
//! Many rounds mean few tags, and these make few sets: after [`ROUNDS`] only the first sample left of each set is
//! looked at ([`crate::equal_sets`]). A round is then at most one pass over the distinct sets. Putting equal samples together from the start costs more than the usual few rounds.
//! That is still rounds times sets: 15 s for all of 200,000 samples over 100 tags. So few tags, up to 24, have a way of
//! their own, linear in samples and picks ([`crate::few_tags`]); with weights, whose sums hang on their order, they do not.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use crate::complexity_first::Picks;
use crate::csr::Csr;
use crate::equal_sets::Sets;
use crate::error::{Error, Result};
use crate::few_tags::cover_few;
use crate::rank::Pool;
use crate::room::{collected_in_parallel, more, push, reserved, zeroed};
use crate::waiting::{Bound, Buckets, Waiting, bound};

/// The share of the pool that is ranked before the rest is looked at: 1 in this many.
const HEAD: usize = 32;
/// Rows gathered from at a time: what is noted of their tags stays in the first-level cache.
const BLOCK: usize = 1 << 10;
/// The rest is looked at for samples that add this part of what is known to be more than any of it adds,
const LOWER: f64 = 2.0;
/// until that is not above this.
const SMALL: f64 = 3.0;
/// Samples are gathered anew each time this fraction (1 in so many) of what could add something is left,
const NARROW: usize = 16;
/// and at least this fraction (1 in so many) of the pool waits to be looked at again.
const WAITING: usize = 8;
/// After so many rounds equal samples are put together.
const ROUNDS: i32 = 32;

/// What greedy selection maximizes: monotone, submodular, of non-negative gains.
pub trait Objective: Sync {
    /// What a sample with these tags would add now; never more than before in the same round.
    fn gain(&self, tags: &[u32]) -> f64;
    /// Whether a sample gains by this tag now.
    fn adds(&self, tag: u32) -> bool;
    /// No tag adds more.
    fn most(&self) -> f64;
    /// Adds the sample; the number of tags that it is the first to hold in this round.
    fn add(&mut self, tags: &[u32]) -> i64;
    /// How many tags, counted in every sample that is left, can still add something in this round.
    fn open(&self) -> usize;
    /// Starts a new round: everything picked is gone, and counts for nothing.
    fn restart(&mut self);
}

/// Weighted tag coverage, each tag counted once a round.
struct Coverage<'a> {
    weights: Option<&'a [f64]>,
    covered: Vec<bool>,
    touched: Vec<usize>, // the tags covered, so that a restart costs what the round did
    left: Vec<usize>,    // samples not picked that hold the tag; 0 for a tag of no weight
    total: usize,        // the sum of `left`
    open: usize,         // the same over tags not covered
}

impl<'a> Coverage<'a> {
    fn new(pool: &Pool<'_>, weights: Option<&'a [f64]>) -> Result<Self> {
        let (size, rows, parts) = (pool.rows.size(), pool.rows.len(), rayon::current_num_threads());
        let held = (0..parts).into_par_iter().map(|part| {
            let mut held = zeroed::<usize>(size)?;
            let mut count = |tags: &[u32]| {
                for &tag in tags {
                    if let Some(held) = held.get_mut(tag as usize) {
                        *held += 1;
                    }
                }
            };
            let ids = pool.rows.ids();
            if pool.eligible.is_none() {
                count(&ids[ids.len() * part / parts..ids.len() * (part + 1) / parts]);
            } else {
                let rows = (rows * part / parts..rows * (part + 1) / parts).filter(|&row| pool.holds(row));
                rows.for_each(|row| count(pool.rows.row(row)));
            }
            Ok(held)
        });
        let mut left = zeroed::<usize>(size)?;
        for part in collected_in_parallel(held)? {
            left.iter_mut().zip(part).for_each(|(left, part)| *left += part);
        }
        for (left, &weight) in left.iter_mut().zip(weights.unwrap_or(&[])) {
            *left = if weight > 0.0 { *left } else { 0 };
        }
        let total = left.iter().sum();
        Ok(Self { weights, covered: zeroed(size)?, touched: reserved(size)?, left, total, open: total })
    }
}

impl Objective for Coverage<'_> {
    fn gain(&self, tags: &[u32]) -> f64 {
        match self.weights {
            None => tags.iter().map(|&tag| u32::from(self.adds(tag))).sum::<u32>().into(),
            Some(weights) => {
                let new = tags.iter().filter(|&&tag| self.adds(tag));
                new.map(|&tag| weights.get(tag as usize).copied().unwrap_or(0.0)).fold(0.0, |sum, weight| sum + weight)
            }
        }
    }

    fn adds(&self, tag: u32) -> bool {
        self.covered.get(tag as usize) == Some(&false)
    }

    fn most(&self) -> f64 {
        // The largest weight would do, were sums not rounded.
        if self.weights.is_none() { 1.0 } else { f64::INFINITY }
    }

    fn add(&mut self, tags: &[u32]) -> i64 {
        let mut new = 0;
        for tag in tags.iter().map(|&tag| tag as usize) {
            let (Some(covered), Some(left)) = (self.covered.get_mut(tag), self.left.get_mut(tag)) else { continue };
            if !std::mem::replace(covered, true) {
                new += 1;
                self.touched.push(tag);
                self.open = self.open.saturating_sub(*left);
            }
            if *left > 0 {
                *left -= 1;
                self.total = self.total.saturating_sub(1);
            }
        }
        new
    }

    fn open(&self) -> usize {
        self.open
    }

    fn restart(&mut self) {
        for tag in self.touched.drain(..) {
            self.covered[tag] = false;
        }
        self.open = self.total;
    }
}

/// Picks `k` samples of `pool` by weighted tag coverage (weight 1 each by default); fewer where no more add anything.
///
/// `pool.complexity` is not looked at. Weights are finite and not negative: otherwise an old gain would bound nothing.
pub fn max_coverage(pool: &Pool<'_>, weights: Option<&[f64]>, k: usize) -> Result<Picks> {
    if let Some(weights) = weights {
        let (found, expected) = (weights.len(), pool.rows.size());
        if found != expected {
            return Err(Error::Length { name: "weights", found, expected });
        }
        if let Some(tag) = weights.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            let reason = format!("must be finite and not negative, but tag {tag} has {}", weights[tag]);
            return Err(Error::Setting { name: "weights", reason });
        }
    }
    let pool = &Pool { complexity: None, ..*pool };
    pool.check()?;
    if weights.is_none()
        && let Some(picks) = cover_few(pool, k)?
    {
        return Ok(picks);
    }
    // What a sample adds to an empty round: without weights its number of tags, which needs no array.
    let mut coverage = Coverage::new(pool, weights)?;
    let mut alone = None;
    if weights.is_some() {
        let rows = (0..pool.rows.len()).into_par_iter().with_min_len(1 << 16);
        let gains = alone.insert(reserved(pool.rows.len())?);
        rows.map(|row| coverage.gain(pool.rows.row(row))).collect_into_vec(gains);
    }
    if let Some(row) = alone.as_ref().and_then(|gains: &Vec<f64>| gains.iter().position(|gain| !gain.is_finite())) {
        let reason = format!("add up to no finite number in row {row}");
        return Err(Error::Setting { name: "weights", reason });
    }
    let pool = Pool { complexity: alone.as_deref(), ..*pool };
    if weights.is_some() {
        return lazy_greedy(&pool, &mut coverage, &mut BinaryHeap::new(), k);
    }
    lazy_greedy(&pool, &mut coverage, &mut Buckets::default(), k)
}

/// Picks `k` samples, each the one of largest gain (ties: the earlier row), in rounds; `pool.complexity` is what a sample
/// adds to an empty round.
fn lazy_greedy(pool: &Pool<'_>, objective: &mut impl Objective, waiting: &mut impl Waiting, k: usize) -> Result<Picks> {
    let least = pool.head(pool.rows.len() / HEAD)?;
    let head = pool.ranked(least)?;
    let mut idle = reserved(pool.rows.len())?;
    (0..pool.rows.len()).into_par_iter().map(|row| !pool.holds(row)).collect_into_vec(&mut idle);
    let mut sets: Option<Sets> = None;
    let mut picks = Picks::default();
    let mut taken: Vec<u32> = Vec::new(); // in this round
    for round in 1.. {
        if round > ROUNDS && sets.is_none() {
            sets = Some(Sets::of(pool, &mut idle)?);
        }
        let mut fresh = match &sets {
            Some(sets) => Fresh::Sets(sets.first.iter()),
            None => Fresh::Head(pool, head.iter()),
        };
        let top = fresh.next();
        waiting.refill(&[])?;
        let rest = if sets.is_none() { least } else { 0.0 };
        let mut queue = Queue { pool, fresh, top, rest, waiting };
        let mut enough = objective.open() / NARROW;
        while picks.rows.len() < k && objective.open() > 0 {
            let next = queue.pop();
            let below = next.map_or(0.0, |(bound, _)| f64::from_bits(bound)) < queue.rest;
            if below || (objective.open() < enough && queue.waiting.len() >= pool.rows.len() / WAITING) {
                queue.gather(objective, &idle)?;
                enough = objective.open() / NARROW;
                continue;
            }
            let Some((bound, Reverse(row))) = next else { break };
            if idle[row as usize] {
                continue;
            }
            let tags = pool.rows.row(row as usize);
            let gain = objective.gain(tags);
            if gain < f64::from_bits(bound) {
                if gain > 0.0 {
                    queue.waiting.push((gain.to_bits(), Reverse(row)))?;
                }
            } else if gain > 0.0 {
                idle[row as usize] = true;
                push(&mut taken, row)?;
                picks.push(row, round, objective.add(tags))?;
            }
        }
        if taken.is_empty() || picks.rows.len() >= k {
            break;
        }
        for row in taken.drain(..) {
            if let Some(sets) = &mut sets {
                sets.take(pool, row, &mut idle)?;
            }
        }
        objective.restart();
    }
    Ok(picks)
}

/// Bounds of samples not looked at in this round, the largest first.
enum Fresh<'a> {
    Head(&'a Pool<'a>, std::slice::Iter<'a, u32>),
    Sets(std::collections::btree_set::Iter<'a, Reverse<Bound>>),
    None,
}

impl Iterator for Fresh<'_> {
    type Item = Bound;

    fn next(&mut self) -> Option<Bound> {
        match self {
            Self::Head(pool, rows) => rows.next().map(|&row| bound(pool, row)),
            Self::Sets(bounds) => bounds.next().map(|&Reverse(bound)| bound),
            Self::None => None,
        }
    }
}

/// The samples of one round by the bound on their gain.
struct Queue<'a, W> {
    pool: &'a Pool<'a>,
    fresh: Fresh<'a>,
    top: Option<Bound>, // the first of `fresh`
    rest: f64,          // samples that neither list holds add less than this
    waiting: &'a mut W,
}

impl<W: Waiting> Queue<'_, W> {
    /// The sample of the largest bound.
    fn pop(&mut self) -> Option<Bound> {
        self.waiting.pop_above(self.top).or_else(|| std::mem::replace(&mut self.top, self.fresh.next()))
    }

    /// Looks at all samples in memory order, and keeps those that add much now: some that were looked at may go back to
    /// the rest.
    fn gather(&mut self, objective: &impl Objective, idle: &[bool]) -> Result<()> {
        self.rest = if self.rest > SMALL { self.rest / LOWER } else { 0.0 };
        let firsts = (0..self.pool.rows.len()).into_par_iter().step_by(BLOCK).with_min_len(64);
        let blocks =
            firsts.map_init(Vec::new, |sums, first| gathered(self.pool.rows, first, objective, idle, self.rest, sums));
        self.waiting.refill(&collected_in_parallel(blocks)?)?;
        (self.fresh, self.top) = (Fresh::None, None);
        Ok(())
    }
}

/// The samples of one block that add at least `least`, and something; `sums` is scratch.
fn gathered(
    rows: Csr<'_>,
    first: usize,
    objective: &impl Objective,
    idle: &[bool],
    least: f64,
    sums: &mut Vec<u32>,
) -> Result<Vec<Bound>> {
    let bounds = rows.offsets().get(first..(first + BLOCK + 1).min(rows.len() + 1)).unwrap_or(&[]);
    let (Some(&start), Some(&end)) = (bounds.first(), bounds.last()) else { return Ok(Vec::new()) };
    let ids = rows.ids().get(start as usize..end as usize).unwrap_or(&[]);
    // Running sums of the tags that add something: no branch a row, which would go wrong with its length.
    let mut sum = 0u32;
    sums.clear();
    more(sums, ids.len() + 1)?;
    sums.push(0);
    sums.extend(ids.iter().map(|&tag| {
        sum = sum.wrapping_add(objective.adds(tag).into());
        sum
    }));
    let before = |offset: i64| sums.get(offset.wrapping_sub(start) as usize).copied().unwrap_or(0);
    let needed = ((least / objective.most()).ceil() as u32).max(1); // tags that add something
    let mut found = Vec::new();
    for (row, bounds) in (first as u32..).zip(bounds.windows(2)) {
        if before(bounds[1]).wrapping_sub(before(bounds[0])) >= needed && idle.get(row as usize) == Some(&false) {
            let gain = objective.gain(rows.row(row as usize));
            if gain > 0.0 && gain >= least {
                push(&mut found, (gain.to_bits(), Reverse(row)))?;
            }
        }
    }
    Ok(found)
}
