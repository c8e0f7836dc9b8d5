//! Which samples came in an earlier part of a pool: one table of all their ids, kept from part to part by the caller.
//!
//! A slot is three numbers: the halves of the id, and the file that last held it above the sample's row, plus one; zero is
//! free. A slot's place is the id's share of all ids, so that the table is in the ids' order but for collisions, and a larger
//! one is filled from front to back. Cost: one to two cache misses an id, 24 bytes a slot, four fifths of them taken at
//! most: some 33 bytes a sample. Tried: sorted ids, merged with those of each part, move the whole of them for every part;
//! places of samples in the table and their ids beside it save a fifth of the memory and cost a miss more.

use crate::error::{Error, Result};

/// In place of a file's number: no part holds the sample yet.
pub const NO_FILE: u32 = u32::MAX;

type Slot = [u64; 3];

/// For each id, of which there are no two alike, the row of its sample, and the file that held it last before.
///
/// Ids that are not in the table are added, with the rows from `first` on. `files` holds each id's last file in this part.
/// An error where the table is full: make it larger first, by [`enlarged`].
pub fn known_rows(
    slots: &mut [u64],
    high: &[u64],
    low: &[u64],
    files: &[u32],
    first: i64,
) -> Result<(Vec<i64>, Vec<u32>)> {
    for (name, found) in [("low", low.len()), ("files", files.len())] {
        if found != high.len() {
            return Err(Error::Length { name, found, expected: high.len() });
        }
    }
    let slots = slots.as_chunks_mut().0;
    let mut next = u64::try_from(first).unwrap_or(0);
    let (mut rows, mut before) = (Vec::with_capacity(high.len()), Vec::with_capacity(high.len()));
    for ((&high, &low), &file) in high.iter().zip(low).zip(files) {
        let slot = find(slots, high, low)?;
        let free = slot[2] == 0;
        let row = if free { next } else { (slot[2] - 1) & u64::from(u32::MAX) };
        before.push(if free { NO_FILE } else { ((slot[2] - 1) >> 32) as u32 });
        if row >= u64::from(u32::MAX) {
            let hint = "read fewer files at once".into();
            return Err(Error::Limit { what: "more than 4,294,967,295 samples in one pool".into(), hint });
        }
        *slot = [high, low, (u64::from(file) << 32 | row) + 1];
        next += u64::from(free);
        rows.push(row as i64);
    }
    Ok((rows, before))
}

/// The same table with room for so many slots. O(slots), front to back.
pub fn enlarged(slots: &[u64], size: usize) -> Result<Vec<u64>> {
    let mut larger = vec![0; size.saturating_mul(3)];
    let into = larger.as_chunks_mut().0;
    for &[high, low, row] in slots.as_chunks().0.iter().filter(|slot| slot[2] != 0) {
        *find(into, high, low)? = [high, low, row];
    }
    Ok(larger)
}

/// The slot that holds an id, or the free one where it belongs; the search goes on from the last slot to the first.
fn find(slots: &mut [Slot], high: u64, low: u64) -> Result<&mut Slot> {
    let start = ((u128::from(high) * slots.len() as u128) >> 64) as usize;
    let fits = |slot: &Slot| slot[2] == 0 || (slot[0] == high && slot[1] == low);
    let near = slots.get(start..).and_then(|rest| rest.iter().position(fits)).map(|at| start + at);
    let at = near.or_else(|| slots.iter().position(fits));
    let size = slots.len();
    let full = Error::Length { name: "slots", found: size * 3, expected: size * 3 + 3 };
    at.and_then(|at| slots.get_mut(at)).ok_or(full)
}
