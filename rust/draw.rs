//! Sampling without replacement from given random bits (Fisher-Yates), so that one seed draws the same anywhere.

use rustc_hash::FxHashMap;

use crate::error::{Error, Result};
use crate::room::reserved;

/// The first `bits.len()` entries of a shuffled `0..n`, one 64-bit draw each; fewer bits draw a prefix. O(draws), or O(n).
pub fn draw(n: usize, bits: &[u64]) -> Result<Vec<i64>> {
    if i64::try_from(n).is_err() {
        return Err(Error::Setting { name: "n", reason: format!("is {n}, which rows cannot number") });
    }
    if bits.len() > n {
        return Err(Error::Setting { name: "bits", reason: format!("draws {} of {n}", bits.len()) });
    }
    let target = |at, bits| target(n, at, bits);
    if bits.len() < n / 16 {
        // Few draws: only the entries that moved are written down.
        let mut moved: FxHashMap<usize, usize> = FxHashMap::default();
        let drawn = bits.iter().enumerate().map(|(at, &bits)| {
            let to = target(at, bits);
            let here = moved.get(&at).copied().unwrap_or(at);
            moved.insert(to, here).unwrap_or(to) as i64
        });
        return Ok(drawn.collect());
    }
    let mut entries = reserved(n)?;
    entries.extend(0..n as i64);
    for (at, &bits) in bits.iter().enumerate() {
        entries.swap(at, target(at, bits));
    }
    entries.truncate(bits.len());
    Ok(entries)
}

/// Where each of `0..bits.len()` stands when all are shuffled: the inverse of what [`draw`] gives for as many bits.
///
/// Each swap undone, the last one first: a walk through memory like that of `draw`, and none to turn it around.
pub fn places(bits: &[u64]) -> Result<Vec<i64>> {
    let n = bits.len();
    let mut places = reserved(n)?;
    places.extend(0..n as i64);
    for (at, &bits) in bits.iter().enumerate().rev() {
        places.swap(at, target(n, at, bits));
    }
    Ok(places)
}

/// The entry that changes places with `at`: itself, or one behind it.
fn target(n: usize, at: usize, bits: u64) -> usize {
    at + ((u128::from(bits) * (n - at) as u128) >> 64) as usize
}
