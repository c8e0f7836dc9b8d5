//! The order that selection goes by: the most complex sample first, the earlier row among equals.
//!
//! Cost: a counting sort by tag count, O(rows); with complexities of the caller's a parallel sort, O(rows log rows).

use rayon::prelude::*;

use crate::csr::Csr;
use crate::error::{Error, Result};
use crate::room::{collected, collected_in_parallel, copied, joined, lengthen, zeroed};

/// Rows looked at by a thread at a time.
const BLOCK: usize = 1 << 16;

/// Samples to pick from. A row holds a tag at most once.
#[derive(Debug, Clone, Copy)]
pub struct Pool<'a> {
    /// The samples' tags.
    pub rows: Csr<'a>,
    /// What to rank by in place of the number of tags; finite.
    pub complexity: Option<&'a [f64]>,
    /// Not 0 where the row may be picked; by default everywhere.
    pub eligible: Option<&'a [u8]>,
}

impl<'a> Pool<'a> {
    /// All of `rows`, ranked by their number of tags.
    pub fn of(rows: Csr<'a>) -> Self {
        Self { rows, complexity: None, eligible: None }
    }

    /// Whether the row may be picked: it is eligible, and holds a tag.
    pub fn holds(&self, row: usize) -> bool {
        !self.rows.row(row).is_empty() && self.eligible.is_none_or(|mask| mask.get(row).is_some_and(|&on| on != 0))
    }

    /// What a row is ranked by.
    pub fn complexity(&self, row: usize) -> f64 {
        self.complexity.and_then(|c| c.get(row).copied()).unwrap_or(self.rows.row(row).len() as f64)
    }

    /// The rows that may be picked and whose complexity reaches `least`, by complexity descending, then by row.
    pub fn ranked(&self, least: f64) -> Result<Vec<u32>> {
        self.check()?;
        let blocks = (0..self.rows.len()).into_par_iter().step_by(BLOCK).map(|first| {
            let bounds = self.rows.offsets().get(first..(first + BLOCK + 1).min(self.rows.len() + 1)).unwrap_or(&[]);
            let lengths = (first..).zip(bounds.windows(2).map(|bounds| bounds[1].wrapping_sub(bounds[0]) as f64));
            let known = self.complexity.map(|complexity| &complexity[first..]);
            let reaches = |&(row, length): &(usize, f64)| {
                known.map_or(length, |known| known.get(row - first).copied().unwrap_or(length)) >= least
            };
            let rows = lengths.filter(reaches).map(|(row, _)| row).filter(|&row| self.holds(row));
            collected(rows.map(|row| row as u32))
        });
        self.in_order(joined(&collected_in_parallel(blocks)?)?)
    }

    /// `rows`, which rise, by complexity descending, then by row.
    pub fn in_order(&self, rows: Vec<u32>) -> Result<Vec<u32>> {
        self.check()?;
        if self.complexity.is_none() {
            return self.by_length(&rows);
        }
        // One integer a row whose order is the rank's: the bits of the complexity, so turned that larger comes first.
        let key = |row: u32| (descending(self.complexity(row as usize)), row);
        let mut keys = collected(rows.into_iter().map(key))?;
        keys.par_sort_unstable();
        collected(keys.iter().map(|&(_, row)| row))
    }

    /// A complexity that at least `count` rows reach, where there are as many: about the largest such.
    pub fn head(&self, count: usize) -> Result<f64> {
        self.check()?;
        if count >= self.rows.len() {
            return Ok(f64::NEG_INFINITY);
        }
        if let Some(values) = self.complexity {
            let mut values = copied(values)?;
            return Ok(*values.select_nth_unstable_by(count, |a, b| b.total_cmp(a)).1);
        }
        let blocks = (0..self.rows.len()).into_par_iter().step_by(BLOCK).map(|first| {
            let bounds = self.rows.offsets().get(first..(first + BLOCK + 1).min(self.rows.len() + 1)).unwrap_or(&[]);
            let mut of_length: Vec<usize> = Vec::new();
            for length in bounds.windows(2).map(|bounds| bounds[1].wrapping_sub(bounds[0]) as usize) {
                if length >= of_length.len() {
                    lengthen(&mut of_length, length.min(self.rows.ids().len()) + 1, 0)?;
                }
                if let Some(count) = of_length.get_mut(length) {
                    *count += 1;
                }
            }
            Ok::<_, Error>(of_length)
        });
        let added = |mut sum: Vec<usize>, mut part: Vec<usize>| {
            if sum.len() < part.len() {
                std::mem::swap(&mut sum, &mut part);
            }
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            Ok(sum)
        };
        let of_length = blocks.try_reduce(Vec::new, added)?;
        let mut reached = 0;
        let longest = (0..of_length.len()).rev().find(|&length| {
            reached += of_length[length];
            reached >= count
        });
        Ok(longest.unwrap_or(0) as f64)
    }

    /// That there is one of everything a row, and that what is ranked by is finite.
    pub(crate) fn check(&self) -> Result<()> {
        let expected = self.rows.len();
        let lengths = [
            ("complexity", self.complexity.map_or(expected, <[_]>::len)),
            ("eligible", self.eligible.map_or(expected, <[_]>::len)),
        ];
        if let Some(&(name, found)) = lengths.iter().find(|(_, found)| *found != expected) {
            return Err(Error::Length { name, found, expected });
        }
        if let Some(row) = self.complexity.and_then(|values| values.iter().position(|value| !value.is_finite())) {
            let reason = format!("must be finite, but row {row} has {}", self.complexity(row));
            return Err(Error::Setting { name: "complexity", reason });
        }
        if expected > i32::MAX as usize {
            let what = format!("{expected} rows in one pool, at most 2^31 - 1 are taken");
            return Err(Error::Limit { what, hint: "select from shards and merge them".into() });
        }
        Ok(())
    }

    /// `rows`, which rise, by number of tags descending.
    fn by_length(&self, rows: &[u32]) -> Result<Vec<u32>> {
        let mut starts: Vec<usize> = Vec::new(); // first the number of rows of each length, then where they start
        for &row in rows {
            let length = self.rows.row(row as usize).len();
            if length >= starts.len() {
                lengthen(&mut starts, length + 1, 0)?;
            }
            starts[length] += 1;
        }
        let mut total = 0;
        for start in starts.iter_mut().rev() {
            total += std::mem::replace(start, total);
        }
        let mut ranked = zeroed(total)?;
        for &row in rows {
            let Some(next) = starts.get_mut(self.rows.row(row as usize).len()) else { continue };
            if let Some(slot) = ranked.get_mut(*next) {
                *slot = row;
                *next += 1;
            }
        }
        Ok(ranked)
    }
}

/// The first `k` rows that may be picked, by complexity descending, then by row: tag count alone, no diversity.
pub fn most_complex(pool: &Pool<'_>, k: usize) -> Result<Vec<i64>> {
    collected(pool.ranked(f64::NEG_INFINITY)?.into_iter().take(k).map(i64::from))
}

/// Bits whose order as integers is the reverse of the order of finite floats; -0.0 and 0.0 are one.
fn descending(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { bits } else { !bits & !(1 << 63) }
}
