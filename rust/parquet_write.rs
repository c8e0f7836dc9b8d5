//! A table with a column of tag lists as a Parquet file: the ids are what the dictionary's codes are.
//!
//! Writers of Parquet hash every string again to number it. Here rows are numbers already, so a page is bits packed and
//! compressed. A million rows of 4.5 tags take some 80 ms of one core; 150 ms from Polars's categories and up to 300
//! before that to make those (a table of all strings in the process), 450 ms from a dictionary array by arrow-rs. The
//! other columns go through arrow-rs as they are.
//!
//! Arrays of the tags that do not fit end in an error; in the other columns, and wherever else arrow-rs allocates, the
//! process would end.
//!
//! Reference: <https://parquet.apache.org/docs/file-format/data-pages/encodings/>. The bytes depend on the data alone.

use std::io::Write;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves};
use parquet::basic::{Compression, Encoding, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{ColumnChunkMetaData, PageEncodingStats};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use rayon::prelude::*;
use zstd::zstd_safe::{CCtx, CParameter, ErrorCode, compress_bound, get_error_name};

use crate::csr::Csr;
use crate::error::{Error, Result};
use crate::room::{collected_in_parallel, extend, filled, lengthen, more, no_room, push, reserved};
use crate::strings::borrow_strs;
use crate::vocabulary::NONE;

/// Rows of one page, or fewer where they hold more tags than [`PAGE_TAGS`].
const PAGE_ROWS: usize = 1 << 16;
/// Tags of one page, but for its last row.
const PAGE_TAGS: usize = 1 << 20;
/// More bytes than Parquet puts before a page.
const PAGE_HEADER: usize = 128;
/// zstd's name for it.
const NO_MEMORY: &str = "Allocation error : not enough memory";
/// More bytes than what is before and behind a run of packed values, for a moment.
const HEADER: usize = 32;
/// zstd's.
const LEVEL: i32 = 1;
/// Whether a list is there, and whether it holds something that is there: 3 for a tag, 1 for a row without.
const TAG_LEVEL: u32 = 3;
/// As above.
const EMPTY_LEVEL: u32 = 1;

/// Writes `columns` (`schema`) and, last, `name`: rows of ids over a vocabulary. One row group, no statistics.
pub fn write<W: Write + Send>(
    sink: W,
    schema: &SchemaRef,
    columns: &[RecordBatch],
    name: &str,
    vocabulary: &[ArrayRef],
    (offsets, ids): (&[i64], &[u32]),
) -> Result<()> {
    let mut words = reserved(vocabulary.iter().map(Array::len).sum())?;
    for chunk in vocabulary {
        words.extend(borrow_strs(chunk.as_ref())?.into_iter().map(Option::unwrap_or_default));
    }
    let rows: usize = columns.iter().map(RecordBatch::num_rows).sum();
    // The arrays are borrowed, and somebody may write to them meanwhile: whatever is read from them is checked again.
    let csr = Csr::new(offsets, ids, words.len())?;
    if schema.column_with_name(name).is_some() {
        return Err(Error::Parquet(format!("there is a column `{name}` already")));
    }
    if csr.len() != rows {
        return Err(Error::Length { name: "offsets", found: offsets.len(), expected: rows + 1 });
    }

    let coded = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::LargeUtf8));
    let lists = Field::new(name, DataType::LargeList(Arc::new(Field::new("item", coded, true))), true);
    let fields = schema.fields().iter().cloned().chain([Arc::new(lists)]).collect::<Vec<_>>();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .build();
    let (mut file, factory) =
        ArrowWriter::try_new(sink, Arc::new(Schema::new(fields)), Some(properties))?.into_serialized_writer()?;
    let leaves = file.schema_descr().columns().to_vec();
    let Some(leaf) = leaves.last() else { return Err(Error::Parquet("there is no column to write".into())) };
    let mut writers = factory.create_column_writers(0)?;
    writers.pop(); // that of the tags
    let (others, tags) = rayon::join(|| encoded(schema, columns, writers), || chunk(leaf, &words, &csr));

    let mut group = file.next_row_group()?;
    for chunk in others? {
        chunk.append_to_row_group(&mut group)?;
    }
    let (bytes, close) = tags?;
    group.append_column(&bytes::Bytes::from(bytes), close)?;
    group.close()?;
    file.close()?;
    Ok(())
}

fn encoded(
    schema: &SchemaRef,
    columns: &[RecordBatch],
    writers: Vec<ArrowColumnWriter>,
) -> Result<Vec<ArrowColumnChunk>> {
    let mut writers = writers.into_iter();
    let mut chunks = Vec::new();
    for (at, field) in schema.fields().iter().enumerate() {
        let mut own: Vec<ArrowColumnWriter> = Vec::new(); // a column has a writer for each of its leaves
        for batch in columns {
            let leaves = compute_leaves(field, batch.column(at))?;
            own.extend(writers.by_ref().take(leaves.len() - own.len().min(leaves.len())));
            for (writer, leaf) in own.iter_mut().zip(&leaves) {
                writer.write(leaf)?;
            }
        }
        for writer in own {
            chunks.push(writer.close()?);
        }
    }
    Ok(chunks)
}

/// The column chunk of the tags: the words that occur, by first appearance whatever the vocabulary's order, then pages
/// of codes.
fn chunk(leaf: &ColumnDescPtr, words: &[&str], csr: &Csr<'_>) -> Result<(Vec<u8>, ColumnCloseResult)> {
    let mut codes = filled(words.len(), NONE)?;
    let mut dictionary = Vec::new();
    let mut distinct = 0;
    for &id in csr.ids() {
        let (Some(code), Some(word)) = (codes.get_mut(id as usize), words.get(id as usize)) else { continue };
        if *code == NONE {
            *code = distinct;
            distinct += 1;
            extend(&mut dictionary, &(word.len() as u32).to_le_bytes())?;
            extend(&mut dictionary, word.as_bytes())?;
        }
    }
    let width = (u32::BITS - distinct.saturating_sub(1).leading_zeros()).max(1);

    let rows = csr.len();
    let pages = collected_in_parallel(page_rows(csr)?.into_par_iter().map(|rows| {
        let (page, values) = page(csr, rows, &codes, width)?;
        Ok((compressed(&page)?, page.len(), values))
    }))?;

    let dictionary_bytes = compressed(&dictionary)?;
    let bytes = pages.iter().map(|(page, ..)| page.len()).sum::<usize>() + dictionary_bytes.len();
    let mut sink = TrackedWrite::new(reserved(bytes + (pages.len() + 1) * PAGE_HEADER)?);
    let mut writer = SerializedPageWriter::new(&mut sink);
    let dictionary_page = Page::DictionaryPage {
        buf: dictionary_bytes.into(),
        num_values: distinct,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    let mut written = vec![writer.write_page(CompressedPage::new(dictionary_page, dictionary.len()))?];
    let mut values = 0;
    for (buf, uncompressed, num_values) in pages {
        values += i64::from(num_values);
        let page = Page::DataPage {
            buf: buf.into(),
            num_values,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        written.push(writer.write_page(CompressedPage::new(page, uncompressed))?);
    }
    let total =
        |bytes: fn(&parquet::column::page::PageWriteSpec) -> usize| written.iter().map(bytes).sum::<usize>() as i64;
    let counted = |page_type, encoding, count: usize| PageEncodingStats { page_type, encoding, count: count as i32 };
    let metadata = ColumnChunkMetaData::builder(leaf.clone())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_page_encoding_stats(vec![
            counted(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
            counted(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, written.len() - 1),
        ])
        .set_total_compressed_size(total(|page| page.compressed_size))
        .set_total_uncompressed_size(total(|page| page.uncompressed_size))
        .set_num_values(values)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(written.get(1).map_or(0, |page| page.offset as i64))
        .build()?;
    let bytes = sink.into_inner()?;
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok((bytes, close))
}

/// The rows of each page.
fn page_rows(csr: &Csr<'_>) -> Result<Vec<Range<usize>>> {
    let (mut pages, mut start, mut tags) = (Vec::new(), 0, 0);
    for row in 0..csr.len() {
        tags += csr.row(row).len();
        if row + 1 - start == PAGE_ROWS || tags >= PAGE_TAGS || row + 1 == csr.len() {
            push(&mut pages, start..row + 1)?;
            (start, tags) = (row + 1, 0);
        }
    }
    Ok(pages)
}

/// A data page, version 1: which values begin a row, which are there, and the codes of those. And how many values.
fn page(csr: &Csr<'_>, rows: Range<usize>, codes: &[u32], width: u32) -> Result<(Vec<u8>, u32)> {
    let (mut begins, mut there, mut found) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let ids = csr.row(row);
        push(&mut begins, 0)?;
        push(&mut there, if ids.is_empty() { EMPTY_LEVEL } else { TAG_LEVEL })?;
        let len = begins.len() + ids.len().saturating_sub(1);
        lengthen(&mut begins, len, 1)?;
        lengthen(&mut there, len, TAG_LEVEL)?;
        more(&mut found, ids.len())?;
        found.extend(ids.iter().map(|&id| codes.get(id as usize).copied().unwrap_or(0)));
    }
    let bytes = |values: usize, width: u32| values.div_ceil(8) * width as usize + HEADER;
    let mut page = reserved(bytes(begins.len(), 1) + bytes(there.len(), 2) + bytes(found.len(), width))?;
    for (levels, width) in [(&begins, 1), (&there, 2)] {
        let start = page.len();
        page.extend_from_slice(&[0; 4]);
        pack(levels, width, &mut page);
        let length = (page.len() - start - 4) as u32;
        page[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
    page.push(width as u8);
    pack(&found, width, &mut page);
    Ok((page, begins.len() as u32))
}

/// One bit-packed run: its length in eights of values, then `width` bits a value, the lowest first.
fn pack(values: &[u32], width: u32, out: &mut Vec<u8>) {
    let eights = values.len().div_ceil(8);
    let mut header = (eights as u64) << 1 | 1;
    while header >= 0x80 {
        out.push(header as u8 | 0x80);
        header >>= 7;
    }
    out.push(header as u8);
    let end = out.len() + eights * width as usize;
    let (mut held, mut bits) = (0u64, 0);
    for &value in values {
        held |= u64::from(value) << bits;
        bits += width;
        if bits >= u32::BITS {
            out.extend_from_slice(&(held as u32).to_le_bytes());
            held >>= u32::BITS;
            bits -= u32::BITS;
        }
    }
    out.extend_from_slice(&held.to_le_bytes());
    out.resize(end, 0);
}

/// What zstd says, which allocates by itself.
fn failed(code: ErrorCode) -> Error {
    match get_error_name(code) {
        NO_MEMORY => no_room::<u8>(0),
        name => Error::Parquet(name.into()),
    }
}

fn compressed(page: &[u8]) -> Result<Vec<u8>> {
    if i32::try_from(page.len()).is_err() {
        return Err(Error::Limit {
            what: format!("a page of the Parquet file would hold {} bytes, more than 2^31 - 1", page.len()),
            hint: "drop rare or very long tags, or give the rows in more and smaller files".into(),
        });
    }
    let mut compressed: Vec<u8> = reserved(compress_bound(page.len()))?;
    let mut context = CCtx::try_create().ok_or_else(|| no_room::<u8>(page.len()))?;
    context.set_parameter(CParameter::CompressionLevel(LEVEL)).map_err(failed)?;
    context.compress2(&mut compressed, page).map_err(failed)?;
    compressed.shrink_to_fit();
    Ok(compressed)
}
