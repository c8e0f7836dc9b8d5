//! The one error of the core; Python sees it as `ValueError`, where memory ran out as `MemoryError`.

use std::fmt;

/// What a kernel can refuse, with the place and, where there is one, a hint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// `offsets` does not start at 0, does not end at the number of ids, or decreases at `row`.
    Offsets {
        /// The first row whose bounds are wrong.
        row: usize,
        /// What was found.
        found: String,
    },
    /// An id is not below the size of the vocabulary.
    Id {
        /// The row that holds it.
        row: usize,
        /// The id.
        id: u32,
        /// The size of the vocabulary.
        size: usize,
    },
    /// Two arrays that must be as long as each other are not.
    Length {
        /// The argument's name.
        name: &'static str,
        /// Its length.
        found: usize,
        /// The length it must have.
        expected: usize,
    },
    /// A setting is outside its domain.
    Setting {
        /// The setting's name.
        name: &'static str,
        /// What was found, and what it must be.
        reason: String,
    },
    /// The column is not a column of strings (or of lists of strings).
    Column(String),
    /// A Parquet file that cannot be read or written, or lacks what is asked for.
    Parquet(String),
    /// The work would pass a stated limit.
    Limit {
        /// What was about to be passed.
        what: String,
        /// How to stay below it.
        hint: String,
    },
    /// Memory ran out; Python sees a `MemoryError`.
    Memory {
        /// The size of the array that could not be had.
        bytes: usize,
    },
}

/// The core's result.
pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offsets { row, found } => write!(f, "`offsets` is not a row index: row {row}: {found}"),
            Self::Id { row, id, size } => {
                write!(f, "row {row} holds the id {id}, but the vocabulary has {size} tags")
            }
            Self::Length { name, found, expected } => {
                write!(f, "`{name}` has {found} entries, but {expected} are needed")
            }
            Self::Setting { name, reason } => write!(f, "`{name}` {reason}"),
            Self::Column(found) => write!(f, "expected a column of strings or of lists of strings, found {found}"),
            Self::Parquet(reason) => write!(f, "{reason}"),
            Self::Limit { what, hint } => write!(f, "{what}\nhint: {hint}"),
            Self::Memory { bytes } => write!(f, "memory ran out: an array of {bytes} bytes could not be had"),
        }
    }
}

impl std::error::Error for Error {}

impl From<parquet::errors::ParquetError> for Error {
    fn from(error: parquet::errors::ParquetError) -> Self {
        Self::Parquet(error.to_string())
    }
}
