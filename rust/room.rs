//! Large arrays that may not fit into memory: asked for first, so that a kernel ends in an error and not the process.
//!
//! Rust ends the process where an allocation fails. Arrays that grow with the rows or the vocabulary are therefore made
//! here; those of a fixed size, and what a library allocates, are not, and a system that hands out memory it does not have
//! never refuses any (`python/instag/memory.py` looks before a stage starts).

use std::hint::black_box;

use crate::error::{Error, Result};

/// An empty array with room for `len` entries.
pub fn reserved<T>(len: usize) -> Result<Vec<T>> {
    let mut array = Vec::new();
    array.try_reserve_exact(len).map_err(|_| no_room::<T>(len))?;
    Ok(array)
}

/// An array of `len` zeros (or of what a type starts with).
///
/// Room is asked for and given back, then asked for again as zeros, which the system has at hand: filling an array that
/// was reserved would write it once more.
pub fn zeroed<T: Clone + Default>(len: usize) -> Result<Vec<T>> {
    black_box(reserved::<T>(len)?); // else the compiler would leave both out
    Ok(vec![T::default(); len])
}

/// A copy of an array.
pub fn copied<T: Copy>(array: &[T]) -> Result<Vec<T>> {
    let mut copy = reserved(array.len())?;
    copy.extend_from_slice(array);
    Ok(copy)
}

fn no_room<T>(len: usize) -> Error {
    Error::Memory { bytes: len.saturating_mul(size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_an_error() {
        let bytes = 1 << 61;
        assert_eq!(reserved::<u64>(1 << 58), Err(Error::Memory { bytes }));
        assert_eq!(zeroed::<u64>(1 << 58), Err(Error::Memory { bytes }));
        assert_eq!(reserved::<u64>(usize::MAX), Err(Error::Memory { bytes: usize::MAX }));
        assert_eq!(zeroed::<u32>(3), Ok(vec![0; 3]));
        assert_eq!(copied(&[1, 2]), Ok(vec![1, 2]));
    }
}
