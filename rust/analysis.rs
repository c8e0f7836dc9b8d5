//! When each tag is first seen along a list of rows: coverage curves, the tags of a source and their overlap in one pass.

use crate::csr::Csr;
use crate::error::{Error, Result};

/// A tag that no row of the list holds.
pub const NEVER: i64 = -1;

/// For each tag the smallest position of a listed row that holds it, or [`NEVER`].
///
/// A row's position is its place in `rows`, or the entry of `positions` (not negative) beside it: listing rows in memory order
/// with shuffled positions is several times faster than walking them in shuffled order. O(ids of the rows).
pub fn first_seen(table: Csr<'_>, rows: &[i64], positions: Option<&[i64]>) -> Result<Vec<i64>> {
    if let Some(found) = positions.map(<[_]>::len).filter(|&found| found != rows.len()) {
        return Err(Error::Length { name: "positions", found, expected: rows.len() });
    }
    let mut first = vec![i64::MAX; table.size()];
    for (at, &row) in rows.iter().enumerate() {
        let Some(row) = usize::try_from(row).ok().filter(|&row| row < table.len()) else {
            let reason = format!("names the row {row}, but the table has {} rows", table.len());
            return Err(Error::Setting { name: "rows", reason });
        };
        let position = positions.and_then(|positions| positions.get(at).copied()).unwrap_or(at as i64);
        for &tag in table.row(row) {
            if let Some(first) = first.get_mut(tag as usize) {
                *first = position.min(*first);
            }
        }
    }
    for first in first.iter_mut().filter(|first| **first == i64::MAX) {
        *first = NEVER;
    }
    Ok(first)
}
