//! What a block of records gives, as columns: filled by one thread a piece, joined in order, handed out as Arrow.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, LargeStringArray, UInt8Array, UInt64Array};
use arrow_buffer::{Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};

use super::tape::{Kind, Value};
use super::turns::Sample;
use crate::error::{Error, Result};

/// A column of texts, end to end, some of them null.
#[derive(Debug, Default)]
pub struct Texts {
    values: String,
    ends: Vec<i64>,
    valid: Vec<bool>,
}

impl Texts {
    /// Appends a string's value or a number's text; null for anything else.
    pub fn push(&mut self, value: Option<Value<'_>>) {
        let valid = match value.map(|value| (value.kind(), value)) {
            Some((Kind::Text | Kind::Escaped, value)) => value.decode(&mut self.values),
            Some((Kind::Number, value)) => {
                self.values.push_str(value.raw());
                true
            }
            _ => false,
        };
        self.ends.push(self.values.len() as i64);
        self.valid.push(valid);
    }

    fn append(&mut self, other: &Self) {
        append_texts(&mut self.values, &mut self.ends, &other.values, &other.ends);
        self.valid.extend_from_slice(&other.valid);
    }

    fn finish(self) -> Result<ArrayRef> {
        strings(self.values, self.ends, Some(NullBuffer::from(self.valid)))
    }
}

/// The records, queries and rejected rows of a piece of a block; positions count from the start of the piece.
#[derive(Debug, Default)]
pub struct Columns {
    pub(super) found: i64,
    high: Vec<u64>,
    low: Vec<u64>,
    record: Vec<i64>,
    start: Vec<i64>,
    end: Vec<i64>,
    schema: Vec<u8>,
    turns: Vec<i32>,
    own_id: Texts,
    source: Texts,
    pub(super) queries: String,
    pub(super) query_ends: Vec<i64>,
    rejected_record: Vec<i64>,
    rejected_line: Vec<i64>,
    reasons: Vec<String>,
}

/// Named columns of one table.
pub type Table = Vec<(&'static str, ArrayRef)>;

impl Columns {
    /// No records yet, and so many before them.
    pub fn after(found: i64) -> Self {
        Self { found, ..Self::default() }
    }

    /// Adds a record that was read, from bytes `start..end`.
    pub fn accept(&mut self, sample: &Sample<'_>, source: Option<Value<'_>>, start: i64, end: i64) {
        self.high.push((sample.id >> 64) as u64);
        self.low.push(sample.id as u64);
        self.record.push(self.found);
        self.start.push(start);
        self.end.push(end);
        self.schema.push(sample.schema as u8);
        self.turns.push(sample.turns);
        self.own_id.push(sample.own_id);
        self.source.push(source);
        self.found += 1;
    }

    /// Adds a record that was not, on the line that is so many below the first.
    pub fn reject(&mut self, line: i64, reason: String) {
        self.rejected_record.push(self.found);
        self.rejected_line.push(line);
        self.reasons.push(reason);
        self.found += 1;
    }

    /// Makes room for the texts of all these pieces at once: growing step by step would copy them twice.
    pub fn reserve<'c>(&mut self, pieces: impl Iterator<Item = &'c Self>) {
        let sizes = pieces.map(|piece| (piece.queries.len(), piece.query_ends.len()));
        let (bytes, texts) = sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
        self.queries.reserve_exact(bytes);
        self.query_ends.reserve_exact(texts);
    }

    /// Appends the next piece, which begins so many bytes and lines after the start of this one.
    pub fn append(&mut self, next: &Self, bytes: i64, lines: i64) {
        let found = self.found;
        self.high.extend_from_slice(&next.high);
        self.low.extend_from_slice(&next.low);
        self.record.extend(next.record.iter().map(|record| record + found));
        self.start.extend(next.start.iter().map(|start| start + bytes));
        self.end.extend(next.end.iter().map(|end| end + bytes));
        self.schema.extend_from_slice(&next.schema);
        self.turns.extend_from_slice(&next.turns);
        self.own_id.append(&next.own_id);
        self.source.append(&next.source);
        append_texts(&mut self.queries, &mut self.query_ends, &next.queries, &next.query_ends);
        self.rejected_record.extend(next.rejected_record.iter().map(|record| record + found));
        self.rejected_line.extend(next.rejected_line.iter().map(|line| line + lines));
        self.reasons.extend_from_slice(&next.reasons);
        self.found += next.found;
    }

    /// The tables `records`, `queries` (in record order, `turns` of each) and `rejected`.
    pub fn finish(self) -> Result<[Table; 3]> {
        let records: Table = vec![
            ("high", Arc::new(UInt64Array::from(self.high))),
            ("low", Arc::new(UInt64Array::from(self.low))),
            ("record", Arc::new(Int64Array::from(self.record))),
            ("start", Arc::new(Int64Array::from(self.start))),
            ("end", Arc::new(Int64Array::from(self.end))),
            ("schema", Arc::new(UInt8Array::from(self.schema))),
            ("turns", Arc::new(Int32Array::from(self.turns))),
            ("own_id", self.own_id.finish()?),
            ("source", self.source.finish()?),
        ];
        let queries: Table = vec![("query", strings(self.queries, self.query_ends, None)?)];
        let rejected: Table = vec![
            ("line", Arc::new(Int64Array::from(self.rejected_line))),
            ("record", Arc::new(Int64Array::from(self.rejected_record))),
            ("reason", Arc::new(LargeStringArray::from(self.reasons))),
        ];
        Ok([records, queries, rejected])
    }
}

fn append_texts(values: &mut String, ends: &mut Vec<i64>, more: &str, more_ends: &[i64]) {
    let before = values.len() as i64;
    values.push_str(more);
    ends.extend(more_ends.iter().map(|end| end + before));
}

/// Texts end to end as an Arrow column, without a copy.
fn strings(values: String, ends: Vec<i64>, nulls: Option<NullBuffer>) -> Result<ArrayRef> {
    let mut offsets = Vec::with_capacity(ends.len() + 1);
    offsets.push(0);
    offsets.extend(ends);
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
    let column = LargeStringArray::try_new(offsets, Buffer::from_vec(values.into_bytes()), nulls);
    Ok(Arc::new(column.map_err(|error| Error::Column(error.to_string()))?))
}
