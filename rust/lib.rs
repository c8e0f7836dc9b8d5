//! The core of `instag`: pure algorithms over tag tables and blocks of text.
//!
//! Nothing here opens a file, logs, or knows Python; `py.rs`, behind the feature `python`, is the one binding.
//! Ragged data is CSR everywhere ([`csr::Csr`]): `offsets: &[i64]` (one more than rows) and `ids: &[u32]`.
//! Kernels borrow arrays, return arrays, keep bounds checks (a caller may write to a borrowed array while the GIL is
//! released), and break every tie towards the smaller index.

pub mod aliases;
pub mod analysis;
pub mod association;
mod bit_vectors;
pub mod candidates;
pub mod cluster;
pub mod complexity_first;
pub mod cosine;
pub mod coverage;
pub mod csr;
pub mod cutting;
pub mod draw;
pub mod english;
mod equal_sets;
pub mod error;
mod few_tags;
pub mod first_rounds;
pub mod fpgrowth;
pub mod guards;
pub mod intern;
pub mod itemset_rules;
pub mod keyphrase;
pub mod levels;
pub mod lexical;
pub mod likeness;
pub mod merging;
pub mod parquet_read;
pub mod parquet_write;
mod perfect;
mod places;
pub mod plain_pages;
pub mod porter;
pub mod rank;
pub mod reasons;
pub mod records;
pub mod room;
mod row_scan;
pub mod rule_form;
pub mod script;
pub mod strings;
pub mod uniting;
pub mod vocabulary;
mod waiting;
pub mod words;

#[cfg(all(feature = "python", target_os = "linux"))]
mod memory;
#[cfg(feature = "python")]
mod py;

#[cfg(all(feature = "python", target_os = "linux"))]
#[global_allocator]
static ALLOCATOR: memory::HugePages = memory::HugePages;

pub use csr::Csr;
pub use error::{Error, Result};
