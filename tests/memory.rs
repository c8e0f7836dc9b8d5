//! Memory that runs out, in every place it can: the system hands out so many large arrays, then none any more, and every
//! kernel must end in [`Error::Memory`] or in the answer. One that goes on ends this process, naming the array's size.
#![cfg(not(feature = "python"))] // which brings an allocator of its own
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; it hands everything to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Debug;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef, DictionaryArray, LargeListArray, LargeStringArray, RecordBatch, StringViewArray};
use arrow_buffer::{OffsetBuffer, ScalarBuffer};
use arrow_schema::Field;
use bytes::Bytes;
use instag::association::{Pairs, Thresholds, count_pairs, finish, pair_rules};
use instag::candidates::candidates;
use instag::complexity_first::complexity_first;
use instag::coverage::max_coverage;
use instag::csr::{Csr, DROPPED, remap, tag_counts, take, union_rows};
use instag::first_rounds::{Cut, Shard, reached};
use instag::fpgrowth::{Bounds, frequent_itemsets};
use instag::intern::intern;
use instag::itemset_rules::itemset_rules;
use instag::merging::{changed_tags, round};
use instag::plain_pages::PlainPages;
use instag::rank::{Pool, most_complex};
use instag::strings::collect_strs;
use instag::uniting::{borrow_all, by_count, unite};
use instag::{Error, Result};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

/// Arrays below this are always had: those of a fixed size, and an error's text.
const LARGE: usize = 8 << 10;

/// How many large arrays may still be had.
static LEFT: AtomicIsize = AtomicIsize::new(isize::MAX);
/// How many were refused.
static REFUSED: AtomicUsize = AtomicUsize::new(0);
/// One test at a time, what it is set up with included.
static TURN: Mutex<()> = Mutex::new(());

/// The system's allocator, until there is nothing left.
struct Rationed;

fn is_left(bytes: usize) -> bool {
    let left = bytes < LARGE || LEFT.fetch_sub(1, Ordering::Relaxed) > 0;
    if !left {
        REFUSED.fetch_add(1, Ordering::Relaxed);
    }
    left
}

// SAFETY: all memory comes from and goes back to `System`, under the layouts given.
unsafe impl GlobalAlloc for Rationed {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if is_left(layout.size()) { unsafe { System.alloc(layout) } } else { null_mut() }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if is_left(layout.size()) { unsafe { System.alloc_zeroed(layout) } } else { null_mut() }
    }

    unsafe fn realloc(&self, array: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        if bytes <= layout.size() || is_left(bytes) {
            unsafe { System.realloc(array, layout, bytes) }
        } else {
            null_mut()
        }
    }

    unsafe fn dealloc(&self, array: *mut u8, layout: Layout) {
        unsafe { System.dealloc(array, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Rationed = Rationed;

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a kernel with 0, 1, 2 ... large arrays until that is enough.
fn holds<T: PartialEq + Debug>(name: &str, kernel: impl Fn() -> Result<T>) {
    eprintln!("{name}");
    let whole = kernel();
    assert!(whole.is_ok(), "{name}: {:?}", whole.err());
    let mut allowed = 0;
    loop {
        REFUSED.store(0, Ordering::Relaxed);
        LEFT.store(allowed, Ordering::Relaxed);
        let found = kernel();
        LEFT.store(isize::MAX, Ordering::Relaxed);
        if REFUSED.load(Ordering::Relaxed) == 0 {
            assert!(found == whole, "{name}");
            assert!(allowed > 0, "{name} takes no large array: the rows are too few");
            break;
        }
        match found {
            Err(Error::Memory { .. }) => {}
            Err(other) => panic!("{name}: {other}"),
            Ok(answer) => assert!(Ok(answer) == whole, "{name}"), // what was refused could be done without
        }
        allowed += 1 + allowed / 16;
    }
}

/// Rows of 1 to `2 * mean` of `size` tags, the first ones often, in an order that looks like none; and one long row.
fn table(rows: usize, mean: usize, size: usize) -> (Vec<i64>, Vec<u32>) {
    let mut state = 1u64;
    let mut draw = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut offsets, mut ids) = (vec![0], Vec::new());
    for row in 0..rows {
        let start = ids.len();
        let length = if row == rows / 2 { size / 2 } else { 1 + draw(2 * mean) };
        for _ in 0..length {
            let most = 1 + draw(size);
            let tag = draw(most) as u32;
            if !ids[start..].contains(&tag) {
                ids.push(tag);
                // A tag in pairs: what rules are made of.
                if tag % 5 == 0 && !ids[start..].contains(&(tag + 1)) {
                    ids.push(tag + 1);
                }
            }
        }
        offsets.push(ids.len() as i64);
    }
    (offsets, ids)
}

const ROWS: usize = 9_000;
const SIZE: usize = 3_001;

#[test]
fn rows_that_are_made_from_rows() {
    let _turn = turn();
    let (offsets, ids) = table(ROWS, 4, SIZE - 1);
    let rows = Csr::new(&offsets, &ids, SIZE).unwrap();
    let into: Vec<u32> = (0..SIZE as u32).map(|id| if id % 7 == 0 { DROPPED } else { id / 2 }).collect();
    let groups: Vec<i64> = (0..=ROWS as i64 / 2).map(|group| 2 * group).collect();
    holds("tag_counts", || tag_counts(rows));
    holds("remap", || remap(rows, &into, SIZE));
    holds("union_rows", || union_rows(rows, &groups));
    holds("take", || take(&offsets, &ids, &groups[..ROWS / 2]));
}

#[test]
fn selection() {
    let _turn = turn();
    let (offsets, ids) = table(ROWS, 4, SIZE - 1);
    let rows = Csr::new(&offsets, &ids, SIZE).unwrap();
    let pool = Pool::of(rows);
    let complexity: Vec<f64> = (0..ROWS).map(|row| (row % 17) as f64).collect();
    let eligible: Vec<u8> = (0..ROWS).map(|row| u8::from(row % 3 > 0)).collect();
    let weights: Vec<f64> = (0..SIZE).map(|tag| (tag % 11) as f64).collect();
    let ranked = Pool { complexity: Some(&complexity), eligible: Some(&eligible), ..pool };
    for (name, pool) in [("", pool), (" of other ranks", ranked)] {
        holds(&format!("most_complex{name}"), || most_complex(&pool, 4_000));
        holds(&format!("complexity_first{name}"), || complexity_first(&pool, 4_000));
        holds(&format!("max_coverage{name}"), || max_coverage(&pool, None, 4_000));
        holds(&format!("max_coverage with weights{name}"), || max_coverage(&pool, Some(&weights), 4_000));
    }
    let (offsets, ids) = table(4_000, 2, 9);
    let few = Pool::of(Csr::new(&offsets, &ids, 10).unwrap());
    holds("max_coverage of few tags", || max_coverage(&few, None, 4_000));

    let into: Vec<u32> = (0..SIZE as u32).collect();
    let shard = Shard { rows, into: &into, size: SIZE, complexity: Some(&complexity), eligible: None, first: 7 };
    let (cut, none) = (Cut { complexity: 9.0, number: 500 }, vec![0; SIZE]);
    holds("reached", || reached(&pool, 4_000));
    holds("ahead", || shard.ahead(cut));
    holds("behind", || shard.behind(cut, &none, 40));
}

#[test]
fn pair_rules_and_their_parts() {
    let _turn = turn();
    let (offsets, ids) = table(ROWS, 4, SIZE - 1);
    let rows = Csr::new(&offsets, &ids, SIZE).unwrap();
    let twice: Vec<u32> = ids.iter().flat_map(|&id| [id, id]).collect();
    let twice_offsets: Vec<i64> = offsets.iter().map(|&at| 2 * at).collect();
    let repeated = Csr::new(&twice_offsets, &twice, SIZE).unwrap();
    let (counts, marked) = (tag_counts(rows).unwrap(), vec![1; SIZE]);
    for share in [0.99, 0.01] {
        let thresholds = Thresholds::new(2, share).unwrap();
        holds("pair_rules", || pair_rules(rows, thresholds));
        holds("pair_rules of repeats", || pair_rules(repeated, thresholds));
        holds("candidates", || candidates(rows, &counts, &marked, thresholds));
        let pairs = candidates(rows, &counts, &marked, thresholds).unwrap();
        let (antecedents, consequents) = pairs.clone().into_arrays().unwrap();
        holds("from_arrays", || Pairs::from_arrays(SIZE, &antecedents, &consequents)?.into_arrays());
        holds("merge", || pairs.merge(&pairs));
        holds("count_pairs", || count_pairs(rows, &pairs));
        let joint = count_pairs(rows, &pairs).unwrap();
        holds("finish", || finish(&counts, &pairs, &joint, thresholds));
    }
}

#[test]
fn itemsets_and_their_rules() {
    let _turn = turn();
    for (name, rows, mean, size, min_count) in [("sparse", ROWS, 4, 3_000, 4), ("dense", 4_000, 12, 40, 300)] {
        let (offsets, ids) = table(rows, mean, size);
        let rows = Csr::new(&offsets, &ids, size + 1).unwrap();
        let bounds = Bounds { min_count, max_length: 9, max_itemsets: 1 << 20 };
        holds(&format!("frequent_itemsets, {name}"), || frequent_itemsets(rows, bounds));
        let sets = frequent_itemsets(rows, bounds).unwrap();
        holds(&format!("itemset_rules, {name}"), || itemset_rules(&sets, 0.3));
    }
}

/// The names of so many tags, most of them longer than a key.
fn names(size: usize) -> Vec<String> {
    (0..size).map(|tag| if tag % 3 == 0 { format!("tag {tag}") } else { format!("a longer tag, {tag}") }).collect()
}

fn lists(offsets: &[i64], values: ArrayRef) -> ArrayRef {
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets.to_vec()));
    Arc::new(LargeListArray::new(item, offsets, values, None))
}

/// Rows of one thread, and more, of which every thread has some.
#[test]
fn interning() {
    let _turn = turn();
    let names = names(SIZE);
    for rows in [ROWS, 4 * ROWS] {
        let (offsets, ids) = table(rows, 4, SIZE - 1);
        let texts = || ids.iter().map(|&id| names[id as usize].as_str());
        let (words, codes) = (LargeStringArray::from_iter_values(&names), ids.iter().map(|&id| id as i32).collect());
        let plain = LargeStringArray::from_iter_values(texts());
        let views = StringViewArray::from_iter_values(texts());
        let shared = shared_views(&names, &ids);
        let coded = DictionaryArray::<Int32Type>::new(codes, Arc::new(words));
        let columns: [(&str, ArrayRef); 4] = [
            ("plain strings", Arc::new(plain)),
            ("views", Arc::new(views)),
            ("shared views", Arc::new(shared)),
            ("codes", Arc::new(coded)),
        ];
        for (name, column) in columns {
            let chunks = [lists(&offsets, column)];
            holds(&format!("intern {rows} rows of {name}"), || intern(&chunks));
        }
    }
}

/// Views of which those of one string point to the same place.
fn shared_views(names: &[String], ids: &[u32]) -> StringViewArray {
    let words = StringViewArray::from_iter_values(names);
    let views: Vec<u128> = ids.iter().map(|&id| words.views()[id as usize]).collect();
    StringViewArray::new(views.into(), words.data_buffers().to_vec(), None)
}

#[test]
fn rows_of_plain_pages() {
    let _turn = turn();
    let ((offsets, ids), names) = (table(ROWS, 4, SIZE - 1), names(SIZE));
    let column = LargeStringArray::from_iter_values(ids.iter().map(|&id| &names[id as usize]));
    let batch = RecordBatch::try_from_iter([("tags", lists(&offsets, Arc::new(column)))]).unwrap();
    // Small pages, as they stand: the library takes no large array.
    let settings = WriterProperties::builder()
        .set_dictionary_enabled(false)
        .set_data_page_row_count_limit(100)
        .set_write_batch_size(100);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(settings.build())).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let file = Bytes::from(bytes);
    for sorted in [false, true] {
        holds("plain pages", || {
            let mut pages = PlainPages::default();
            assert!(pages.add(file.clone(), "tags", 0..ROWS)?);
            let found = pages.finish(sorted)?;
            Ok((found.words, found.offsets, found.ids, found.counts))
        });
    }
}

#[test]
fn vocabularies() {
    let _turn = turn();
    let names = names(40_000);
    let all: Vec<&String> = names.iter().chain(names.iter().step_by(3)).collect();
    let counts: Vec<i64> = (0..all.len() as i64).map(|tag| tag % 97).collect();
    let chunks: [ArrayRef; 1] = [Arc::new(LargeStringArray::from_iter_values(&all))];
    holds("borrow_all", || borrow_all(&chunks));
    holds("collect_strs", || collect_strs(&chunks[0]));
    holds("unite", || unite(&chunks, &counts, 9));
    let texts = borrow_all(&chunks).unwrap();
    holds("by_count", || by_count(&texts, &counts));
    let ordered = vec![1; names.len()];
    let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    holds("by_count of what is ordered", || by_count(&sorted, &ordered));
}

#[test]
fn merging() {
    let _turn = turn();
    let (offsets, ids) = table(ROWS, 4, 3 * SIZE);
    let rows = Csr::new(&offsets, &ids, 3 * SIZE + 2).unwrap();
    let counts = tag_counts(rows).unwrap();
    let ranks: Vec<u32> = (0..counts.len() as u32).collect();
    let antecedents: Vec<u32> = (1..counts.len() as u32).collect(); // a chain through all tags
    let consequents: Vec<u32> = (0..counts.len() as u32 - 1).collect();
    let confidences = vec![0.9; antecedents.len()];
    let ends = vec![0; counts.len()];
    holds("changed_tags", || changed_tags(rows, &ends));
    holds("round", || round((&antecedents, &consequents, &confidences), &counts, &ranks));
}
