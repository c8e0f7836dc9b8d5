//! A column of tag lists in a Parquet file, read as the codes of its dictionary pages.
//!
//! A writer stores each distinct string once (a row group), and rows as numbers: what interning wants. So a column whose
//! pages are all coded is read as an Arrow dictionary array, and [`crate::intern`] looks at a string once; any other one
//! is read as views into its pages. Cost: a million rows of 4.5 tags, coded, 50 ms on one thread, against 87 ms for
//! Polars, which makes strings of them, and another 120 ms for telling those apart again.
//!
//! Memory that runs out ends the process here: all arrays are arrow-rs's, which asks for them without a way back.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, LargeListArray, ListArray};
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use parquet::schema::types::SchemaDescriptor;

use crate::error::{Error, Result};

/// Rows of one array.
const BATCH: usize = 1 << 16;
/// The member of an object that holds its tag.
const TAG: &str = "tag";

/// The rows of each row group, in order.
pub fn row_groups<R: ChunkReader + 'static>(file: &R) -> Result<Vec<i64>> {
    caught(|| {
        let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new().with_skip_arrow_metadata(true))?;
        Ok(metadata.metadata().row_groups().iter().map(RowGroupMetaData::num_rows).collect())
    })
}

/// The rows `rows` of `column`: lists of strings, or of objects with a string `tag`, of which that is taken.
pub fn read_lists<R: ChunkReader + 'static>(file: R, column: &str, rows: Range<usize>) -> Result<Vec<ArrayRef>> {
    caught(|| read(file, column, rows))
}

/// arrow-rs asserts a few things of metadata, and a broken file must not bring the process down.
pub(crate) fn caught<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(broken()))
}

pub(crate) fn broken() -> Error {
    Error::Parquet("its metadata are broken".into())
}

/// The part of a file that holds some rows of a column.
pub(crate) struct Part {
    pub metadata: ArrowReaderMetadata,
    /// The column, among the fields and (its strings) among the leaves.
    pub root: usize,
    pub leaf: usize,
    /// The row groups, and the rows of the first that are not wanted.
    pub groups: Vec<usize>,
    pub skipped: usize,
    /// Whether all values are codes of a dictionary.
    pub coded: bool,
}

impl Part {
    pub fn of<R: ChunkReader>(file: &R, column: &str, rows: &Range<usize>) -> Result<Self> {
        let metadata = ArrowReaderMetadata::load(file, ArrowReaderOptions::new().with_skip_arrow_metadata(true))?;
        let Some((root, field)) = metadata.schema().column_with_name(column) else {
            return Err(Error::Parquet(format!("there is no column `{column}`")));
        };
        let Some(leaf) = leaf(metadata.parquet_schema(), root) else {
            return Err(Error::Column(field.data_type().to_string()));
        };
        strings_as(field, false)?; // lists of strings, or of objects with one

        let (mut groups, mut first, mut end) = (Vec::new(), 0, 0); // `first`: the row that the groups begin with
        let mut coded = true;
        for (number, group) in metadata.metadata().row_groups().iter().enumerate() {
            let start = end;
            end += usize::try_from(group.num_rows()).unwrap_or(0);
            if start >= rows.end || end <= rows.start {
                continue;
            }
            if groups.is_empty() {
                first = start;
            }
            let Some(chunk) = group.columns().get(leaf) else { return Err(broken()) };
            let first_page = chunk.dictionary_page_offset().unwrap_or(0).min(chunk.data_page_offset());
            if first_page.min(chunk.compressed_size()) < 0 {
                return Err(broken()); // asserted when the pages are read
            }
            groups.push(number);
            coded &= is_coded(chunk);
        }
        if rows.end > end || groups.is_empty() && !rows.is_empty() {
            return Err(Error::Parquet(format!("there are {end} rows, not {}", rows.end)));
        }
        let skipped = rows.start - first.min(rows.start);
        Ok(Self { metadata, root, leaf, groups, skipped, coded })
    }
}

fn read<R: ChunkReader + 'static>(file: R, column: &str, rows: Range<usize>) -> Result<Vec<ArrayRef>> {
    let Part { metadata, root, leaf, groups, skipped, coded } = Part::of(&file, column, &rows)?;
    let fields: Vec<FieldRef> = metadata
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| if at == root { strings_as(field, coded) } else { Ok(field.clone()) })
        .collect::<Result<_>>()?;
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let options = options.with_schema(Arc::new(Schema::new(Fields::from(fields))));
    let mask = ProjectionMask::leaves(metadata.parquet_schema(), [leaf]);
    let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
        .with_projection(mask)
        .with_row_groups(groups)
        .with_offset(skipped)
        .with_limit(rows.len())
        .with_batch_size(BATCH)
        .build()?;
    let (mut lists, mut read) = (Vec::new(), 0);
    for batch in reader {
        let batch = batch.map_err(|error| Error::Parquet(error.to_string()))?;
        read += batch.num_rows();
        lists.push(tags_of(batch.column(0))?);
    }
    check_read(read, rows.len())?;
    Ok(lists)
}

/// Whether as many rows were found as were to be.
pub(crate) fn check_read(read: usize, rows: usize) -> Result<()> {
    if read != rows {
        return Err(Error::Parquet(format!("its pages hold {read} of the {rows} rows that they should")));
    }
    Ok(())
}

/// The place of the column's strings among all leaves: its only leaf, or that of the member `tag`.
fn leaf(schema: &SchemaDescriptor, root: usize) -> Option<usize> {
    let leaves: Vec<_> = (0..schema.num_columns()).filter(|&leaf| schema.get_column_root_idx(leaf) == root).collect();
    let parts = |leaf: usize| schema.column(leaf).path().parts().to_vec();
    match leaves[..] {
        [only] => Some(only),
        _ => leaves
            .into_iter()
            .filter(|&leaf| parts(leaf).last().is_some_and(|name| name == TAG))
            .min_by_key(|&leaf| parts(leaf).len()),
    }
}

/// Whether all values of a chunk are codes of its dictionary, as far as the file tells.
fn is_coded(chunk: &ColumnChunkMetaData) -> bool {
    use parquet::basic::Encoding::{PLAIN_DICTIONARY, RLE_DICTIONARY};
    chunk.dictionary_page_offset().is_some()
        && chunk
            .page_encoding_stats_mask()
            .is_none_or(|mask| mask.encodings().all(|encoding| matches!(encoding, PLAIN_DICTIONARY | RLE_DICTIONARY)))
}

/// The field with its strings as codes of a dictionary, or as views.
fn strings_as(field: &Field, coded: bool) -> Result<FieldRef> {
    let text = || {
        if coded {
            DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
        } else {
            DataType::Utf8View
        }
    };
    let with = |item: &FieldRef, kind: DataType| Arc::new(Field::new(item.name(), kind, item.is_nullable()));
    let refused = || Error::Column(field.data_type().to_string());
    let (DataType::List(item) | DataType::LargeList(item)) = field.data_type() else { return Err(refused()) };
    let item = match item.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => with(item, text()),
        DataType::Null => item.clone(),
        DataType::Struct(members) => {
            let members: Fields = members
                .iter()
                .map(|member| match (member.name().as_str(), member.data_type()) {
                    (TAG, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => Ok(with(member, text())),
                    (TAG, _) => Err(refused()),
                    _ => Ok(member.clone()),
                })
                .collect::<Result<_>>()?;
            with(item, DataType::Struct(members))
        }
        _ => return Err(refused()),
    };
    let list =
        if matches!(field.data_type(), DataType::List(_)) { DataType::List(item) } else { DataType::LargeList(item) };
    Ok(Arc::new(Field::new(field.name(), list, field.is_nullable())))
}

/// Lists of the member `tag` in place of lists of objects; a missing object has a missing tag.
fn tags_of(lists: &ArrayRef) -> Result<ArrayRef> {
    let failed = |error: arrow_schema::ArrowError| Error::Parquet(error.to_string());
    macro_rules! unwrapped {
        ($list:ty, $offset:ty) => {{
            let list = lists.as_list::<$offset>();
            let Some(object) = list.values().as_struct_opt() else { return Ok(lists.clone()) };
            let tags = object.column(0).clone();
            let item = Arc::new(Field::new("item", tags.data_type().clone(), true));
            Ok(Arc::new(<$list>::try_new(item, list.offsets().clone(), tags, list.nulls().cloned()).map_err(failed)?))
        }};
    }
    match lists.data_type() {
        DataType::List(_) => unwrapped!(ListArray, i32),
        DataType::LargeList(_) => unwrapped!(LargeListArray, i64),
        other => Err(Error::Column(other.to_string())),
    }
}
