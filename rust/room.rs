//! Large arrays that may not fit into memory: asked for first, so that a kernel ends in an error and not the process.
//!
//! Rust ends the process where an allocation fails. Arrays that grow with the rows, the vocabulary or what is found are
//! therefore made here; those of a fixed size, and what a library allocates (Arrow, Parquet, the threads' own queues), are
//! not, and a system that hands out memory it does not have never refuses any (`python/instag/memory.py` looks before a
//! stage starts). `tests/memory.rs` refuses each large array of each kernel in turn.
//!
//! Cost: none where the size is known; one comparison a value where it is not, which [`Vec::push`] makes anyway.

use std::hint::black_box;

use bytemuck::Zeroable;
use bytemuck::allocation::try_zeroed_vec;
use rayon::iter::{IndexedParallelIterator, IntoParallelRefMutIterator, ParallelIterator};

use crate::error::{Error, Result};

/// An empty array with room for `len` entries.
pub fn reserved<T>(len: usize) -> Result<Vec<T>> {
    let mut array = Vec::new();
    array.try_reserve_exact(len).map_err(|_| no_room::<T>(len))?;
    Ok(array)
}

/// An array of `len` zeros, which the system has at hand: nothing is written.
pub fn zeroed<T: Zeroable>(len: usize) -> Result<Vec<T>> {
    try_zeroed_vec(len).map_err(|()| no_room::<T>(len))
}

/// An array of `len` times `value`.
pub fn filled<T: Clone>(len: usize, value: T) -> Result<Vec<T>> {
    let mut array = reserved(len)?;
    array.resize(len, value);
    Ok(array)
}

/// A copy of an array.
pub fn copied<T: Copy>(array: &[T]) -> Result<Vec<T>> {
    let mut copy = reserved(array.len())?;
    copy.extend_from_slice(array);
    Ok(copy)
}

/// Arrays as one.
pub fn joined<T: Copy>(parts: &[Vec<T>]) -> Result<Vec<T>> {
    let mut whole = reserved(parts.iter().map(Vec::len).sum())?;
    for part in parts {
        whole.extend_from_slice(part);
    }
    Ok(whole)
}

/// What an iterator gives, however much that is.
pub fn collected<T>(values: impl IntoIterator<Item = T>) -> Result<Vec<T>> {
    let values = values.into_iter();
    let (least, most) = values.size_hint();
    let mut array = reserved(least)?;
    if most == Some(least) {
        array.extend(values);
        return Ok(array);
    }
    for value in values {
        push(&mut array, value)?;
    }
    Ok(array)
}

/// What each of so many pieces of work gives, in their order; an error where there is one, the first to be met.
pub fn collected_in_parallel<T: Send + Default>(
    work: impl IndexedParallelIterator<Item = Result<T>>,
) -> Result<Vec<T>> {
    let mut array = reserved(work.len())?;
    array.resize_with(work.len(), T::default);
    array.par_iter_mut().zip(work).try_for_each(|(place, found)| {
        *place = found?;
        Ok::<_, Error>(())
    })?;
    Ok(array)
}

/// One more value at the end.
#[inline]
pub fn push<T>(array: &mut Vec<T>, value: T) -> Result<()> {
    more(array, 1)?;
    array.push(value);
    Ok(())
}

/// Room for `len` more values; at least twice as much as before where it must grow, so that pushing stays cheap.
#[inline]
pub fn more<T>(array: &mut Vec<T>, len: usize) -> Result<()> {
    if array.capacity() - array.len() >= len { Ok(()) } else { grown(array, len) }
}

#[cold]
fn grown<T>(array: &mut Vec<T>, len: usize) -> Result<()> {
    array.try_reserve(len).map_err(|_| no_room::<T>(array.len().saturating_add(len)))
}

/// Whether so many could be had now, for collections that cannot be told to try.
pub fn check<T>(len: usize) -> Result<()> {
    black_box(reserved::<T>(len)?); // else the compiler would leave it out
    Ok(())
}

/// Values like this one at the end, up to `len` of all.
pub fn lengthen<T: Clone>(array: &mut Vec<T>, len: usize, value: T) -> Result<()> {
    if len > array.len() {
        more(array, len - array.len())?;
        array.resize(len, value);
    }
    Ok(())
}

/// Values at the end.
pub fn extend<T: Copy>(array: &mut Vec<T>, values: &[T]) -> Result<()> {
    more(array, values.len())?;
    array.extend_from_slice(values);
    Ok(())
}

/// That no room could be had for `len` values.
pub fn no_room<T>(len: usize) -> Error {
    Error::Memory { bytes: len.saturating_mul(size_of::<T>()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::iter::IntoParallelIterator;

    #[test]
    fn what_cannot_be_had_is_an_error() {
        let (bytes, huge) = (1 << 61, usize::MAX);
        assert_eq!(reserved::<u64>(1 << 58), Err(Error::Memory { bytes }));
        assert_eq!(zeroed::<u64>(1 << 58), Err(Error::Memory { bytes }));
        assert_eq!(filled(1 << 58, 1u64), Err(Error::Memory { bytes }));
        assert_eq!(reserved::<u64>(huge), Err(Error::Memory { bytes: huge }));
        assert_eq!(collected(std::iter::repeat_n(7u64, 1 << 58)), Err(Error::Memory { bytes }));
        assert_eq!(more(&mut vec![1u8], huge), Err(Error::Memory { bytes: huge }));
        let one_fails = (0..9usize).into_par_iter().map(|at| if at == 5 { Err(no_room::<u8>(at)) } else { Ok(at) });
        assert_eq!(collected_in_parallel(one_fails), Err(Error::Memory { bytes: 5 }));
    }

    #[test]
    fn what_can_be_had_is_what_the_standard_library_makes() {
        assert_eq!(zeroed::<u32>(3), Ok(vec![0; 3]));
        assert_eq!(filled(2, 5), Ok(vec![5, 5]));
        assert_eq!(copied(&[1, 2]), Ok(vec![1, 2]));
        assert_eq!(joined(&[vec![1], vec![], vec![2, 3]]), Ok(vec![1, 2, 3]));
        assert_eq!(collected((0..9).filter(|at| at % 2 == 0)), Ok(vec![0, 2, 4, 6, 8]));
        assert_eq!(collected_in_parallel((0..3usize).into_par_iter().map(Ok)), Ok(vec![0, 1, 2]));
        let mut array = Vec::new();
        (0..5).try_for_each(|at| push(&mut array, at)).and_then(|()| extend(&mut array, &[5, 6])).unwrap();
        lengthen(&mut array, 9, 1).and_then(|()| lengthen(&mut array, 3, 0)).unwrap();
        assert_eq!(array, [0, 1, 2, 3, 4, 5, 6, 1, 1]);
    }
}
