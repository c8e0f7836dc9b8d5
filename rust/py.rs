//! The Python module `instag._core`: borrow arrays, release the GIL, call one kernel, give arrays back.
//!
//! Nothing is decided here. To add a kernel: its `#[pyfunction]` in the section of its room below (the module
//! registers it by itself), its signature in `python/instag/_core.pyi` (held true by stubtest), its slow twin in
//! `tests/oracle.py`.
#![allow(unsafe_code, reason = "the Arrow C stream is handed over as a raw pointer in a capsule")]
#![allow(missing_docs, reason = "documented in _core.pyi, where Python users look")]
#![allow(clippy::needless_pass_by_value, reason = "pyo3 extracts arguments by value")]
#![allow(clippy::elidable_lifetime_names, reason = "one shape of signature for every binding")]
#![allow(clippy::type_complexity, reason = "a kernel's arrays, side by side, are what a binding returns")]
#![allow(clippy::wildcard_imports, reason = "`#[pymodule]` wants a module, which sees what this file imports")]

use std::ffi::CStr;
use std::fs::File;
use std::io::{BufWriter, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::ffi_stream::{FFI_ArrowArrayStream, RecordBatchStreamReader};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchIterator, RecordBatchReader, StringViewArray};
use arrow_schema::{ArrowError, Field, Schema, SchemaRef};
use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1, PyReadwriteArray1};
use pyo3::exceptions::{PyMemoryError, PyOSError, PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::association::{Pairs, Thresholds};
use crate::complexity_first::Picks;
use crate::csr::Csr;
use crate::error::Error;
use crate::first_rounds::{Cut, Shard};
use crate::parquet_read::read_lists;
use crate::rank::Pool;
use crate::records;
use crate::rule_form::{self, Stemmer};
use crate::strings::collect_strs;
use crate::uniting::{self, borrow_all};

const STREAM: &CStr = c"arrow_array_stream";

type Array1<'py, T> = Bound<'py, PyArray1<T>>;

impl From<Error> for PyErr {
    fn from(error: Error) -> Self {
        match error {
            Error::Memory { .. } => PyMemoryError::new_err(error.to_string()),
            _ => PyValueError::new_err(error.to_string()),
        }
    }
}

fn arrow_error(error: ArrowError) -> PyErr {
    PyValueError::new_err(format!("the Arrow stream could not be read: {error}"))
}

/// A table taken from anything with `__arrow_c_stream__` (a Polars data frame, or a series as its one column).
struct Table(SchemaRef, Vec<RecordBatch>);

impl<'py> FromPyObject<'_, 'py> for Table {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let frame = object.call_method0("to_frame"); // a Polars series: a stream of tables is what arrow-rs reads
        let source = frame.as_ref().map_or(&*object, |frame| frame);
        let capsule = source.call_method0("__arrow_c_stream__").map_err(|_| {
            PyTypeError::new_err(format!("expected a column with `__arrow_c_stream__`, found {}", object.get_type()))
        })?;
        let capsule = capsule.cast::<PyCapsule>()?;
        let pointer = capsule.pointer_checked(Some(STREAM))?.cast::<FFI_ArrowArrayStream>();
        // SAFETY: the capsule's name was checked, so it holds a stream; `from_raw` moves it out and leaves a released one.
        let reader = unsafe { RecordBatchStreamReader::from_raw(pointer.as_ptr()) }.map_err(arrow_error)?;
        let schema = reader.schema();
        Ok(Self(schema, reader.collect::<Result<_, _>>().map_err(arrow_error)?))
    }
}

/// The chunks of the one column of a [`Table`].
struct Column(Vec<ArrayRef>);

impl<'py> FromPyObject<'_, 'py> for Column {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let Table(_, batches) = object.extract()?;
        Ok(Self(batches.iter().map(|batch| batch.column(0).clone()).collect()))
    }
}

impl Column {
    /// Every value of a string column; a null is the empty string.
    fn words(&self) -> Result<Vec<String>, Error> {
        let mut words = Vec::new();
        for chunk in &self.0 {
            let chunk = crate::strings::collect_strs(chunk.as_ref())?;
            crate::room::more(&mut words, chunk.len())?;
            words.extend(chunk.into_iter().map(Option::unwrap_or_default));
        }
        Ok(words)
    }
}

/// A table going out: anything that reads `__arrow_c_stream__` (`pl.DataFrame`) takes it without a copy.
#[pyclass(module = "instag._core", frozen)]
struct ArrowTable(RecordBatch);

impl ArrowTable {
    fn new(columns: Vec<(&str, ArrayRef)>) -> PyResult<Self> {
        let fields: Vec<_> = columns.iter().map(|(name, c)| Field::new(*name, c.data_type().clone(), true)).collect();
        let arrays = columns.into_iter().map(|(_, column)| column).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map(Self).map_err(arrow_error)
    }

    fn strings<S: AsRef<str>>(name: &str, values: &[S]) -> PyResult<Self> {
        crate::room::check::<u128>(values.len())?; // the views: none of them is asked for by itself
        let array: StringViewArray = values.iter().map(|value| Some(value.as_ref())).collect();
        Self::new(vec![(name, Arc::new(array))])
    }
}

#[pymethods]
impl ArrowTable {
    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema; // a request, which the protocol lets a producer ignore
        let batches = RecordBatchIterator::new([Ok(self.0.clone())], self.0.schema());
        let stream = FFI_ArrowArrayStream::new(Box::new(batches));
        PyCapsule::new_with_value(py, stream, STREAM)
    }

    fn __len__(&self) -> usize {
        self.0.num_rows()
    }
}

fn os_error(error: std::io::Error) -> PyErr {
    let told = error.to_string();
    match error.raw_os_error() {
        // Python's class of it, and its words
        Some(number) => PyOSError::new_err((number, told.split(" (os error").next().unwrap_or("").to_owned())),
        None if error.kind() == ErrorKind::FileTooLarge => PyOverflowError::new_err(told),
        None => PyOSError::new_err(told),
    }
}

/// A file of JSON lines or of plain text, one after another; it alone is kept from call to call, for its digest.
#[pyclass]
struct Lines(records::lines::Lines<File>);

#[pymethods]
impl Lines {
    #[new]
    #[pyo3(signature = (path, skipped, plain, block, longest, schema=None, source_column=None, tagged=None))]
    #[allow(clippy::too_many_arguments, reason = "three of them say what a record is")]
    fn new(
        path: PathBuf,
        skipped: usize,
        plain: bool,
        block: u64,
        longest: usize,
        schema: Option<&str>,
        source_column: Option<String>,
        tagged: Option<(String, Option<String>)>,
    ) -> PyResult<Self> {
        let settings = record_settings(schema, source_column, tagged)?;
        let file = File::open(path).map_err(os_error)?;
        Ok(Self(records::lines::Lines::new(file, skipped, plain, block, longest, settings)))
    }

    /// Up to so many blocks, none after the last: tables and bytes of each, and the records up to its end.
    fn read(&mut self, py: Python<'_>, blocks: u64) -> PyResult<Vec<(Tables, u64, i64)>> {
        let read = py.detach(|| {
            let blocks = self.0.read(blocks)?;
            Ok(blocks.into_iter().map(|block| (block.columns.finish(), block.bytes, block.records)).collect::<Vec<_>>())
        });
        let found = read.map_err(os_error)?.into_iter();
        found.map(|(block, bytes, records)| Ok((tables(block)?, bytes, records))).collect()
    }

    /// The digest of the whole file and its bytes: what has not been asked for yet is read now.
    fn digest(&mut self, py: Python<'_>) -> PyResult<(String, u64)> {
        let (digest, bytes) = py.detach(|| self.0.digest()).map_err(os_error)?;
        Ok((format!("{digest:032x}"), bytes))
    }
}

fn record_settings(
    schema: Option<&str>,
    source_column: Option<String>,
    tagged: Option<(String, Option<String>)>,
) -> Result<records::Settings, Error> {
    let schema = schema.map(str::parse).transpose()?;
    let tagged = tagged.map(|(tags, id)| records::tagged::Members { tags, id });
    Ok(records::Settings { schema, source_column, tagged })
}

/// The tables `records`, `queries`, `rejected`.
type Tables = (ArrowTable, ArrowTable, ArrowTable);

fn tables([records, queries, rejected]: [records::columns::Table; 3]) -> PyResult<Tables> {
    Ok((ArrowTable::new(records)?, ArrowTable::new(queries)?, ArrowTable::new(rejected)?))
}

/// The tables `records`, `queries`, `rejected`; bytes used; the place and the layout of what follows.
type ReadBlock = (Tables, usize, (i64, i64, i64), &'static str);

type Array1Of<'py, T> = PyReadonlyArray1<'py, T>;

/// The vocabulary, the offsets, the ids, the counts.
type Interned<'py> = (ArrowTable, Array1<'py, i64>, Array1<'py, u32>, Array1<'py, i64>);

fn interned<'py>(py: Python<'py>, chunks: &[ArrayRef], at_once: Option<usize>) -> PyResult<Interned<'py>> {
    let (made, vocabulary) = py.detach(|| {
        let made = match at_once {
            None => crate::intern::intern(chunks)?,
            Some(at_once) => crate::intern::intern_shard(chunks, at_once)?,
        };
        let vocabulary = ArrowTable::strings("tag", &made.vocabulary)?;
        Ok::<_, PyErr>((made, vocabulary))
    })?;
    Ok((vocabulary, made.offsets.into_pyarray(py), made.ids.into_pyarray(py), made.counts.into_pyarray(py)))
}

/// Rows that need no more than one thread, where all their pages are plain.
fn read_plain(
    files: &[(PathBuf, usize, usize)],
    column: &str,
    at_once: Option<usize>,
) -> Result<Option<crate::plain_pages::Plain>, Error> {
    let rows = files.iter().map(|(_, start, end)| end.saturating_sub(*start)).sum();
    if !crate::intern::is_done_by_one(rows, at_once.unwrap_or(1)) {
        return Ok(None);
    }
    let mut pages = crate::plain_pages::PlainPages::default();
    for (path, start, end) in files {
        let read = pages.add(opened(path)?, column, *start..*end);
        if !read.map_err(|error| unreadable(path, error))? {
            return Ok(None);
        }
    }
    pages.finish(at_once.is_none()).map(Some)
}

fn opened(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|error| unreadable(path, Error::Parquet(error.to_string())))
}

fn unreadable(path: &Path, error: Error) -> Error {
    match error {
        Error::Memory { .. } => error, // no fault of the file
        _ => Error::Parquet(format!("`{}` cannot be read: {error}", path.display())),
    }
}

#[pymodule(name = "_core")]
mod core {
    use super::*;

    #[pymodule_export]
    use super::ArrowTable;

    #[pymodule_export]
    use super::Lines;

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "Python's name")]
    const __version__: &str = env!("CARGO_PKG_VERSION");

    // ---- tag tables ----

    #[pyfunction]
    #[pyo3(signature = (column, at_once=None))]
    fn intern<'py>(py: Python<'py>, column: Column, at_once: Option<usize>) -> PyResult<Interned<'py>> {
        interned(py, &column.0, at_once)
    }

    #[pyfunction]
    fn row_groups(py: Python<'_>, path: PathBuf) -> PyResult<Vec<i64>> {
        Ok(py.detach(|| crate::parquet_read::row_groups(&opened(&path)?).map_err(|error| unreadable(&path, error)))?)
    }

    #[pyfunction]
    #[pyo3(signature = (files, column, at_once=None))]
    fn read_tags<'py>(
        py: Python<'py>,
        files: Vec<(PathBuf, usize, usize)>,
        column: &str,
        at_once: Option<usize>,
    ) -> PyResult<Interned<'py>> {
        if let Some(made) = py.detach(|| read_plain(&files, column, at_once))? {
            let words = ArrowTable::new(vec![("tag", Arc::new(made.words))])?;
            return Ok((words, made.offsets.into_pyarray(py), made.ids.into_pyarray(py), made.counts.into_pyarray(py)));
        }
        let chunks = py.detach(|| {
            let read = |(path, start, end): &(PathBuf, usize, usize)| {
                read_lists(opened(path)?, column, *start..*end).map_err(|error| unreadable(path, error))
            };
            Ok::<_, Error>(files.iter().map(read).collect::<Result<Vec<_>, _>>()?.concat())
        })?;
        interned(py, &chunks, at_once)
    }

    #[pyfunction]
    fn write_tagged(
        py: Python<'_>,
        path: PathBuf,
        columns: Table,
        name: &str,
        vocabulary: Column,
        offsets: Array1Of<'_, i64>,
        ids: Array1Of<'_, u32>,
    ) -> PyResult<()> {
        let (Table(schema, batches), rows) = (columns, (offsets.as_slice()?, ids.as_slice()?));
        Ok(py.detach(|| {
            let file = File::create(&path).map_err(|error| Error::Parquet(error.to_string()))?;
            crate::parquet_write::write(BufWriter::new(file), &schema, &batches, name, &vocabulary.0, rows)
        })?)
    }

    #[pyfunction]
    fn unite<'py>(
        py: Python<'py>,
        words: Column,
        counts: Array1Of<'py, i64>,
        known: usize,
    ) -> PyResult<(ArrowTable, Array1<'py, u32>, Array1<'py, i64>)> {
        let counts = counts.as_slice()?;
        let (words, numbers, counts) = py.detach(|| {
            let (words, numbers, counts) = uniting::unite(&words.0, counts, known)?;
            Ok::<_, PyErr>((ArrowTable::strings("tag", &words)?, numbers, counts))
        })?;
        Ok((words, numbers.into_pyarray(py), counts.into_pyarray(py)))
    }

    #[pyfunction]
    fn by_count<'py>(py: Python<'py>, words: Column, counts: Array1Of<'py, i64>) -> PyResult<Array1<'py, u32>> {
        let counts = counts.as_slice()?;
        let order = py.detach(|| uniting::by_count(&borrow_all(&words.0)?, counts))?;
        Ok(order.into_pyarray(py))
    }

    #[pyfunction]
    fn to_lists(
        py: Python<'_>,
        vocabulary: Column,
        offsets: Array1Of<'_, i64>,
        ids: Array1Of<'_, u32>,
    ) -> PyResult<ArrowTable> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let lists = py.detach(|| crate::strings::to_lists(&vocabulary.0, offsets, ids))?;
        ArrowTable::new(vec![("tags", lists)])
    }

    #[pyfunction]
    #[pyo3(signature = (offsets, ids, size, into=None))]
    fn tag_counts<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        into: Option<Array1Of<'py, u32>>,
    ) -> PyResult<Array1<'py, i64>> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let into = into.as_ref().map(|into| into.as_slice()).transpose()?;
        let counts = py.detach(|| match into {
            None => Csr::new(offsets, ids, size).and_then(crate::csr::tag_counts),
            Some(into) => crate::csr::renamed_counts(Csr::new(offsets, ids, into.len())?, into, size),
        })?;
        Ok(counts.into_pyarray(py))
    }

    #[pyfunction]
    fn remap<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        into: Array1Of<'py, u32>,
        size: usize,
    ) -> PyResult<(Array1<'py, i64>, Array1<'py, u32>)> {
        let (offsets, ids, into) = (offsets.as_slice()?, ids.as_slice()?, into.as_slice()?);
        let (offsets, ids) = py.detach(|| crate::csr::remap(Csr::new(offsets, ids, into.len())?, into, size))?;
        Ok((offsets.into_pyarray(py), ids.into_pyarray(py)))
    }

    #[pyfunction]
    fn take<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        rows: Array1Of<'py, i64>,
    ) -> PyResult<(Array1<'py, i64>, Array1<'py, u32>)> {
        let (offsets, ids, rows) = (offsets.as_slice()?, ids.as_slice()?, rows.as_slice()?);
        let (offsets, ids) = py.detach(|| crate::csr::take(offsets, ids, rows))?;
        Ok((offsets.into_pyarray(py), ids.into_pyarray(py)))
    }

    #[pyfunction]
    fn union_rows<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        groups: Array1Of<'py, i64>,
        size: usize,
    ) -> PyResult<(Array1<'py, i64>, Array1<'py, u32>)> {
        let (offsets, ids, groups) = (offsets.as_slice()?, ids.as_slice()?, groups.as_slice()?);
        let (offsets, ids) = py.detach(|| crate::csr::union_rows(Csr::new(offsets, ids, size)?, groups))?;
        Ok((offsets.into_pyarray(py), ids.into_pyarray(py)))
    }

    // ---- normalize: rule forms ----

    #[pyfunction]
    fn porter_stem(word: &str) -> String {
        crate::porter::stem(word)
    }

    #[pyfunction]
    #[pyo3(signature = (vocabulary, stemmer, paper))]
    fn rule_forms<'py>(
        py: Python<'py>,
        vocabulary: Column,
        stemmer: &str,
        paper: bool,
    ) -> PyResult<(ArrowTable, Array1<'py, u32>)> {
        let (forms, groups) = py.detach(|| {
            let stemmer = Stemmer::named(stemmer)?;
            let forms = rule_form::rule_forms(&borrow_all(&vocabulary.0)?, &stemmer, paper);
            let groups = rule_form::group(&forms)?;
            Ok::<_, Error>((forms, groups))
        })?;
        Ok((ArrowTable::strings("form", &forms)?, groups.into_pyarray(py)))
    }

    #[pyfunction]
    fn protected_names() -> Vec<&'static str> {
        rule_form::PROTECTED.to_vec()
    }

    #[pyfunction]
    fn stemmers() -> Vec<&'static str> {
        let languages = rule_form::LANGUAGES.iter().map(|(name, ..)| *name);
        ["inflection", "porter", "none"].into_iter().chain(languages).collect()
    }

    #[pyfunction]
    fn stemmer_codes() -> std::collections::BTreeMap<&'static str, &'static str> {
        rule_form::LANGUAGES.iter().map(|(name, code, ..)| (*code, *name)).collect()
    }

    // ---- normalize: semantic groups ----

    #[pyfunction]
    fn lexical_keys(py: Python<'_>, tags: Column) -> PyResult<ArrowTable> {
        let keys = py.detach(|| Ok::<_, Error>(crate::lexical::keys(&tags.words()?)))?;
        ArrowTable::strings("key", &keys)
    }

    #[pyfunction]
    fn lexical_reasons(py: Python<'_>, tags: Column, into: Array1Of<'_, u32>) -> PyResult<ArrowTable> {
        let into = into.as_slice()?;
        let reasons = py.detach(|| crate::lexical::reasons(&tags.words()?, into))?;
        ArrowTable::strings("reason", &reasons)
    }

    #[pyfunction]
    fn guard_pairs(py: Python<'_>, tags: Column, a: Array1Of<'_, u32>, b: Array1Of<'_, u32>) -> PyResult<ArrowTable> {
        let (a, b) = (a.as_slice()?, b.as_slice()?);
        let columns =
            py.detach(|| crate::guards::differences(&tags.words()?, a, b).map(|told| crate::guards::columns(&told)))?;
        ArrowTable::new(columns)
    }

    #[pyfunction]
    fn tag_numbers(py: Python<'_>, tags: Column) -> PyResult<ArrowTable> {
        let numbers = py.detach(|| Ok::<_, Error>(crate::guards::numbers_of(&tags.words()?)))?;
        ArrowTable::strings("numbers", &numbers)
    }

    #[pyfunction]
    fn cosines<'py>(
        py: Python<'py>,
        vectors: Array1Of<'py, f32>,
        dimension: usize,
        a: Array1Of<'py, u32>,
        b: Array1Of<'py, u32>,
    ) -> PyResult<Array1<'py, f64>> {
        let (vectors, a, b) = (vectors.as_slice()?, a.as_slice()?, b.as_slice()?);
        let cosines = py.detach(|| crate::cosine::cosines(vectors, dimension, a, b))?;
        Ok(cosines.into_pyarray(py))
    }

    #[pyfunction]
    fn single_linkage<'py>(
        py: Python<'py>,
        size: usize,
        a: Array1Of<'py, u32>,
        b: Array1Of<'py, u32>,
    ) -> PyResult<Array1<'py, i64>> {
        let (a, b) = (a.as_slice()?, b.as_slice()?);
        let groups = py.detach(|| crate::cluster::single(size, a, b))?;
        Ok(groups.into_pyarray(py))
    }

    #[pyfunction]
    fn complete_linkage<'py>(
        py: Python<'py>,
        size: usize,
        a: Array1Of<'py, u32>,
        b: Array1Of<'py, u32>,
        cosines: Array1Of<'py, f64>,
    ) -> PyResult<Array1<'py, i64>> {
        let (a, b, cosines) = (a.as_slice()?, b.as_slice()?, cosines.as_slice()?);
        let groups = py.detach(|| crate::cluster::complete(size, a, b, cosines))?;
        Ok(groups.into_pyarray(py))
    }

    // ---- normalize: association ----

    #[pyfunction]
    fn frequent_itemsets<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        min_count: i64,
        max_length: usize,
        max_itemsets: usize,
    ) -> PyResult<(Array1<'py, i64>, Array1<'py, u32>, Array1<'py, i64>)> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let bounds = crate::fpgrowth::Bounds { min_count, max_length, max_itemsets };
        let sets = py.detach(|| crate::fpgrowth::frequent_itemsets(Csr::new(offsets, ids, size)?, bounds))?;
        Ok((sets.offsets.into_pyarray(py), sets.ids.into_pyarray(py), sets.counts.into_pyarray(py)))
    }

    #[pyfunction]
    #[allow(clippy::too_many_arguments, reason = "a shard is three, the pool two, the thresholds two")]
    fn rule_candidates<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        counts: Array1Of<'py, i64>,
        marked: Array1Of<'py, u8>,
        min_count: i64,
        min_confidence: f64,
    ) -> PyResult<(Array1<'py, u32>, Array1<'py, u32>)> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let (counts, marked) = (counts.as_slice()?, marked.as_slice()?);
        let (antecedents, consequents) = py.detach(|| {
            let thresholds = Thresholds::new(min_count, min_confidence)?;
            crate::candidates::candidates(Csr::new(offsets, ids, size)?, counts, marked, thresholds)?.into_arrays()
        })?;
        Ok((antecedents.into_pyarray(py), consequents.into_pyarray(py)))
    }

    #[pyfunction]
    fn count_pairs<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        antecedents: Array1Of<'py, u32>,
        consequents: Array1Of<'py, u32>,
    ) -> PyResult<Array1<'py, i64>> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let (antecedents, consequents) = (antecedents.as_slice()?, consequents.as_slice()?);
        let joint = py.detach(|| {
            let pairs = Pairs::from_arrays(size, antecedents, consequents)?;
            crate::association::count_pairs(Csr::new(offsets, ids, size)?, &pairs)
        })?;
        Ok(joint.into_pyarray(py))
    }

    #[pyfunction]
    fn pair_rules<'py>(
        py: Python<'py>,
        counts: Array1Of<'py, i64>,
        antecedents: Array1Of<'py, u32>,
        consequents: Array1Of<'py, u32>,
        joint: Array1Of<'py, i64>,
        min_count: i64,
        min_confidence: f64,
    ) -> PyResult<(Array1<'py, u32>, Array1<'py, u32>, Array1<'py, i64>, Array1<'py, f64>)> {
        let (counts, joint) = (counts.as_slice()?, joint.as_slice()?);
        let (antecedents, consequents) = (antecedents.as_slice()?, consequents.as_slice()?);
        let rules = py.detach(|| {
            let thresholds = Thresholds::new(min_count, min_confidence)?;
            let pairs = Pairs::from_arrays(counts.len(), antecedents, consequents)?;
            crate::association::finish(counts, &pairs, joint, thresholds)
        })?;
        let (antecedents, consequents) = (rules.antecedents.into_pyarray(py), rules.consequents.into_pyarray(py));
        Ok((antecedents, consequents, rules.counts.into_pyarray(py), rules.confidences.into_pyarray(py)))
    }

    #[pyfunction]
    #[allow(clippy::too_many_arguments, reason = "a table is three, the settings are four")]
    fn itemset_rules<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        min_count: i64,
        min_confidence: f64,
        max_antecedent: usize,
        max_itemsets: usize,
    ) -> PyResult<(Array1<'py, i64>, Array1<'py, u32>, Array1<'py, u32>, Array1<'py, i64>, Array1<'py, f64>)> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let max_length = max_antecedent.saturating_add(1);
        let bounds = crate::fpgrowth::Bounds { min_count, max_length, max_itemsets };
        let rules = py.detach(|| {
            let sets = crate::fpgrowth::frequent_itemsets(Csr::new(offsets, ids, size)?, bounds)?;
            crate::itemset_rules::itemset_rules(&sets, min_confidence)
        })?;
        let (offsets, antecedents) = (rules.offsets.into_pyarray(py), rules.antecedents.into_pyarray(py));
        let (consequents, counts) = (rules.consequents.into_pyarray(py), rules.counts.into_pyarray(py));
        Ok((offsets, antecedents, consequents, counts, rules.confidences.into_pyarray(py)))
    }

    #[pyfunction]
    fn merge_round<'py>(
        py: Python<'py>,
        antecedents: Array1Of<'py, u32>,
        consequents: Array1Of<'py, u32>,
        confidences: Array1Of<'py, f64>,
        counts: Array1Of<'py, i64>,
        ranks: Array1Of<'py, u32>,
    ) -> PyResult<(Array1<'py, u32>, Array1<'py, f64>)> {
        let rules = (antecedents.as_slice()?, consequents.as_slice()?, confidences.as_slice()?);
        let (counts, ranks) = (counts.as_slice()?, ranks.as_slice()?);
        let round = py.detach(|| crate::merging::round(rules, counts, ranks))?;
        Ok((round.ends.into_pyarray(py), round.confidences.into_pyarray(py)))
    }

    #[pyfunction]
    fn changed_tags<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        ends: Array1Of<'py, u32>,
    ) -> PyResult<Array1<'py, u8>> {
        let (offsets, ids, ends) = (offsets.as_slice()?, ids.as_slice()?, ends.as_slice()?);
        let marked = py.detach(|| crate::merging::changed_tags(Csr::new(offsets, ids, ends.len())?, ends))?;
        Ok(marked.into_pyarray(py))
    }

    // ---- analyze ----

    #[pyfunction]
    #[pyo3(signature = (offsets, ids, size, rows, positions=None))]
    fn first_seen<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        rows: Array1Of<'py, i64>,
        positions: Option<Array1Of<'py, i64>>,
    ) -> PyResult<Array1<'py, i64>> {
        let (offsets, ids, rows) = (offsets.as_slice()?, ids.as_slice()?, rows.as_slice()?);
        let positions = positions.as_ref().map(|positions| positions.as_slice()).transpose()?;
        let first = py.detach(|| crate::analysis::first_seen(offsets, ids, size, rows, positions))?;
        Ok(first.into_pyarray(py))
    }

    // ---- select ----

    type PyPicks<'py> = (Array1<'py, i64>, Array1<'py, i32>, Array1<'py, i64>);

    fn picks(py: Python<'_>, picks: Picks) -> PyPicks<'_> {
        (picks.rows.into_pyarray(py), picks.rounds.into_pyarray(py), picks.gains.into_pyarray(py))
    }

    #[pyfunction]
    #[pyo3(signature = (offsets, ids, size, k, complexity=None, eligible=None))]
    fn complexity_first<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        k: usize,
        complexity: Option<Array1Of<'py, f64>>,
        eligible: Option<Array1Of<'py, u8>>,
    ) -> PyResult<PyPicks<'py>> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let complexity = complexity.as_ref().map(|values| values.as_slice()).transpose()?;
        let eligible = eligible.as_ref().map(|mask| mask.as_slice()).transpose()?;
        let made = py.detach(|| {
            let rows = Csr::new(offsets, ids, size)?;
            crate::complexity_first::complexity_first(&Pool { rows, complexity, eligible }, k)
        })?;
        Ok(picks(py, made))
    }

    #[pyfunction]
    #[pyo3(signature = (offsets, ids, size, k, complexity=None))]
    fn rounds_reached<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        k: usize,
        complexity: Option<Array1Of<'py, f64>>,
    ) -> PyResult<(Array1<'py, u32>, u32)> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let complexity = complexity.as_ref().map(|values| values.as_slice()).transpose()?;
        let (reached, end) = py.detach(|| {
            let rows = Csr::new(offsets, ids, size)?;
            crate::first_rounds::reached(&Pool { complexity, ..Pool::of(rows) }, k)
        })?;
        Ok((reached.into_pyarray(py), end))
    }

    #[pyfunction]
    #[pyo3(signature = (offsets, ids, into, size, first, cut, complexity=None, eligible=None, reached=None, end=0))]
    #[allow(
        clippy::too_many_arguments,
        reason = "a shard is five, what it is ranked by two, the state of the pass three"
    )]
    fn first_rounds<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        into: Array1Of<'py, u32>,
        size: usize,
        first: i64,
        cut: (f64, i64),
        complexity: Option<Array1Of<'py, f64>>,
        eligible: Option<Array1Of<'py, u8>>,
        reached: Option<Array1Of<'py, u32>>,
        end: u32,
    ) -> PyResult<(Array1<'py, i64>, Array1<'py, i64>, Array1<'py, u32>)> {
        let (offsets, ids, into) = (offsets.as_slice()?, ids.as_slice()?, into.as_slice()?);
        let complexity = complexity.as_ref().map(|values| values.as_slice()).transpose()?;
        let eligible = eligible.as_ref().map(|mask| mask.as_slice()).transpose()?;
        let reached = reached.as_ref().map(|rounds| rounds.as_slice()).transpose()?;
        let cut = Cut { complexity: cut.0, number: cut.1 };
        let (numbers, (offsets, ids)) = py.detach(|| {
            let rows = Csr::new(offsets, ids, into.len())?;
            let shard = Shard { rows, into, size, complexity, eligible, first };
            reached.map_or_else(|| shard.ahead(cut), |reached| shard.behind(cut, reached, end))
        })?;
        Ok((numbers.into_pyarray(py), offsets.into_pyarray(py), ids.into_pyarray(py)))
    }

    #[pyfunction]
    #[pyo3(signature = (offsets, ids, size, k, weights=None, eligible=None))]
    fn max_coverage<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        k: usize,
        weights: Option<Array1Of<'py, f64>>,
        eligible: Option<Array1Of<'py, u8>>,
    ) -> PyResult<PyPicks<'py>> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let weights = weights.as_ref().map(|values| values.as_slice()).transpose()?;
        let eligible = eligible.as_ref().map(|mask| mask.as_slice()).transpose()?;
        let made = py.detach(|| {
            let rows = Csr::new(offsets, ids, size)?;
            crate::coverage::max_coverage(&Pool { rows, complexity: None, eligible }, weights, k)
        })?;
        Ok(picks(py, made))
    }

    #[pyfunction]
    #[pyo3(signature = (offsets, ids, size, k, complexity=None, eligible=None))]
    fn most_complex<'py>(
        py: Python<'py>,
        offsets: Array1Of<'py, i64>,
        ids: Array1Of<'py, u32>,
        size: usize,
        k: usize,
        complexity: Option<Array1Of<'py, f64>>,
        eligible: Option<Array1Of<'py, u8>>,
    ) -> PyResult<Array1<'py, i64>> {
        let (offsets, ids) = (offsets.as_slice()?, ids.as_slice()?);
        let complexity = complexity.as_ref().map(|values| values.as_slice()).transpose()?;
        let eligible = eligible.as_ref().map(|mask| mask.as_slice()).transpose()?;
        let rows = py.detach(|| {
            let rows = Csr::new(offsets, ids, size)?;
            crate::rank::most_complex(&Pool { rows, complexity, eligible }, k)
        })?;
        Ok(rows.into_pyarray(py))
    }

    #[pyfunction]
    fn draw<'py>(py: Python<'py>, n: usize, bits: Array1Of<'py, u64>) -> PyResult<Array1<'py, i64>> {
        let bits = bits.as_slice()?;
        Ok(py.detach(|| crate::draw::draw(n, bits))?.into_pyarray(py))
    }

    #[pyfunction]
    fn draw_places<'py>(py: Python<'py>, bits: Array1Of<'py, u64>) -> PyResult<Array1<'py, i64>> {
        let bits = bits.as_slice()?;
        Ok(py.detach(|| crate::draw::places(bits))?.into_pyarray(py))
    }

    // ---- read ----

    #[pyfunction]
    fn detect_layout(py: Python<'_>, block: &[u8]) -> Option<&'static str> {
        py.detach(|| records::layout::detect(&String::from_utf8_lossy(block)).map(records::layout::Layout::name))
    }

    #[pyfunction]
    fn is_value(line: &[u8]) -> bool {
        std::str::from_utf8(line).is_ok_and(records::layout::is_value)
    }

    #[pyfunction]
    fn nested_list(py: Python<'_>, block: &[u8]) -> PyResult<Option<(usize, usize)>> {
        let Ok(text) = std::str::from_utf8(block) else { return Ok(None) };
        py.detach(|| records::layout::nested_list(text)).map_err(PyValueError::new_err)
    }

    #[pyfunction]
    #[allow(clippy::too_many_arguments, reason = "three of them say what a record is")]
    #[pyo3(signature = (block, layout, place, last, schema=None, source_column=None, tagged=None, rest=b"".as_slice()))]
    fn read_block(
        py: Python<'_>,
        block: &[u8],
        layout: &str,
        place: (i64, i64, i64),
        last: bool,
        schema: Option<&str>,
        source_column: Option<String>,
        tagged: Option<(String, Option<String>)>,
        rest: &[u8],
    ) -> PyResult<ReadBlock> {
        let layout = layout.parse()?;
        let settings = record_settings(schema, source_column, tagged)?;
        let (offset, lines, records) = place;
        let place = records::Place { offset, lines, records };
        let (found, block) = py.detach(|| {
            let mut block = records::read_block(rest, block, layout, place, last, &settings);
            (std::mem::take(&mut block.columns).finish(), block)
        });
        let next = (block.next.offset, block.next.lines, block.next.records);
        Ok((tables(found)?, block.used, next, block.layout.name()))
    }

    #[pyfunction]
    fn unique_rows<'py>(
        py: Python<'py>,
        high: Array1Of<'py, u64>,
        low: Array1Of<'py, u64>,
        ends: Array1Of<'py, i64>,
    ) -> PyResult<(Array1<'py, i64>, Array1<'py, i64>, Array1<'py, bool>)> {
        let (high, low, ends) = (high.as_slice()?, low.as_slice()?, ends.as_slice()?);
        let found = py.detach(|| records::distinct::unique_rows(high, low, ends))?;
        Ok((found.rows.into_pyarray(py), found.firsts.into_pyarray(py), found.fresh.into_pyarray(py)))
    }

    #[pyfunction]
    fn known_rows<'py>(
        py: Python<'py>,
        mut slots: PyReadwriteArray1<'py, u64>,
        high: Array1Of<'py, u64>,
        low: Array1Of<'py, u64>,
        files: Array1Of<'py, u32>,
        first: i64,
    ) -> PyResult<(Array1<'py, i64>, Array1<'py, u32>)> {
        let (slots, high, low, files) = (slots.as_slice_mut()?, high.as_slice()?, low.as_slice()?, files.as_slice()?);
        let (rows, before) = py.detach(|| records::known::known_rows(slots, high, low, files, first))?;
        Ok((rows.into_pyarray(py), before.into_pyarray(py)))
    }

    #[pyfunction]
    fn enlarged<'py>(py: Python<'py>, slots: Array1Of<'py, u64>, size: usize) -> PyResult<Array1<'py, u64>> {
        let slots = slots.as_slice()?;
        Ok(py.detach(|| records::known::enlarged(slots, size))?.into_pyarray(py))
    }

    #[pyfunction]
    fn query_rows<'py>(
        py: Python<'py>,
        firsts: Array1Of<'py, i64>,
        turns: Array1Of<'py, i32>,
    ) -> PyResult<(Array1<'py, i64>, Array1<'py, i32>, Array1<'py, bool>)> {
        let (firsts, turns) = (firsts.as_slice()?, turns.as_slice()?);
        let (rows, numbers, kept) = py.detach(|| records::distinct::query_rows(firsts, turns))?;
        Ok((rows.into_pyarray(py), numbers.into_pyarray(py), kept.into_pyarray(py)))
    }

    #[pyfunction]
    fn hex_ids(py: Python<'_>, high: Array1Of<'_, u64>, low: Array1Of<'_, u64>) -> PyResult<ArrowTable> {
        let (high, low) = (high.as_slice()?, low.as_slice()?);
        ArrowTable::new(vec![("id", Arc::new(py.detach(|| records::distinct::hex_ids(high, low))?))])
    }

    #[pyfunction]
    #[allow(clippy::too_many_arguments, reason = "ranges are three, the settings are four")]
    #[pyo3(signature = (block, starts, ends, form, plain=false, schema=None, notes=None))]
    fn export_records(
        py: Python<'_>,
        block: &[u8],
        starts: Array1Of<'_, i64>,
        ends: Array1Of<'_, i64>,
        form: &str,
        plain: bool,
        schema: Option<&str>,
        notes: Option<Column>,
    ) -> PyResult<ArrowTable> {
        let (starts, ends) = (starts.as_slice()?, ends.as_slice()?);
        let settings =
            records::export::Settings { form: form.parse()?, plain, schema: schema.map(str::parse).transpose()? };
        let lines = py.detach(|| {
            let chunks = notes.map(|notes| notes.0.iter().map(|chunk| collect_strs(chunk.as_ref())).collect());
            let notes: Option<Vec<Vec<_>>> = chunks.transpose()?;
            let notes = notes.map(|chunks| chunks.concat());
            records::export::export(block, starts, ends, notes.as_deref(), settings)
        })?;
        ArrowTable::strings("line", &lines)
    }

    #[pyfunction]
    fn schema_names() -> Vec<&'static str> {
        records::schema::Schema::ALL.iter().map(|schema| schema.name()).collect()
    }

    // ---- tag: keyphrase ----

    #[pyfunction]
    fn keyphrase_candidates<'py>(py: Python<'py>, queries: Column) -> PyResult<(ArrowTable, Array1<'py, u32>)> {
        let (texts, parts) = py.detach(|| crate::keyphrase::first_pass(&queries.0))?;
        Ok((ArrowTable::new(vec![("candidates", texts)])?, parts.into_flattened().into_pyarray(py)))
    }

    #[pyfunction]
    fn keyphrase_tags(py: Python<'_>, queries: Column) -> PyResult<ArrowTable> {
        let columns = py.detach(|| crate::keyphrase::tag(&queries.0)?.columns())?;
        ArrowTable::new(columns)
    }
}
