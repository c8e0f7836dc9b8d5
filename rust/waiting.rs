//! Samples that wait to be looked at again, by the gain they had when they were: the largest first, the earlier row among
//! equals. Gains that are whole numbers have a bucket each, weighted ones are in a heap.
//!
//! Cost: O(1) a sample in a bucket, which is sorted once, when it is reached; O(log waiting) in the heap.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::error::Result;
use crate::rank::Pool;
use crate::room::{joined, lengthen, no_room, push};

/// A bound on a sample's gain, ordered so that the next to look at is the largest: non-negative floats order as their
/// bits do, and among equals the earlier row comes first.
pub(crate) type Bound = (u64, Reverse<u32>);

/// What a sample adds to an empty round.
pub(crate) fn bound(pool: &Pool<'_>, row: u32) -> Bound {
    (pool.complexity(row as usize).to_bits(), Reverse(row))
}

/// Samples that were looked at, with the gains they had then.
pub(crate) trait Waiting {
    fn len(&self) -> usize;
    fn push(&mut self, bound: Bound) -> Result<()>;
    /// Takes the largest bound where it is above `fresh`, which never grows between calls.
    fn pop_above(&mut self, fresh: Option<Bound>) -> Option<Bound>;
    /// Forgets all, and begins with `bounds`, in whatever order.
    fn refill(&mut self, bounds: &[Vec<Bound>]) -> Result<()>;
}

impl Waiting for BinaryHeap<Bound> {
    fn len(&self) -> usize {
        self.len()
    }

    fn push(&mut self, bound: Bound) -> Result<()> {
        self.try_reserve(1).map_err(|_| no_room::<Bound>(self.len() + 1))?;
        self.push(bound);
        Ok(())
    }

    fn pop_above(&mut self, fresh: Option<Bound>) -> Option<Bound> {
        if self.peek().copied() > fresh { self.pop() } else { None }
    }

    fn refill(&mut self, bounds: &[Vec<Bound>]) -> Result<()> {
        *self = joined(bounds)?.into();
        Ok(())
    }
}

/// Samples by a gain that is a whole number. What is pushed lies below what was popped, so buckets are reached one after
/// the other, and each is sorted once.
#[derive(Default)]
pub(crate) struct Buckets {
    rows: Vec<Vec<u32>>, // by gain; from `level` on, the earliest row last
    level: usize,
    len: usize,
}

impl Waiting for Buckets {
    fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, (gain, Reverse(row)): Bound) -> Result<()> {
        let gain = f64::from_bits(gain) as usize;
        if gain >= self.rows.len() {
            lengthen(&mut self.rows, gain + 1, Vec::new())?;
            self.level = self.rows.len();
        }
        push(&mut self.rows[gain], row)?;
        self.len += 1;
        Ok(())
    }

    fn pop_above(&mut self, fresh: Option<Bound>) -> Option<Bound> {
        let floor = fresh.map_or(1, |(gain, _)| f64::from_bits(gain) as usize);
        while self.level > floor && self.rows.get(self.level).is_none_or(Vec::is_empty) {
            self.level -= 1;
            if let Some(rows) = self.rows.get_mut(self.level) {
                rows.sort_unstable_by(|a, b| b.cmp(a));
            }
        }
        let rows = self.rows.get_mut(self.level)?;
        let bound = ((self.level as f64).to_bits(), Reverse(*rows.last()?));
        if fresh > Some(bound) {
            return None;
        }
        rows.pop();
        self.len -= 1;
        Some(bound)
    }

    fn refill(&mut self, bounds: &[Vec<Bound>]) -> Result<()> {
        self.rows.iter_mut().for_each(Vec::clear);
        (self.level, self.len) = (self.rows.len(), 0);
        bounds.iter().flatten().try_for_each(|&bound| self.push(bound))
    }
}
