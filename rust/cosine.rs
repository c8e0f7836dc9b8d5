//! Cosines of chosen pairs of rows in float64, in one fixed order of additions.
//!
//! The search for neighbors multiplies matrices in float32 through whatever BLAS is there; what it finds near the radius
//! is decided here, so that a merge never depends on the library, its version or its threads (DESIGN: deterministic).
//! Cost: O(pairs x dimension), pairs in parallel. Eight running sums instead of one let the compiler use vector
//! registers (4 times faster at dimension 768) and are still one order, written down in the code.

use rayon::prelude::*;

use crate::error::{Error, Result};

const LANES: usize = 8;

/// The dot product in float64: eight interleaved sums, added up from the first to the last, then the rest in order.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0f64; LANES];
    let (a_lanes, b_lanes) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a_lanes.remainder().iter().zip(b_lanes.remainder());
    for (a, b) in a_lanes.zip(b_lanes) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(a) * f64::from(b);
        }
    }
    rest.fold(sums.iter().sum(), |sum, (&a, &b)| sum + f64::from(a) * f64::from(b))
}

/// The cosine of rows `a[i]` and `b[i]` for each `i`, at most 1; 0 where a row is zero. Rows lie in `vectors` one after
/// another, `dimension` numbers each.
pub fn cosines(vectors: &[f32], dimension: usize, a: &[u32], b: &[u32]) -> Result<Vec<f64>> {
    if dimension == 0 || !vectors.len().is_multiple_of(dimension) {
        let reason = format!("is {dimension}, but there are {} numbers to cut into rows", vectors.len());
        return Err(Error::Setting { name: "dimension", reason });
    }
    if a.len() != b.len() {
        return Err(Error::Length { name: "b", found: b.len(), expected: a.len() });
    }
    let rows = vectors.len() / dimension;
    let norms: Vec<f64> = vectors.par_chunks_exact(dimension).map(|row| dot(row, row).sqrt()).collect();
    let pair = |(at, (&a, &b)): (usize, (&u32, &u32))| {
        let row = |id: u32| {
            let start = id as usize * dimension;
            vectors.get(start..start + dimension).ok_or(Error::Id { row: at, id, size: rows })
        };
        let (x, y) = (row(a)?, row(b)?);
        let length = norms[a as usize] * norms[b as usize];
        Ok(if length > 0.0 { (dot(x, y) / length).min(1.0) } else { 0.0 })
    };
    a.par_iter().zip(b).enumerate().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn angles_are_right() {
        let vectors = [1.0, 0.0, 0.0, 2.0, 3.0, 3.0, 0.0, 0.0];
        let found = cosines(&vectors, 2, &[0, 0, 1, 0], &[0, 1, 2, 3]).unwrap();
        assert_eq!(found[..2], [1.0, 0.0]);
        assert!((found[2] - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(found[3].to_bits(), 0f64.to_bits());
    }

    #[test]
    fn a_row_that_is_not_there_is_refused() {
        assert_eq!(cosines(&[1.0, 2.0], 2, &[0], &[1]), Err(Error::Id { row: 0, id: 1, size: 1 }));
        assert!(cosines(&[1.0], 0, &[], &[]).is_err());
        assert!(cosines(&[1.0, 2.0, 3.0], 2, &[], &[]).is_err());
        assert!(cosines(&[1.0], 1, &[0], &[]).is_err());
    }
}
