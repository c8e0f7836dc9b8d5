//! When each tag is first seen along a list of rows: coverage curves, the tags of a source and their overlap in one pass.

use crate::error::{Error, Result};
use crate::room::reserved;

/// A tag that no row of the list holds.
pub const NEVER: i64 = -1;

/// For each tag the smallest position of a listed row that holds it, or [`NEVER`].
///
/// A row's position is its place in `rows`, or the entry of `positions` (not negative) beside it: listing rows in memory
/// order with shuffled positions is ten times faster than walking them in shuffled order. O(ids of the rows): only the
/// rows that are listed are read and checked, so a few of ten million cost next to nothing.
pub fn first_seen(
    offsets: &[i64],
    ids: &[u32],
    size: usize,
    rows: &[i64],
    positions: Option<&[i64]>,
) -> Result<Vec<i64>> {
    if let Some(found) = positions.map(<[_]>::len).filter(|&found| found != rows.len()) {
        return Err(Error::Length { name: "positions", found, expected: rows.len() });
    }
    crate::csr::check_size(size)?;
    if let Some(at) = positions.and_then(|positions| positions.iter().position(|&at| !(0..i64::MAX).contains(&at))) {
        let reason = format!("must be from 0 on, entry {at} is not");
        return Err(Error::Setting { name: "positions", reason });
    }
    let mut first = reserved(size)?;
    first.resize(size, i64::MAX);
    for (at, &number) in rows.iter().enumerate() {
        let row = usize::try_from(number).unwrap_or(usize::MAX);
        let (Some(&start), Some(&end)) = (offsets.get(row), offsets.get(row.saturating_add(1))) else {
            let reason = format!("names the row {number}, but the table has {} rows", offsets.len().saturating_sub(1));
            return Err(Error::Setting { name: "rows", reason });
        };
        let Some(tags) = ids.get(start as usize..end as usize) else {
            return Err(Error::Offsets { row, found: format!("from {start} to {end}, of {} ids", ids.len()) });
        };
        let position = positions.and_then(|positions| positions.get(at).copied()).unwrap_or(at as i64);
        for &id in tags {
            let Some(first) = first.get_mut(id as usize) else { return Err(Error::Id { row, id, size }) };
            *first = position.min(*first);
        }
    }
    for first in first.iter_mut().filter(|first| **first == i64::MAX) {
        *first = NEVER;
    }
    Ok(first)
}
