//! Which samples of a shard complexity-first sampling may pick: few, told from its rows as they are stored.
//!
//! In rank order (complexity descending, then row) the samples ahead of a [`Cut`] are the beginning of the pass
//! ([`crate::complexity_first`]), so the counters it leaves behind are the pool's own ([`reached`]). Of the others only
//! samples of a round that still counts can be picked. A round told from those counters and some of the samples that
//! rank before is a lower bound, so each shard leaves out by itself what lies beyond. The selection is that of the samples
//! kept, wherever the cut is.
//!
//! Cost: two walks over a shard's stored rows, one over the offsets, one over the ids (see [`RowScan`]); only rows that may
//! be kept are renamed. Ten million samples in ten shards, k = 100,000: 0.2 s CPU; with renaming every row and
//! keeping rounds up to a guess, shard after shard: 1.8 s, of which 0.6 were for renaming, and most for copying and sorting
//! samples (one in five of a shard lay in the 21 rounds guessed, where the pool needs 15).

use rayon::prelude::*;

use crate::complexity_first::Pass;
use crate::csr::{Csr, Rows, check_into, remap, take};
use crate::error::{Error, Result};
use crate::rank::Pool;
use crate::room::{collected, collected_in_parallel, copied, push, reserved};
use crate::row_scan::RowScan;

/// Rows looked at by a thread at a time.
const BLOCK: usize = 1 << 16;

/// Rows of one shard, as they are stored, and what they are in the pool.
#[derive(Debug, Clone, Copy)]
pub struct Shard<'a> {
    /// Rows of ids of the shard's own; a row may hold one twice, or two that are one in the pool.
    pub rows: Csr<'a>,
    /// The id in the pool of each of them, or [`crate::csr::DROPPED`].
    pub into: &'a [u32],
    /// The size of the pool's vocabulary.
    pub size: usize,
    /// What to rank by in place of the number of tags; finite.
    pub complexity: Option<&'a [f64]>,
    /// Not 0 where the row may be picked; by default everywhere.
    pub eligible: Option<&'a [u8]>,
    /// The number in the pool of the first row.
    pub first: i64,
}

/// A place in the rank order.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    /// Samples of larger complexity are ahead of it,
    pub complexity: f64,
    /// and those of equal complexity whose number is below this.
    pub number: i64,
}

impl Cut {
    #[allow(clippy::float_cmp, reason = "ranks are equal or they are not")]
    fn follows(&self, complexity: f64, number: i64) -> bool {
        complexity > self.complexity || (complexity == self.complexity && number < self.number)
    }
}

/// Samples of a shard: their numbers in the pool, ascending, and their tags there.
pub type Samples = (Vec<i64>, Rows);

/// How far the pass comes with the samples of `pool`: the highest round reached by a sample of each tag, and the round
/// from which on samples do not count, since `k` lie before.
pub fn reached(pool: &Pool<'_>, k: usize) -> Result<(Vec<u32>, u32)> {
    let mut pass = Pass::new(pool.rows, k)?;
    pass.run(pool.ranked(f64::NEG_INFINITY)?)?;
    Ok((pass.reached, pass.end))
}

impl Shard<'_> {
    /// The samples ahead of `cut`.
    pub fn ahead(&self, cut: Cut) -> Result<Samples> {
        self.check()?;
        let blocks = (0..self.rows.len()).into_par_iter().step_by(BLOCK).map(|first| {
            let rows = first..(first + BLOCK).min(self.rows.len());
            // A row has no more tags than are stored.
            let most = |row: usize| self.complexity(row).unwrap_or(self.rows.row(row).len() as f64);
            collected(rows.filter(|&row| most(row) >= cut.complexity && self.is_eligible(row)))
        });
        self.kept(&collected_in_parallel(blocks)?, |complexity, number| cut.follows(complexity, number))
    }

    /// The samples that are not ahead of `cut`, and can lie in a round before `end` where those that are reach `reached`.
    pub fn behind(&self, cut: Cut, reached: &[u32], end: u32) -> Result<Samples> {
        self.check()?;
        let (found, expected) = (reached.len(), self.size);
        if found != expected {
            return Err(Error::Length { name: "reached", found, expected });
        }
        let last = end.saturating_sub(1);
        let open = |&tag: &u32| reached.get(tag as usize).is_some_and(|&reached| reached < last);
        let wanted = collected(self.into.iter().map(open))?;
        let blocks = (0..self.rows.len()).into_par_iter().step_by(BLOCK).map(|first| {
            let mut rows: Vec<usize> = Vec::new();
            let mut scan = RowScan::new(self.rows, first..(first + BLOCK).min(self.rows.len()));
            while let Some((_, row)) = scan.next(|tag| wanted.get(tag as usize) == Some(&true)) {
                let row = row as usize;
                if rows.last() != Some(&row) && self.is_eligible(row) {
                    push(&mut rows, row)?;
                }
            }
            Ok(rows)
        });
        let (numbers, (offsets, ids)) =
            self.kept(&collected_in_parallel(blocks)?, |complexity, number| !cut.follows(complexity, number))?;
        let own = numbers.iter().map(|number| self.complexity((number - self.first) as usize).unwrap_or(0.0));
        let complexity = self.complexity.map(|_| collected(own)).transpose()?;
        let rows = Csr::new(&offsets, &ids, self.size)?;
        let pool = Pool { complexity: complexity.as_deref(), ..Pool::of(rows) };
        let mut pass = Pass::from(rows, usize::MAX, copied(reached)?, end);
        pass.run(pool.ranked(f64::NEG_INFINITY)?)?;
        let mut kept = collected(pass.kept.iter().map(|sample| i64::from(sample.row)))?;
        kept.sort_unstable();
        let rows = take(&offsets, &ids, &kept)?;
        Ok((collected(kept.into_iter().filter_map(|row| numbers.get(row as usize).copied()))?, rows))
    }

    fn check(&self) -> Result<()> {
        check_into(self.rows, self.into, self.size)?;
        Pool { complexity: self.complexity, eligible: self.eligible, ..Pool::of(self.rows) }.check()
    }

    fn complexity(&self, row: usize) -> Option<f64> {
        self.complexity.and_then(|values| values.get(row).copied())
    }

    fn is_eligible(&self, row: usize) -> bool {
        self.eligible.is_none_or(|mask| mask.get(row).is_some_and(|&on| on != 0))
    }

    /// Those of `rows` that hold a tag of the pool, and are wanted for their (complexity, number).
    fn kept(&self, rows: &[Vec<usize>], wanted: impl Fn(f64, i64) -> bool) -> Result<Samples> {
        let rows = collected(rows.iter().flatten().map(|&row| row as i64))?;
        let (offsets, ids) = take(self.rows.offsets(), self.rows.ids(), &rows)?;
        let (offsets, mut ids) = remap(Csr::new(&offsets, &ids, self.into.len())?, self.into, self.size)?;
        let (mut numbers, mut ends, mut end) = (reserved(rows.len())?, reserved(offsets.len())?, 0);
        ends.push(0);
        for (row, bounds) in rows.into_iter().zip(offsets.windows(2)) {
            let tags = bounds[0] as usize..bounds[1] as usize;
            let (length, number) = (tags.len(), self.first.saturating_add(row));
            if length > 0 && wanted(self.complexity(row as usize).unwrap_or(length as f64), number) {
                numbers.push(number);
                ids.copy_within(tags, end);
                end += length;
                ends.push(end as i64);
            }
        }
        ids.truncate(end);
        Ok((numbers, (ends, ids)))
    }
}
