//! Complexity-first diverse sampling (Algorithm 1 of the paper, arXiv 2308.07074) in one pass.
//!
//! The paper goes through the samples, most tags first, admits a sample that adds a tag to a covered set, and empties the
//! set for the next round. Within a round the covered set after any prefix is the union of *all* tags of that prefix
//! (a sample that was not admitted added nothing), so a sample's round can be told at once: with `reached[t]` the
//! highest round of a sample that held `t`, `round = 1 + min over its tags of reached[t]`. The selection is the first
//! `k` samples by (round, rank); a sample's gain is the number of its tags at that minimum.
//!
//! Cost: O(tags in the pool) whatever `k` is; the state is one counter a tag. Once `k` samples lie in rounds up to `r`, later
//! samples count only below `r`, and at `r` = 1 the pass ends. Walking ten million rows in rank order is one cache miss
//! after the other (0.55 of 0.65 s; a bare loop in C that prefetches 24 rows ahead: 0.25 s); so only the most complex 32nd
//! part is ranked at first, and of the rest, read in memory order, those that still hold a tag whose counter is below
//! `r`: few, since long rows lift the counters. What must move is then the offsets three times and the ids once, 420 MB of
//! ten million samples. A million samples, one thread: 10 ms CPU (that loop: 16 ms), a third of it the bytes; it was
//! 30 ms while the rest was looked at row by row, for a branch a row that is mispredicted.
//!
//! Shards: what can be picked from one is told by the counters that the most complex samples of all shards leave behind
//! ([`crate::first_rounds`]).

use rayon::prelude::*;

use crate::csr::Csr;
use crate::error::Result;
use crate::rank::Pool;
use crate::room::{collected, collected_in_parallel, joined, lengthen, push, zeroed};
use crate::row_scan::RowScan;

/// The share of the pool that is ranked before the rest is looked at: 1 in this many.
const HEAD: usize = 32;

/// Rows looked at by a thread at a time.
const BLOCK: usize = 1 << 16;

/// What was picked, in pick order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Picks {
    /// Row numbers.
    pub rows: Vec<i64>,
    /// The round of each pick, from 1.
    pub rounds: Vec<i32>,
    /// The tags each pick added in its round.
    pub gains: Vec<i64>,
}

impl Picks {
    /// One more pick.
    pub(crate) fn push(&mut self, row: u32, round: i32, gain: i64) -> Result<()> {
        push(&mut self.rows, row.into())?;
        push(&mut self.rounds, round)?;
        push(&mut self.gains, gain)
    }
}

/// Picks `k` samples of `pool`; fewer where fewer may be picked.
pub fn complexity_first(pool: &Pool<'_>, k: usize) -> Result<Picks> {
    first(&one_pass(pool, k)?, k)
}

/// A sample that the pass has kept: where it is, and what it would be picked with.
pub(crate) struct Kept {
    pub(crate) row: u32,
    round: u32,
    gain: u32,
}

/// The pass, going on through rows in rank order.
pub(crate) struct Pass<'a> {
    rows: Csr<'a>,
    k: usize,
    pub(crate) reached: Vec<u32>, // the highest round of a sample that held the tag
    pub(crate) kept: Vec<Kept>,   // in rank order
    in_round: Vec<usize>,         // kept samples by round; rounds begin at 1
    pub(crate) end: u32,          // rounds below it count
    total: usize,                 // kept samples of rounds that count
}

impl<'a> Pass<'a> {
    pub(crate) fn new(rows: Csr<'a>, k: usize) -> Result<Self> {
        Ok(Self::from(rows, k, zeroed(rows.size())?, u32::MAX))
    }

    /// Goes on from what other samples have reached.
    pub(crate) fn from(rows: Csr<'a>, k: usize, reached: Vec<u32>, end: u32) -> Self {
        Self { rows, k, reached, kept: Vec::new(), in_round: vec![0], end, total: 0 }
    }

    /// The samples of less than `head` that lie in a round that counts, in memory order.
    fn rest(&self, pool: &Pool<'_>, head: f64) -> Result<Vec<u32>> {
        let counts = collected(self.reached.iter().map(|&reached| reached < self.end - 1))?;
        let blocks = (0..self.rows.len()).into_par_iter().step_by(BLOCK).map(|first| {
            let mut found: Vec<u32> = Vec::new();
            let mut scan = RowScan::new(self.rows, first..(first + BLOCK).min(self.rows.len()));
            while let Some((_, row)) = scan.next(|tag| counts.get(tag as usize) == Some(&true)) {
                if found.last() != Some(&row) && pool.complexity(row as usize) < head && pool.holds(row as usize) {
                    push(&mut found, row)?;
                }
            }
            Ok(found)
        });
        joined(&collected_in_parallel(blocks)?)
    }

    pub(crate) fn run(&mut self, ranked: Vec<u32>) -> Result<()> {
        for row in ranked {
            let tags = self.rows.row(row as usize);
            let low = tags.iter().filter_map(|&tag| self.reached.get(tag as usize).copied()).min().unwrap_or(u32::MAX);
            let round = low.saturating_add(1);
            if round >= self.end {
                continue;
            }
            let mut gain = 0;
            for &tag in tags {
                // All others have reached this round already.
                if let Some(reached) = self.reached.get_mut(tag as usize).filter(|reached| **reached == low) {
                    *reached = round;
                    gain += 1;
                }
            }
            self.keep(Kept { row, round, gain })?;
            if self.end <= 1 {
                break;
            }
        }
        Ok(())
    }

    fn keep(&mut self, sample: Kept) -> Result<()> {
        let round = sample.round as usize;
        push(&mut self.kept, sample)?;
        if round >= self.in_round.len() {
            lengthen(&mut self.in_round, round + 1, 0)?;
        }
        self.in_round[round] += 1;
        self.total += 1;
        if self.total >= self.k {
            // Enough: a later sample is picked only if it lies in a round before the last that is needed.
            self.end = self.end.min(self.in_round.len() as u32);
            while self.total >= self.k && self.end > 1 {
                self.end -= 1;
                self.total -= self.in_round[self.end as usize];
            }
        }
        Ok(())
    }
}

/// The samples, in rank order, that can be among the first `k` by (round, rank).
fn one_pass(pool: &Pool<'_>, k: usize) -> Result<Vec<Kept>> {
    let mut pass = Pass::new(pool.rows, k)?;
    if k == 0 {
        return Ok(pass.kept);
    }
    // There is nothing to leave out before `k` samples are kept.
    let head = pool.head((pool.rows.len() / HEAD).max(k.saturating_mul(2)))?;
    pass.run(pool.ranked(head)?)?;
    if pass.end > 1 && pass.reached.iter().any(|&reached| reached < pass.end - 1) {
        pass.run(pool.in_order(pass.rest(pool, head)?)?)?;
    }
    Ok(pass.kept)
}

/// The first `k` by (round, rank) of samples in rank order.
fn first(kept: &[Kept], k: usize) -> Result<Picks> {
    let mut next = vec![0usize]; // the samples of each round, then where in the order its next one goes
    for sample in kept {
        lengthen(&mut next, sample.round as usize + 1, 0)?;
        next[sample.round as usize] += 1;
    }
    let mut total = 0;
    for next in &mut next {
        total += std::mem::replace(next, total);
    }
    let mut order = zeroed::<u32>(kept.len())?;
    for (at, sample) in (0..).zip(kept) {
        let next = &mut next[sample.round as usize];
        order[*next] = at;
        *next += 1;
    }
    order.truncate(k);
    let picked = || order.iter().map(|&at| &kept[at as usize]);
    Ok(Picks {
        rows: collected(picked().map(|sample| sample.row.into()))?,
        rounds: collected(picked().map(|sample| sample.round as i32))?,
        gains: collected(picked().map(|sample| i64::from(sample.gain)))?,
    })
}
