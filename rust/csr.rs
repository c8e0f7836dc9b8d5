//! Ragged rows of tag ids, borrowed: the shape every kernel reads; and what makes rows from rows.
//!
//! What makes rows reads 4 bytes an id and 8 a row and writes as much; for each id it looks up the new id and the last
//! row that held that one, 4 bytes each at random in arrays of the size of the vocabularies, which the caches hold.
//! Measured, 9 million ids in 2 million rows, one thread, ns an id: counting 1.6 (2.1 over 661,000 tags; the plain loop
//! 2.9 and 3.7), renaming 3.6 - 5 (5 - 7.3), of which half is the memory of the result being made.
//! What bought it: stamps and counts of 32 bits in one word; no loop a row, whose end is mispredicted (see `each_id`);
//! one pass that writes where rows would start if none before them shrank, then parts moved together, instead of
//! counting first; threads with parts of the rows; and huge pages for the result (memory.rs), which took a third.
//! Not tried further: looking back over the row instead of stamps, which costs the mispredictions again.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::room::{collected, collected_in_parallel, reserved, zeroed};

/// Rows of ids over a vocabulary: row `r` is `ids[offsets[r]..offsets[r + 1]]`.
#[derive(Debug, Clone, Copy)]
pub struct Csr<'a> {
    offsets: &'a [i64],
    ids: &'a [u32],
    size: usize,
}

/// Rows of ids, owned: what a kernel that makes rows gives back, as (`offsets`, `ids`).
pub type Rows = (Vec<i64>, Vec<u32>);

impl<'a> Csr<'a> {
    /// Checks `offsets` (starts at 0, never decreases, ends at `ids.len()`) and every id (below `size`), in one pass.
    pub fn new(offsets: &'a [i64], ids: &'a [u32], size: usize) -> Result<Self> {
        check_size(size)?;
        if offsets.first() != Some(&0) {
            return Err(Error::Offsets { row: 0, found: format!("starts at {:?}, must start at 0", offsets.first()) });
        }
        if let Some(row) = offsets.windows(2).position(|w| w[1] < w[0]) {
            let found = format!("goes from {} back to {}", offsets[row], offsets[row + 1]);
            return Err(Error::Offsets { row, found });
        }
        let last = offsets[offsets.len() - 1];
        if last != ids.len() as i64 {
            let found = format!("ends at {last}, but there are {} ids", ids.len());
            return Err(Error::Offsets { row: offsets.len() - 1, found });
        }
        // First whether there is any: a branchless pass that the compiler vectorizes; the search for it is the rare case.
        let outside = |part: &[u32]| part.iter().fold(0, |any, &id| any | u32::from(id >= size as u32)) > 0;
        if ids.par_chunks(MIN_PART).any(outside) {
            let at = ids.iter().position(|&id| id as usize >= size).unwrap_or(0);
            let row = offsets.partition_point(|&o| o <= at as i64) - 1;
            return Err(Error::Id { row, id: ids[at], size });
        }
        Ok(Self { offsets, ids, size })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of the vocabulary: every id is below it.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bounds of the rows in [`Csr::ids`].
    pub fn offsets(&self) -> &'a [i64] {
        self.offsets
    }

    /// All ids, row after row.
    pub fn ids(&self) -> &'a [u32] {
        self.ids
    }

    /// The ids of one row; empty where the arrays were changed behind our back and no longer agree.
    pub fn row(&self, row: usize) -> &'a [u32] {
        let (start, end) = (self.offsets[row] as usize, self.offsets[row + 1] as usize);
        self.ids.get(start..end).unwrap_or(&[])
    }

    /// Every row, in order.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u32]> + '_ {
        (0..self.len()).map(|row| self.row(row))
    }
}

/// Refuses a vocabulary that ids cannot number, before anything of its size is made.
pub fn check_size(size: usize) -> Result<()> {
    if size > u32::MAX as usize {
        let what = format!("a vocabulary of {size} tags is more than 32-bit ids can number");
        return Err(Error::Limit { what, hint: "drop rare tags first".into() });
    }
    Ok(())
}

/// An id that `remap` drops.
pub const DROPPED: u32 = u32::MAX;

/// How many rows hold each id (a repeat within a row counts once): the document frequency, `size` entries. O(ids).
pub fn tag_counts(rows: Csr<'_>) -> Result<Vec<i64>> {
    counted(rows, rows.size(), |id| id)
}

/// [`tag_counts`] of the rows that [`remap`] would make, without making them. O(ids).
pub fn renamed_counts(rows: Csr<'_>, into: &[u32], size: usize) -> Result<Vec<i64>> {
    check_into(rows, into, size)?;
    counted(rows, size, |id| into.get(id as usize).copied().unwrap_or(DROPPED))
}

/// Replaces each id by `into[id]`, drops [`DROPPED`] ones, keeps the first of equal ids in a row. O(ids).
///
/// `size` is the size of the new vocabulary: every entry of `into` is below it or [`DROPPED`].
pub fn remap(rows: Csr<'_>, into: &[u32], size: usize) -> Result<Rows> {
    check_into(rows, into, size)?;
    rewritten(rows.offsets, rows.ids, size, |id| into.get(id as usize).copied().unwrap_or(DROPPED))
}

/// The union of neighbouring rows: group `g` is rows `groups[g]..groups[g + 1]`, first occurrences in order. O(ids).
pub fn union_rows(rows: Csr<'_>, groups: &[i64]) -> Result<Rows> {
    if groups.first() != Some(&0)
        || groups.last() != Some(&(rows.len() as i64))
        || groups.windows(2).any(|w| w[1] < w[0])
    {
        let reason = format!("must rise from 0 to the number of rows, {}", rows.len());
        return Err(Error::Setting { name: "groups", reason });
    }
    let offsets = collected(groups.iter().map(|&row| rows.offsets.get(row as usize).copied().unwrap_or(0)))?;
    rewritten(&offsets, rows.ids, rows.size(), |id| id)
}

/// The rows of these numbers, in this order; a row may be taken more than once. O(ids taken).
pub fn take(offsets: &[i64], ids: &[u32], rows: &[i64]) -> Result<Rows> {
    let row = |row: i64| {
        let at = usize::try_from(row).ok()?;
        ids.get(*offsets.get(at)? as usize..*offsets.get(at.checked_add(1)?)? as usize)
    };
    let outside = |row: i64| Error::Setting {
        name: "rows",
        reason: format!("are numbered from 0 to {}, {row} was asked for", offsets.len() as i64 - 2),
    };
    let mut taken_offsets = reserved(rows.len() + 1)?;
    let mut end = 0;
    taken_offsets.push(0);
    for &at in rows {
        end += row(at).ok_or_else(|| outside(at))?.len();
        taken_offsets.push(end as i64);
    }
    let mut taken = reserved(end)?;
    rows.iter().filter_map(|&at| row(at)).for_each(|ids| taken.extend_from_slice(ids));
    Ok((taken_offsets, taken))
}

pub(crate) fn check_into(rows: Csr<'_>, into: &[u32], size: usize) -> Result<()> {
    check_size(size)?;
    if into.len() != rows.size() {
        return Err(Error::Length { name: "into", found: into.len(), expected: rows.size() });
    }
    if let Some(old) = into.iter().position(|&new| new != DROPPED && new as usize >= size) {
        let reason = format!("sends id {old} to {}, but the new vocabulary has {size} tags", into[old]);
        return Err(Error::Setting { name: "into", reason });
    }
    Ok(())
}

/// Ids worked on at a time: what is noted of each stays in the first-level cache.
const BLOCK: usize = 1 << 10;
/// Fewer ids and rows are not worth a thread.
const MIN_PART: usize = 1 << 17;
/// More rows than this could not be told apart by 32 bits.
const MAX_PART: usize = 1 << 31;

/// Rows for one thread: where each starts (counted over all parts), and their ids, which start at `base`.
struct Part<'a> {
    starts: &'a [i64],
    base: i64,
    ids: &'a [u32],
}

/// Neighbouring rows in parts of about equal work, one a thread.
fn parts<'a>(offsets: &'a [i64], ids: &'a [u32]) -> Vec<Part<'a>> {
    let rows = offsets.len() - 1;
    let work = rows + ids.len();
    let count = rayon::current_num_threads().clamp(1, work / MIN_PART + 1).max(work / MAX_PART + 1);
    let mut left = (0, 0);
    let mut made = Vec::with_capacity(count);
    for at in 1..=count {
        let target = (work as u128 * at as u128 / count as u128) as usize;
        let row = if at == count { rows } else { split_row(offsets, target).max(left.0) };
        let id = if at == count { ids.len() } else { (offsets[row] as usize).clamp(left.1, ids.len()) };
        made.push(Part { starts: &offsets[left.0..row], base: left.1 as i64, ids: &ids[left.1..id] });
        left = (row, id);
    }
    made
}

/// The first row before which there are at least `work` rows and ids.
fn split_row(offsets: &[i64], work: usize) -> usize {
    let (mut low, mut high) = (0, offsets.len() - 1);
    while low < high {
        let middle = usize::midpoint(low, high);
        if (offsets[middle] as usize).saturating_add(middle) < work { low = middle + 1 } else { high = middle }
    }
    low
}

impl Part<'_> {
    /// Calls `take(id, row)` for every id in order, rows being numbered from 1, and `start(row, before)` for every row
    /// in order, numbered from 0: `before` is what `take` returned for the last id before the row.
    ///
    /// Without a branch a row, which would be mispredicted as often as rows differ in length: the starts of rows are
    /// marked in a block of ids, and summed up as it is read.
    fn each_id(&self, mut take: impl FnMut(u32, u32) -> usize, mut start: impl FnMut(usize, usize)) {
        let (mut marks, mut before) = ([0u32; BLOCK], [0usize; BLOCK]);
        let (mut row, mut number, mut kept) = (0, 0u32, 0);
        let mut base = self.base;
        for ids in self.ids.chunks(BLOCK) {
            let first = row;
            marks.fill(0);
            while let Some(&at) = self.starts.get(row).filter(|&&at| at < base + ids.len() as i64) {
                if let Some(mark) = marks.get_mut(at.wrapping_sub(base) as usize) {
                    *mark += 1;
                }
                row += 1;
            }
            for ((&id, &mark), before) in ids.iter().zip(&marks).zip(&mut before) {
                number = number.wrapping_add(mark);
                *before = kept;
                kept = take(id, number);
            }
            for (row, &at) in (first..row).zip(&self.starts[first..row]) {
                start(row, before.get(at.wrapping_sub(base) as usize).copied().unwrap_or(kept));
            }
            base += ids.len() as i64;
        }
        (row..self.starts.len()).for_each(|row| start(row, kept)); // empty rows at the end
    }
}

/// How many rows hold each of the ids that `rename` gives; those outside `size` are left out.
fn counted(rows: Csr<'_>, size: usize, rename: impl Fn(u32) -> u32 + Sync) -> Result<Vec<i64>> {
    let count = |part: Part<'_>| {
        let mut cells = zeroed::<u64>(size + 1)?; // the last row that held it, the number of rows
        part.each_id(
            |id, row| {
                let at = (rename(id) as usize).min(size);
                let cell = cells[at];
                cells[at] = (u64::from(row) << 32) | (u64::from(cell as u32) + u64::from((cell >> 32) as u32 != row));
                0
            },
            |_, _| {},
        );
        Ok(cells)
    };
    let parts = collected_in_parallel(parts(rows.offsets, rows.ids).into_par_iter().map(count))?;
    let mut counts = zeroed(size)?;
    for part in parts {
        for (count, cell) in counts.iter_mut().zip(part) {
            *count += i64::from(cell as u32);
        }
    }
    Ok(counts)
}

/// The rows that start at `offsets`, with ids that `rename` gives; those outside `size` are dropped.
fn rewritten(offsets: &[i64], ids: &[u32], size: usize, rename: impl Fn(u32) -> u32 + Sync) -> Result<Rows> {
    let mut new_ids = zeroed(ids.len())?;
    let mut new_offsets = zeroed(offsets.len())?;
    // Every part writes where its rows would start if nothing were dropped; then the parts are moved together.
    let (mut places, mut rows_left, mut ids_left) = (Vec::new(), new_offsets.as_mut_slice(), new_ids.as_mut_slice());
    for part in parts(offsets, ids) {
        let (rows, after_rows) = rows_left.split_at_mut(part.starts.len());
        let (ids, after_ids) = ids_left.split_at_mut(part.ids.len());
        places.push((part, rows, ids));
        (rows_left, ids_left) = (after_rows, after_ids);
    }
    let sizes: Vec<(usize, usize, usize)> = places
        .into_par_iter()
        .map(|(part, new_starts, new_ids)| {
            let mut seen_in = zeroed::<u32>(size + 1)?; // the last row that held it
            let mut kept = 0;
            part.each_id(
                |id, row| {
                    let new = rename(id);
                    let last = &mut seen_in[(new as usize).min(size)];
                    new_ids[kept] = new;
                    kept += usize::from(*last != row) & usize::from((new as usize) < size);
                    *last = row;
                    kept
                },
                |row, before| new_starts[row] = before as i64,
            );
            Ok((part.starts.len(), part.ids.len(), kept))
        })
        .collect::<Result<_>>()?;

    let (mut row, mut from, mut to) = (0, 0, 0);
    for (rows, ids, kept) in sizes {
        if to > 0 {
            new_offsets[row..row + rows].par_iter_mut().for_each(|start| *start += to as i64);
        }
        if to < from {
            new_ids.copy_within(from..from + kept, to);
        }
        (row, from, to) = (row + rows, from + ids, to + kept);
    }
    new_offsets[row] = to as i64;
    new_ids.truncate(to);
    new_ids.shrink_to_fit();
    Ok((new_offsets, new_ids))
}
