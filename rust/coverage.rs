//! Lazy greedy maximization of a monotone submodular function over the samples (Minoux 1978); here, tag coverage.
//!
//! `F(S) = sum over tags of w[t] * min(held by S, 1)`. Each pick is the sample that adds most to `F`, the earlier row among
//! equals. When no sample adds a tag, the covered set is emptied and a new round starts. A sample's gain never grows
//! within a round, so an old gain is a bound: only samples whose bound reaches the top are looked at again.
//!
//! Cost: a round looks at a sample when the gains have come down to its bound, and they come down to 1 before the rarest
//! tag is covered: about one pass over the pool a round (some 2,000 picks each at 12,000 tags). Samples enter the heap
//! from one list sorted once: most are worth nothing when they are reached, and never enter it. Walking that list is a
//! cache miss a sample (10 million samples: 1.5 s a round); so when few tags are left that can add anything, the samples
//! that hold them are gathered in memory order, which takes a tenth of that.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use crate::complexity_first::Picks;
use crate::error::{Error, Result};
use crate::rank::Pool;

/// The list is narrowed each time this fraction (1 in so many) of what could add something is left.
const NARROW: usize = 16;

/// What greedy selection maximizes: monotone, submodular, of non-negative gains.
pub trait Objective: Sync {
    /// What a sample with these tags would add now; never more than before in the same round.
    fn gain(&self, tags: &[u32]) -> f64;
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
    left: Vec<usize>, // samples not picked that hold the tag; 0 for a tag of no weight
    open: usize,      // the sum of `left` over tags not covered
}

impl<'a> Coverage<'a> {
    fn new(pool: &Pool<'_>, weights: Option<&'a [f64]>) -> Self {
        let mut left = vec![0usize; pool.rows.size()];
        for row in (0..pool.rows.len()).filter(|&row| pool.holds(row)) {
            for &tag in pool.rows.row(row) {
                if let Some(left) = left.get_mut(tag as usize) {
                    *left += 1;
                }
            }
        }
        for (left, &weight) in left.iter_mut().zip(weights.unwrap_or(&[])) {
            *left = if weight > 0.0 { *left } else { 0 };
        }
        let mut made = Self { weights, covered: vec![false; left.len()], left, open: 0 };
        made.restart();
        made
    }
}

impl Objective for Coverage<'_> {
    fn gain(&self, tags: &[u32]) -> f64 {
        let new = tags.iter().map(|&tag| tag as usize).filter(|&tag| self.covered.get(tag) == Some(&false));
        match self.weights {
            None => new.count() as f64,
            Some(weights) => new.map(|tag| weights.get(tag).copied().unwrap_or(0.0)).sum(),
        }
    }

    fn add(&mut self, tags: &[u32]) -> i64 {
        let mut new = 0;
        for tag in tags.iter().map(|&tag| tag as usize) {
            let (Some(covered), Some(left)) = (self.covered.get_mut(tag), self.left.get_mut(tag)) else { continue };
            if !std::mem::replace(covered, true) {
                new += 1;
                self.open = self.open.saturating_sub(*left);
            }
            *left = left.saturating_sub(1);
        }
        new
    }

    fn open(&self) -> usize {
        self.open
    }

    fn restart(&mut self) {
        self.covered.fill(false);
        self.open = self.left.iter().sum();
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
    // What a sample adds to an empty round: without weights its number of tags, which needs no array.
    let alone: Option<Vec<f64>> = weights.map(|_| {
        let empty = Coverage { weights, covered: vec![false; pool.rows.size()], left: vec![], open: 0 };
        pool.rows.rows().map(|tags| empty.gain(tags)).collect()
    });
    let pool = Pool { complexity: alone.as_deref(), ..*pool };
    lazy_greedy(&pool, &mut Coverage::new(&pool, weights), k)
}

/// Picks `k` samples, each the one of largest gain (ties: the earlier row), in rounds; `pool.complexity` is what a sample
/// adds to an empty round.
fn lazy_greedy(pool: &Pool<'_>, objective: &mut impl Objective, k: usize) -> Result<Picks> {
    let order = pool.ranked(|_| true)?;
    let mut taken = vec![false; pool.rows.len()];
    let mut picks = Picks::default();
    let mut round = 0;
    while picks.rows.len() < k && objective.open() > 0 {
        round += 1;
        let started = picks.rows.len();
        let mut queue = Queue { pool, order: &order, narrowed: None, next: 0, again: BinaryHeap::new() };
        let mut enough = objective.open() / NARROW;
        while picks.rows.len() < k && objective.open() > 0 {
            if objective.open() < enough {
                queue.narrow(objective, &taken);
                enough = objective.open() / NARROW;
            }
            let Some((row, stamp)) = queue.pop() else { break };
            if taken[row as usize] {
                continue;
            }
            let tags = pool.rows.row(row as usize);
            if stamp == Some(picks.rows.len()) {
                taken[row as usize] = true;
                picks.rows.push(pool.number(row as usize));
                picks.rounds.push(round);
                picks.gains.push(objective.add(tags));
                continue;
            }
            let gain = objective.gain(tags);
            if gain > 0.0 {
                queue.again.push(((gain.to_bits(), Reverse(row)), picks.rows.len()));
            }
        }
        if picks.rows.len() == started {
            break;
        }
        objective.restart();
    }
    Ok(picks)
}

/// A bound on a sample's gain, ordered so that the next to look at is the largest: non-negative floats order as their
/// bits do, and among equals the earlier row comes first.
type Bound = (u64, Reverse<u32>);

/// The samples of one round by the bound on their gain.
struct Queue<'a> {
    pool: &'a Pool<'a>,
    order: &'a [u32],                  // the pool by what each sample adds to an empty round
    narrowed: Option<Vec<Bound>>,      // in place of `order`, once few samples can add anything
    next: usize,                       // in the one or the other
    again: BinaryHeap<(Bound, usize)>, // samples looked at, and how many picks there were then
}

impl Queue<'_> {
    /// The sample of the largest bound, and the number of picks at which the bound was its gain.
    fn pop(&mut self) -> Option<(u32, Option<usize>)> {
        let fresh = match &self.narrowed {
            Some(bounds) => bounds.get(self.next).copied(),
            None => self.order.get(self.next).map(|&row| {
                let alone = self.pool.complexity(row as usize);
                (alone.to_bits(), Reverse(row))
            }),
        };
        if fresh > self.again.peek().map(|&(bound, _)| bound) {
            self.next += 1;
            return fresh.map(|(_, Reverse(row))| (row, None));
        }
        self.again.pop().map(|((_, Reverse(row)), stamp)| (row, Some(stamp)))
    }

    /// Keeps only the samples that can still add something, with their gains of now.
    fn narrow(&mut self, objective: &impl Objective, taken: &[bool]) {
        let rows = (0..self.pool.rows.len() as u32).into_par_iter().with_min_len(1 << 16);
        let rows = rows.filter(|&row| !taken[row as usize] && self.pool.holds(row as usize));
        let gains = rows.map(|row| (objective.gain(self.pool.rows.row(row as usize)).to_bits(), Reverse(row)));
        let mut bounds: Vec<Bound> = gains.filter(|&(gain, _)| gain > 0).collect();
        bounds.par_sort_unstable_by(|a, b| b.cmp(a));
        self.narrowed = Some(bounds);
        self.next = 0;
        self.again.clear();
    }
}
