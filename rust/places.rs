//! A database of rows as one array of ranks, with an index of the places of each rank.
//!
//! Rows are descending, so that what stands behind a rank in its row is the rank's conditional row, and walking it is
//! reading an array. Long rows stand at the end, and can be searched as well as read. Cost: 4 bytes a place for the rows,
//! 4 for the index; two passes to build.

use crate::csr::Csr;
use crate::error::Result;
use crate::room::{copied, extend, filled, more, push, reserved, zeroed};

/// Marks the last rank of a row.
pub(crate) const END: u32 = 1 << 31;
/// A row longer than this can be searched.
const LONG_ROW: usize = 64;

/// Rows of ranks below [`END`], descending, one after another, the last rank of each marked.
pub(crate) struct Places {
    rows: Vec<u32>,
    /// For each rank, where it stands with a smaller one behind it: `index[starts[r]..starts[r + 1]]`, ascending.
    starts: Vec<u32>,
    index: Vec<u32>,
    /// Where the long rows end, ascending in length, and where the first of them starts.
    long_ends: Vec<u32>,
    long_from: u32,
}

/// What stands behind a place of a long row.
pub(crate) struct Long<'a>(&'a [u32]);

impl Long<'_> {
    /// Calls `visit` with each of `wanted` in the row: by search in the order of `wanted`, or by reading the row, which
    /// then visits others, too.
    pub(crate) fn visit(&self, wanted: &[u32], mut visit: impl FnMut(u32)) {
        if wanted.len() * 16 < self.0.len() {
            let found = |tag: &u32| self.0.binary_search_by(|other| tag.cmp(&(other & !END))).is_ok();
            wanted.iter().copied().filter(found).for_each(visit);
        } else {
            self.0.iter().for_each(|rank| visit(rank & !END));
        }
    }
}

impl Places {
    /// Indexes rows of ranks below `size`, none of them long.
    pub(crate) fn new(rows: Vec<u32>, size: usize) -> Result<Self> {
        let mut starts = zeroed::<u32>(size + 1)?;
        for &rank in rows.iter().filter(|&&rank| rank & END == 0) {
            starts[rank as usize + 1] += 1;
        }
        for rank in 0..size {
            starts[rank + 1] += starts[rank];
        }
        let mut next = copied(&starts)?;
        let mut index = zeroed(starts[size] as usize)?;
        for (place, &rank) in (0..).zip(&rows).filter(|(_, rank)| *rank & END == 0) {
            index[next[rank as usize] as usize] = place;
            next[rank as usize] += 1;
        }
        Ok(Self { rows, starts, index, long_ends: Vec::new(), long_from: u32::MAX })
    }

    /// The rows of a table cut down to `tags`, whose ranks are their places there; rows of fewer than two say nothing.
    pub(crate) fn root(table: Csr<'_>, tags: &[u32]) -> Result<Self> {
        let mut rank_of = filled(table.size(), u32::MAX)?;
        for (rank, &tag) in (0..).zip(tags) {
            rank_of[tag as usize] = rank;
        }
        let mut rows = reserved(table.ids().len())?;
        let mut long: Vec<Vec<u32>> = Vec::new();
        let mut kept: Vec<u32> = Vec::new();
        for row in table.rows() {
            kept.clear();
            more(&mut kept, row.len())?;
            kept.extend(row.iter().filter_map(|&tag| rank_of.get(tag as usize)).filter(|&&rank| rank < END));
            kept.sort_unstable_by(|a, b| b.cmp(a));
            kept.dedup();
            if let [_, .., last] = &mut kept[..] {
                *last |= END;
                if kept.len() > LONG_ROW {
                    push(&mut long, copied(&kept)?)?;
                } else {
                    extend(&mut rows, &kept)?;
                }
            }
        }
        long.sort_unstable_by_key(Vec::len);
        let long_from = rows.len() as u32;
        let mut long_ends = reserved(long.len())?;
        for row in &long {
            extend(&mut rows, row)?;
            long_ends.push(rows.len() as u32);
        }
        Ok(Self { long_ends, long_from, ..Self::new(rows, tags.len())? })
    }

    /// The places of a rank, those in long rows last.
    pub(crate) fn of(&self, rank: u32) -> &[u32] {
        &self.index[self.starts[rank as usize] as usize..self.starts[rank as usize + 1] as usize]
    }

    /// Calls `visit` with the smaller ranks behind a place, descending.
    pub(crate) fn behind(&self, place: u32, mut visit: impl FnMut(u32)) {
        for &rank in &self.rows[place as usize + 1..] {
            visit(rank & !END);
            if rank & END != 0 {
                break;
            }
        }
    }

    /// What is behind a place of a long row; `None` where the row is not long.
    pub(crate) fn long_behind(&self, place: u32) -> Option<Long<'_>> {
        if place < self.long_from {
            return None;
        }
        let &end = self.long_ends.get(self.long_ends.partition_point(|&end| end <= place))?;
        self.rows.get(place as usize + 1..end as usize).map(Long)
    }
}
