//! What a block of records gives, as columns: filled by one thread a piece, joined in order, handed out as Arrow.
//!
//! Texts are views into buffers of the size of a piece: they are copied once, out of the record into the buffer, and
//! neither joining the pieces nor Polars copies or checks them again (end to end in one buffer a block they were copied
//! twice and checked once more, which took a fifth of reading's time).

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{ArrayBuilder, StringViewBuilder};
use arrow_array::{Array, ArrayRef, Int32Array, Int64Array, StringViewArray, UInt8Array, UInt64Array};

use super::tape::{Kind, Value};
use super::turns::{Reader, Sample};

/// A column of texts, some of them null; where all are, as is usual, nothing is written.
#[derive(Debug, Default)]
struct Texts {
    texts: StringViewBuilder,
    /// Nulls that follow them
    nulls: usize,
}

impl Texts {
    /// Appends a string's value or a number's text; null for anything else.
    fn push(&mut self, value: Option<Value<'_>>) {
        let number = |value: Value<'_>| value.kind() == Kind::Number;
        match value.and_then(|value| if number(value) { Some(value.raw()) } else { value.text() }) {
            Some(text) => {
                self.write_nulls();
                self.texts.append_value(text);
            }
            None => self.nulls += 1,
        }
    }

    fn write_nulls(&mut self) {
        (0..std::mem::take(&mut self.nulls)).for_each(|_| self.texts.append_null());
    }

    /// Appends some rows of what [`Texts::seal`] gave.
    fn append(&mut self, next: Option<&StringViewArray>, rows: Range<usize>) {
        match next.map(|texts| texts.slice(rows.start, rows.len())) {
            Some(texts) if texts.null_count() < rows.len() => {
                self.write_nulls();
                self.texts.append_array(&texts);
            }
            _ => self.nulls += rows.len(),
        }
    }

    /// The column, unless all of it is null.
    fn seal(mut self) -> Option<StringViewArray> {
        if self.texts.is_empty() {
            return None;
        }
        self.write_nulls();
        Some(self.texts.finish())
    }

    fn finish(self) -> StringViewArray {
        let nulls = self.nulls;
        self.seal().unwrap_or_else(|| StringViewArray::new_null(nulls))
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
    queries: StringViewBuilder,
    rejected_record: Vec<i64>,
    rejected_line: Vec<i64>,
    reasons: Vec<String>,
}

/// A place in columns: how much of each comes before it.
#[derive(Debug, Default, Clone, Copy)]
pub struct Mark {
    /// Records read and rejected
    pub found: i64,
    records: usize,
    queries: usize,
    rejected: usize,
}

/// Columns that pieces are taken out of; the texts of the records are none where all are null.
#[derive(Debug)]
pub struct Sealed {
    columns: Columns,
    own_id: Option<StringViewArray>,
    source: Option<StringViewArray>,
    queries: StringViewArray,
}

/// Named columns of one table.
pub type Table = Vec<(&'static str, ArrayRef)>;

impl Columns {
    /// No records yet, and so many before them.
    pub fn after(found: i64) -> Self {
        Self { found, ..Self::default() }
    }

    /// No records yet, with buffers for queries of so many bytes.
    pub fn with_buffers(bytes: usize) -> Self {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
        Self { queries: StringViewBuilder::new().with_fixed_block_size(bytes), ..Self::default() }
    }

    /// Adds a record that was read, from bytes `start..end`, with the queries that the reader holds of it.
    pub fn accept(
        &mut self,
        sample: &Sample<'_>,
        reader: &Reader,
        source: Option<Value<'_>>,
        (start, end): (usize, usize),
    ) {
        self.high.push((sample.id >> 64) as u64);
        self.low.push(sample.id as u64);
        self.record.push(self.found);
        self.start.push(start as i64);
        self.end.push(end as i64);
        self.schema.push(sample.schema as u8);
        self.turns.push(sample.turns);
        self.own_id.push(sample.own_id);
        self.source.push(source);
        reader.queries().for_each(|query| self.queries.append_value(query));
        self.found += 1;
    }

    /// Adds a record that was not, on the line that is so many below the first.
    pub fn reject(&mut self, line: i64, reason: String) {
        self.rejected_record.push(self.found);
        self.rejected_line.push(line);
        self.reasons.push(reason);
        self.found += 1;
    }

    /// Where the columns end now.
    pub fn mark(&self) -> Mark {
        Mark { found: self.found, records: self.high.len(), queries: self.queries.len(), rejected: self.reasons.len() }
    }

    /// The columns as pieces are taken out of them.
    pub fn seal(mut self) -> Sealed {
        let own_id = std::mem::take(&mut self.own_id).seal();
        let source = std::mem::take(&mut self.source).seal();
        Sealed { own_id, source, queries: self.queries.finish(), columns: self }
    }

    /// Appends the piece between two marks, which begins so many bytes and lines after the start of this one.
    pub fn append(&mut self, sealed: &Sealed, piece: &Range<Mark>, bytes: i64, lines: i64) {
        let (next, Range { start, end }) = (&sealed.columns, piece);
        let found = self.found - start.found;
        let records = start.records..end.records;
        self.high.extend_from_slice(&next.high[records.clone()]);
        self.low.extend_from_slice(&next.low[records.clone()]);
        self.record.extend(next.record[records.clone()].iter().map(|record| record + found));
        self.start.extend(next.start[records.clone()].iter().map(|start| start + bytes));
        self.end.extend(next.end[records.clone()].iter().map(|end| end + bytes));
        self.schema.extend_from_slice(&next.schema[records.clone()]);
        self.turns.extend_from_slice(&next.turns[records.clone()]);
        self.own_id.append(sealed.own_id.as_ref(), records.clone());
        self.source.append(sealed.source.as_ref(), records);
        self.queries.append_array(&sealed.queries.slice(start.queries, end.queries - start.queries));
        let rejected = start.rejected..end.rejected;
        self.rejected_record.extend(next.rejected_record[rejected.clone()].iter().map(|record| record + found));
        self.rejected_line.extend(next.rejected_line[rejected.clone()].iter().map(|line| line + lines));
        self.reasons.extend_from_slice(&next.reasons[rejected]);
        self.found += end.found - start.found;
    }

    /// The tables `records`, `queries` (in record order, `turns` of each) and `rejected`.
    pub fn finish(mut self) -> [Table; 3] {
        let records: Table = vec![
            ("high", Arc::new(UInt64Array::from(self.high))),
            ("low", Arc::new(UInt64Array::from(self.low))),
            ("record", Arc::new(Int64Array::from(self.record))),
            ("start", Arc::new(Int64Array::from(self.start))),
            ("end", Arc::new(Int64Array::from(self.end))),
            ("schema", Arc::new(UInt8Array::from(self.schema))),
            ("turns", Arc::new(Int32Array::from(self.turns))),
            ("own_id", Arc::new(self.own_id.finish())),
            ("source", Arc::new(self.source.finish())),
        ];
        let queries: Table = vec![("query", Arc::new(self.queries.finish()))];
        let rejected: Table = vec![
            ("line", Arc::new(Int64Array::from(self.rejected_line))),
            ("record", Arc::new(Int64Array::from(self.rejected_record))),
            ("reason", Arc::new(self.reasons.iter().map(Some).collect::<StringViewArray>())),
        ];
        [records, queries, rejected]
    }
}
