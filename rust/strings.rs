//! Columns of strings as Arrow hands them over: plain, large, view or dictionary, alone or in lists.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowDictionaryKeyType, Int8Type, Int16Type, Int32Type, Int64Type};
use arrow_array::types::{UInt8Type, UInt16Type, UInt32Type, UInt64Type};
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, DictionaryArray, LargeListArray, LargeStringArray, UInt32Array};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field};

use crate::csr::Csr;
use crate::error::{Error, Result};

/// Calls `visit` with every value of a string column in order; a null is `None`.
pub fn for_each_str(column: &dyn Array, visit: &mut dyn FnMut(Option<&str>)) -> Result<()> {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().for_each(visit),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().for_each(visit),
        DataType::Utf8View => column.as_string_view().iter().for_each(visit),
        DataType::Null => (0..column.len()).for_each(|_| visit(None)),
        DataType::Dictionary(keys, _) => match keys.as_ref() {
            DataType::Int8 => for_each_key::<Int8Type>(column, visit)?,
            DataType::Int16 => for_each_key::<Int16Type>(column, visit)?,
            DataType::Int32 => for_each_key::<Int32Type>(column, visit)?,
            DataType::Int64 => for_each_key::<Int64Type>(column, visit)?,
            DataType::UInt8 => for_each_key::<UInt8Type>(column, visit)?,
            DataType::UInt16 => for_each_key::<UInt16Type>(column, visit)?,
            DataType::UInt32 => for_each_key::<UInt32Type>(column, visit)?,
            DataType::UInt64 => for_each_key::<UInt64Type>(column, visit)?,
            other => return Err(Error::Column(format!("a dictionary with keys of type {other}"))),
        },
        other => return Err(Error::Column(other.to_string())),
    }
    Ok(())
}

fn for_each_key<K: ArrowDictionaryKeyType>(column: &dyn Array, visit: &mut dyn FnMut(Option<&str>)) -> Result<()> {
    let keys = column.as_dictionary::<K>();
    let values = collect_strs(keys.values().as_ref())?;
    keys.keys_iter().for_each(|key| visit(key.and_then(|key| values.get(key)?.as_deref())));
    Ok(())
}

/// Every value of a string column, owned; a null is `None`. For vocabularies, not for rows.
pub fn collect_strs(column: &dyn Array) -> Result<Vec<Option<String>>> {
    let mut values = Vec::with_capacity(column.len());
    for_each_str(column, &mut |value| values.push(value.map(str::to_owned)))?;
    Ok(values)
}

/// Every value of a string column, borrowed, for kernels that read rows in parallel; a null is `None`.
pub fn borrow_strs(column: &dyn Array) -> Result<Vec<Option<&str>>> {
    match column.data_type() {
        DataType::Utf8 => Ok(column.as_string::<i32>().iter().collect()),
        DataType::LargeUtf8 => Ok(column.as_string::<i64>().iter().collect()),
        DataType::Utf8View => Ok(column.as_string_view().iter().collect()),
        DataType::Null => Ok(vec![None; column.len()]),
        DataType::Dictionary(..) => {
            let coded = column.as_any_dictionary();
            let values = borrow_strs(coded.values().as_ref())?;
            let keys = if values.is_empty() { vec![0; column.len()] } else { coded.normalized_keys() };
            let key =
                |(at, key): (usize, usize)| if column.is_null(at) { None } else { values.get(key).copied().flatten() };
            Ok(keys.into_iter().enumerate().map(key).collect())
        }
        other => Err(Error::Column(other.to_string())),
    }
}

/// Splits a list column into the bounds of its rows (as positions in the child) and the child; a null row is empty.
pub fn list_parts(column: &dyn Array) -> Result<(Vec<(usize, usize)>, ArrayRef)> {
    fn bounds<O: arrow_array::OffsetSizeTrait>(column: &dyn Array) -> (Vec<(usize, usize)>, ArrayRef) {
        let list = column.as_list::<O>();
        let rows = list.offsets().windows(2).enumerate();
        let rows = rows.map(|(at, w)| if list.is_null(at) { (0, 0) } else { (w[0].as_usize(), w[1].as_usize()) });
        (rows.collect(), list.values().clone())
    }
    match column.data_type() {
        DataType::List(_) => Ok(bounds::<i32>(column)),
        DataType::LargeList(_) => Ok(bounds::<i64>(column)),
        DataType::Null => Ok((vec![(0, 0); column.len()], arrow_array::new_empty_array(&DataType::Utf8View))),
        other => Err(Error::Column(other.to_string())),
    }
}

/// Rows of ids as a column of lists over a dictionary of the vocabulary; the arrays are copied once.
pub fn to_lists(vocabulary: &[ArrayRef], offsets: &[i64], ids: &[u32]) -> Result<ArrayRef> {
    let mut words = Vec::new();
    for chunk in vocabulary {
        words.extend(collect_strs(chunk.as_ref())?);
    }
    let column = |error: arrow_schema::ArrowError| Error::Column(error.to_string());
    let (offsets, ids) = (offsets.to_vec(), ids.to_vec());
    Csr::new(&offsets, &ids, words.len())?; // the copies are checked: nobody else can change them any more
    let words: LargeStringArray = words.into_iter().collect();
    let codes = DictionaryArray::<UInt32Type>::try_new(UInt32Array::from(ids), Arc::new(words)).map_err(column)?;
    let item = Arc::new(Field::new("item", codes.data_type().clone(), true));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    Ok(Arc::new(LargeListArray::try_new(item, offsets, Arc::new(codes), None).map_err(column)?))
}
