//! Columns of strings as Arrow hands them over: plain, large, view or dictionary, alone or in lists.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, LargeListArray, LargeStringArray, UInt32Array, downcast_integer};
use arrow_buffer::{ArrowNativeType, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use crate::csr::Csr;
use crate::error::{Error, Result};
use crate::room::{copied, more, no_room, reserved};

/// Every value of a string column, borrowed, for kernels that read rows in parallel; a null is `None`.
pub fn borrow_strs(column: &dyn Array) -> Result<Vec<Option<&str>>> {
    let mut values = reserved(column.len())?;
    each_str(column, &mut |value| values.push(value))?;
    Ok(values)
}

/// Calls `take` with every value of a string column, in order; a null is `None`.
pub fn each_str<'a>(column: &'a dyn Array, take: &mut dyn FnMut(Option<&'a str>)) -> Result<()> {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().for_each(take),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().for_each(take),
        DataType::Utf8View => column.as_string_view().iter().for_each(take),
        DataType::Null => (0..column.len()).for_each(|_| take(None)),
        DataType::Dictionary(keys, _) => {
            macro_rules! words_of {
                ($key:ty) => {{
                    let coded = column.as_dictionary::<$key>();
                    let words = borrow_strs(coded.values().as_ref())?;
                    coded.keys_iter().for_each(|code| take(code.and_then(|code| words.get(code).copied().flatten())));
                }};
            }
            downcast_integer! {
                keys.as_ref() => (words_of),
                other => return Err(Error::Column(format!("a dictionary with keys of type {other}"))),
            }
        }
        other => return Err(Error::Column(other.to_string())),
    }
    Ok(())
}

/// Every value of a string column, owned; a null is `None`. For vocabularies, not for rows.
pub fn collect_strs(column: &dyn Array) -> Result<Vec<Option<String>>> {
    let borrowed = borrow_strs(column)?;
    let mut values = reserved(borrowed.len())?;
    for value in borrowed {
        values.push(value.map(owned).transpose()?);
    }
    Ok(values)
}

fn owned(text: &str) -> Result<String> {
    let mut copy = String::new();
    copy.try_reserve_exact(text.len()).map_err(|_| no_room::<u8>(text.len()))?;
    copy.push_str(text);
    Ok(copy)
}

/// A column of lists, borrowed: bounds of rows in one column of values.
pub struct Lists<'a> {
    offsets: Offsets<'a>,
    nulls: Option<&'a NullBuffer>,
    values: Option<&'a ArrayRef>,
}

enum Offsets<'a> {
    Small(&'a [i32]),
    Large(&'a [i64]),
    Empty(usize),
}

impl<'a> Lists<'a> {
    /// Any list column; a column of nothing but nulls has rows and no values.
    pub fn of(column: &'a dyn Array) -> Result<Self> {
        let (offsets, values) = match column.data_type() {
            DataType::List(_) => {
                let list = column.as_list::<i32>();
                (Offsets::Small(list.value_offsets()), Some(list.values()))
            }
            DataType::LargeList(_) => {
                let list = column.as_list::<i64>();
                (Offsets::Large(list.value_offsets()), Some(list.values()))
            }
            DataType::Null => (Offsets::Empty(column.len()), None),
            other => return Err(Error::Column(other.to_string())),
        };
        Ok(Self { offsets, nulls: column.nulls(), values })
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match self.offsets {
            Offsets::Small(offsets) => offsets.len().saturating_sub(1),
            Offsets::Large(offsets) => offsets.len().saturating_sub(1),
            Offsets::Empty(rows) => rows,
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The column that rows point into; none where every row is null.
    pub fn values(&self) -> Option<&'a ArrayRef> {
        self.values
    }

    /// Where the values of rows lie, those of null rows among them.
    pub fn span(&self, rows: &Range<usize>) -> Range<usize> {
        match self.offsets {
            Offsets::Small(offsets) => offsets[rows.start].as_usize()..offsets[rows.end].as_usize(),
            Offsets::Large(offsets) => offsets[rows.start].as_usize()..offsets[rows.end].as_usize(),
            Offsets::Empty(_) => 0..0,
        }
    }

    /// Where a row's values stand; a null row is empty.
    pub fn row(&self, row: usize) -> Range<usize> {
        if self.nulls.is_some_and(|nulls| nulls.is_null(row)) {
            return 0..0;
        }
        match self.offsets {
            Offsets::Small(offsets) => offsets[row].as_usize()..offsets[row + 1].as_usize(),
            Offsets::Large(offsets) => offsets[row].as_usize()..offsets[row + 1].as_usize(),
            Offsets::Empty(_) => 0..0,
        }
    }
}

/// Rows of ids as a column of lists over a dictionary of the vocabulary; the arrays are copied once.
pub fn to_lists(vocabulary: &[ArrayRef], offsets: &[i64], ids: &[u32]) -> Result<ArrayRef> {
    let mut words = Vec::new();
    for chunk in vocabulary {
        let chunk = collect_strs(chunk.as_ref())?;
        more(&mut words, chunk.len())?;
        words.extend(chunk);
    }
    let column = |error: arrow_schema::ArrowError| Error::Column(error.to_string());
    let (offsets, ids) = (copied(offsets)?, copied(ids)?);
    Csr::new(&offsets, &ids, words.len())?; // the copies are checked: nobody else can change them any more
    let words: LargeStringArray = words.into_iter().collect();
    let codes = DictionaryArray::<UInt32Type>::try_new(UInt32Array::from(ids), Arc::new(words)).map_err(column)?;
    let item = Arc::new(Field::new("item", codes.data_type().clone(), true));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(LargeListArray::try_new(item, offsets, Arc::new(codes), None).map_err(column)?))
}
