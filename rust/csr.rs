//! Ragged rows of tag ids, borrowed: the shape every kernel reads.

use crate::error::{Error, Result};

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
        // The maximum first: a branchless pass that the compiler vectorizes; the search for the culprit is the rare case.
        if ids.iter().copied().max().is_some_and(|top| top as usize >= size) {
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

/// How many rows hold each id (a repeat within a row counts once): the document frequency, `size` entries. O(ids).
pub fn tag_counts(rows: Csr<'_>) -> Vec<i64> {
    let mut counts = vec![0i64; rows.size()];
    let mut seen_in = vec![usize::MAX; rows.size()];
    for (at, row) in rows.rows().enumerate() {
        for &id in row {
            let Some(last) = seen_in.get_mut(id as usize) else { continue };
            if *last != at {
                *last = at;
                counts[id as usize] += 1;
            }
        }
    }
    counts
}

/// An id that `remap` drops.
pub const DROPPED: u32 = u32::MAX;

/// Replaces each id by `into[id]`, drops [`DROPPED`] ones, keeps the first of equal ids in a row. O(ids).
///
/// `size` is the size of the new vocabulary: every entry of `into` is below it or [`DROPPED`].
pub fn remap(rows: Csr<'_>, into: &[u32], size: usize) -> Result<Rows> {
    check_size(size)?;
    if into.len() != rows.size() {
        return Err(Error::Length { name: "into", found: into.len(), expected: rows.size() });
    }
    if let Some(old) = into.iter().position(|&new| new != DROPPED && new as usize >= size) {
        let reason = format!("sends id {old} to {}, but the new vocabulary has {size} tags", into[old]);
        return Err(Error::Setting { name: "into", reason });
    }
    let mut seen_in = vec![usize::MAX; size];
    let mut offsets = Vec::with_capacity(rows.len() + 1);
    let mut ids = Vec::with_capacity(rows.ids().len());
    offsets.push(0);
    for (at, row) in rows.rows().enumerate() {
        for &old in row {
            let new = into.get(old as usize).copied().unwrap_or(DROPPED);
            let Some(last) = seen_in.get_mut(new as usize) else { continue };
            if *last != at {
                *last = at;
                ids.push(new);
            }
        }
        offsets.push(ids.len() as i64);
    }
    Ok((offsets, ids))
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
    let mut seen_in = vec![usize::MAX; rows.size()];
    let mut offsets = Vec::with_capacity(groups.len());
    let mut ids = Vec::with_capacity(rows.ids().len());
    offsets.push(0);
    for (group, bounds) in groups.windows(2).enumerate() {
        for row in bounds[0] as usize..bounds[1] as usize {
            for &id in rows.row(row) {
                let Some(last) = seen_in.get_mut(id as usize) else { continue };
                if *last != group {
                    *last = group;
                    ids.push(id);
                }
            }
        }
        offsets.push(ids.len() as i64);
    }
    Ok((offsets, ids))
}
