"""The Rust core: pure functions over arrays and blocks. Every `ValueError` says what is wrong and where.

Ragged rows are CSR: `offsets` (int64, rows + 1 entries, from 0) and `ids` (uint32, each below `size`). Arrays must be
contiguous. Columns of strings are taken from anything with `__arrow_c_stream__` (a Polars series) and come back as an
`ArrowTable`, which `polars.DataFrame` takes. The GIL is released while a kernel runs.
"""

from collections.abc import Sequence
from typing import Any, final

import numpy as np
import polars as pl
from numpy.typing import NDArray

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
F32 = NDArray[np.float32]
U64 = NDArray[np.uint64]
F64 = NDArray[np.float64]

__version__: str

@final
class ArrowTable:
    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...
    def __len__(self) -> int: ...

# ---- tag tables ----

def intern(column: pl.Series, at_once: int | None = None) -> tuple[ArrowTable, I64, U32, I64]:
    """A `list[str]` column as (vocabulary `tag`, offsets, ids, counts), tags by count descending, then bytewise.

    With `at_once`, the number of such calls that share the threads, tags come in any order: for shards to be united.
    """

def row_groups(path: str) -> list[int]:
    """The rows of each row group of a Parquet file."""

def read_tags(
    files: Sequence[tuple[str, int, int]], column: str, at_once: int | None = None
) -> tuple[ArrowTable, I64, U32, I64]:
    """`intern` of a column of Parquet files, from one row to another in each, one below the other.

    The column holds lists of strings, or of objects with a string `tag`.
    """

def write_tagged(path: str, columns: pl.DataFrame, name: str, vocabulary: pl.Series, offsets: I64, ids: U32) -> None:
    """A Parquet file (zstd) of some columns and, last, one of lists of the vocabulary's words."""

def unite(words: pl.Series, counts: I64, known: int) -> tuple[ArrowTable, U32, I64]:
    """Words numbered by first appearance: (new ones `tag`, the number of each word given, summed counts by number).

    The first `known` words are distinct and keep their numbers; others may be among those or repeat.
    """

def by_count(words: pl.Series, counts: I64) -> U32:
    """The order of words by count descending, then bytewise."""

def to_lists(vocabulary: pl.Series, offsets: I64, ids: U32) -> ArrowTable:
    """Rows of ids as one column `tags`: lists over a dictionary of the vocabulary."""

def tag_counts(offsets: I64, ids: U32, size: int, into: U32 | None = None) -> I64:
    """How many rows hold each id; a repeat within a row counts once. With `into`: of the rows that `remap` makes."""

def remap(offsets: I64, ids: U32, into: U32, size: int) -> tuple[I64, U32]:
    """Each id replaced by `into[id]`, dropped where that is 2**32 - 1, the first of equal ids in a row kept."""

def take(offsets: I64, ids: U32, rows: I64) -> tuple[I64, U32]:
    """The rows of these numbers, in this order."""

def union_rows(offsets: I64, ids: U32, groups: I64, size: int) -> tuple[I64, U32]:
    """The union of neighbouring rows: group `g` is rows `groups[g]` up to `groups[g + 1]`."""

# ---- normalize: rule forms ----

def porter_stem(word: str) -> str:
    """The stem that NLTK's default `PorterStemmer().stem(word)` gives."""

def rule_forms(vocabulary: pl.Series, stemmer: str, paper: bool) -> tuple[ArrowTable, U32]:
    """The rule form of each tag (`form`), and its group: equal forms, equal group, numbered by first appearance."""

def protected_names() -> list[str]:
    """The names that keep their symbols in a rule form, folded."""

def stemmers() -> list[str]:
    """What `stemmer` may be."""

def stemmer_codes() -> dict[str, str]:
    """The languages among them by their codes of ISO 639-1."""

# ---- normalize: semantic groups ----

def lexical_keys(tags: pl.Series) -> ArrowTable:
    """One column `key`: equal keys are the same words (order, spelling and inflection aside) in this vocabulary."""

def lexical_reasons(tags: pl.Series, into: U32) -> ArrowTable:
    """One column `reason`: the rules, joined by +, without which tag `i` would not have the key of tag `into[i]`."""

def guard_pairs(tags: pl.Series, a: U32, b: U32) -> ArrowTable:
    """Columns `veto` (why tags `a[i]`, `b[i]` are never one, "" where they may be), `left`, `right` (what differs)."""

def tag_numbers(tags: pl.Series) -> ArrowTable:
    """One column `numbers`: the runs of digits in each tag, joined by a space; tags of other numbers are never one."""

def cosines(vectors: F32, dimension: int, a: U32, b: U32) -> F64:
    """The cosine of rows `a[i]` and `b[i]` in float64, added up in a fixed order; 0 where a row is zero."""

def single_linkage(size: int, a: U32, b: U32) -> I64:
    """The group of each of `size` items, numbered by first member: connected components of the pairs `a[i]`, `b[i]`."""

def complete_linkage(size: int, a: U32, b: U32, cosines: F64) -> I64:
    """As `single_linkage`, but all members of a group are pairs of each other; give all pairs of the radius."""

# ---- normalize: association ----

def frequent_itemsets(
    offsets: I64, ids: U32, size: int, min_count: int, max_length: int, max_itemsets: int
) -> tuple[I64, U32, I64]:
    """Every set of tags that `min_count` rows hold, of up to `max_length` tags, as (offsets, ids, counts).

    By length, then count descending, then by the tags' ranks (count descending, then id), the last one first; within
    a set tags are ordered by rank. More than `max_itemsets` sets are an error.
    """

def itemset_rules(
    offsets: I64,
    ids: U32,
    size: int,
    min_count: int,
    min_confidence: float,
    max_antecedent: int,
    max_itemsets: int,
) -> tuple[I64, U32, U32, I64, F64]:
    """Rules of up to `max_antecedent` tags => one, as (offsets, antecedents, consequents, counts, confidences).

    By the antecedent's length, its ids (ordered by rank, as in an itemset), then the consequent.
    """

def rule_candidates(
    offsets: I64, ids: U32, size: int, counts: I64, marked: U8, min_count: int, min_confidence: float
) -> tuple[U32, U32]:
    """Pairs of a shard that may be rules of the pool, from marked (not 0) antecedents: (antecedents, consequents).

    `counts` are the pool's. By antecedent, then consequent. Every rule of the pool is a candidate in some shard.
    """

def count_pairs(offsets: I64, ids: U32, size: int, antecedents: U32, consequents: U32) -> I64:
    """Rows of a shard that hold both tags of each pair; pairs rise by antecedent, then consequent, without repeats."""

def pair_rules(
    counts: I64, antecedents: U32, consequents: U32, joint: I64, min_count: int, min_confidence: float
) -> tuple[U32, U32, I64, F64]:
    """The candidates that are rules, as (antecedents, consequents, joint, confidences).

    `joint` rows of the pool hold both, at least `min_count`; the confidence is those over the antecedent's `counts`.
    """

def merge_round(antecedents: U32, consequents: U32, confidences: F64, counts: I64, ranks: U32) -> tuple[U32, F64]:
    """Where each tag goes in one round of merging by these rules: (tag at the end, confidence that moved it or 0).

    An antecedent goes to its consequent of highest confidence, then the rarer one (`counts`), then the one of smaller
    rank; a cycle collapses into its most frequent member.
    """

def changed_tags(offsets: I64, ids: U32, ends: U32) -> U8:
    """1 for the tags, as they are after the round, of every row of a shard that the round changes."""

# ---- analyze ----

def first_seen(offsets: I64, ids: U32, size: int, rows: I64, positions: I64 | None = None) -> I64:
    """For each tag the smallest position of a listed row that holds it, -1 where none does.

    A row's position is its place in `rows`, or the entry of `positions` beside it.
    """

# ---- select ----

def complexity_first(
    offsets: I64,
    ids: U32,
    size: int,
    k: int,
    complexity: F64 | None = None,
    eligible: U8 | None = None,
) -> tuple[I64, I32, I64]:
    """Algorithm 1 of #InsTag in one pass: (rows in pick order, their rounds from 1, tags new in the round).

    Samples rank by `complexity` (by default the number of tags) descending, then by row. Fewer than `k` come back where
    fewer are eligible (not 0) and hold a tag.
    """

def rounds_reached(offsets: I64, ids: U32, size: int, k: int, complexity: F64 | None = None) -> tuple[U32, int]:
    """How far `complexity_first` comes: the highest round of a sample that holds each tag, and the first not needed."""

def first_rounds(
    offsets: I64,
    ids: U32,
    into: U32,
    size: int,
    first: int,
    cut: tuple[float, int],
    complexity: F64 | None = None,
    eligible: U8 | None = None,
    reached: U32 | None = None,
    end: int = 0,
) -> tuple[I64, I64, U32]:
    """What `complexity_first` may pick from a shard: (numbers in the pool, ascending, offsets and ids of their tags).

    The shard's first row is number `first` of the pool, and `into[id]` the pool's id (2**32 - 1: dropped). Without
    `reached` the samples of larger complexity than `cut[0]`, and of equal complexity those numbered below `cut[1]`;
    with what `rounds_reached` gave for these, of all shards, those of the others that still count. The selection from
    the samples kept is the selection from the pool.
    """

def max_coverage(
    offsets: I64, ids: U32, size: int, k: int, weights: F64 | None = None, eligible: U8 | None = None
) -> tuple[I64, I32, I64]:
    """Lazy greedy coverage of tags, weighted: (rows in pick order, rounds from 1, tags new in the round)."""

def most_complex(
    offsets: I64,
    ids: U32,
    size: int,
    k: int,
    complexity: F64 | None = None,
    eligible: U8 | None = None,
) -> I64:
    """The first `k` rows that hold a tag, by `complexity` (by default the number of tags) descending, then by row."""

def draw(n: int, bits: U64) -> I64:
    """The first `len(bits)` entries of a shuffled `range(n)`, from one 64-bit random number each."""

def draw_places(bits: U64) -> I64:
    """Where each entry of `range(len(bits))` stands in what `draw` shuffles with the same bits."""

# ---- read ----

def schema_names() -> list[str]:
    """The names that `schema` may have; position = the number in the column `schema` of `read_block`."""

def detect_layout(block: bytes) -> str | None:
    """How the records of a JSON file lie, by its first block: `lines`, `array` or `values`; None: no JSON."""

def is_value(line: bytes) -> bool:
    """Whether a line is one JSON value; a file whose first line is an object has lines, whatever follows."""

def nested_list(block: bytes) -> tuple[int, int] | None:
    """Where the list is in a file that is one object around a list of records; None where it is no such object.

    `ValueError`: an object without a schema, and with no list of objects or several.
    """

def read_block(
    block: bytes,
    layout: str,
    place: tuple[int, int, int],
    last: bool,
    schema: str | None = None,
    source_column: str | None = None,
    tagged: tuple[str, str | None] | None = None,
    rest: bytes = ...,
) -> tuple[tuple[ArrowTable, ArrowTable, ArrowTable], int, tuple[int, int, int], str]:
    """The records that lie wholly in a block, as tables; what is left of it is the `rest` before the next block.

    `layout` is `detect_layout`'s, or `text` (plain text, a record a line), for the first block, then what the last
    call returned. `place` is (bytes, line breaks, records) before the rest. Returns (tables, bytes used of rest and
    block, place and layout of what follows). Tables: records (high, low: the halves of the id; record; start, end;
    schema; turns; own_id; source), queries (query: `turns` rows a record, in order), rejected (line, record, reason).
    With `tagged`, the members with the tags and the id, a record's tags stand in place of its queries and it has no
    hash. All threads; equal whatever their number and however the file is cut into blocks.
    """

@final
class Lines:
    """A file of JSON lines or (`plain`) of plain text, read from its `skipped` first bytes on.

    The last three say what a record is, as in `read_block`. Nothing else here is kept from call to call. `OSError`
    where the file cannot be read, `OverflowError` (the line's place) at a line of more than `longest` bytes.
    """

    def __new__(
        cls,
        path: str,
        skipped: int,
        plain: bool,
        block: int,
        longest: int,
        schema: str | None = None,
        source_column: str | None = None,
        tagged: tuple[str, str | None] | None = None,
    ) -> Lines: ...
    def read(self, blocks: int) -> list[tuple[tuple[ArrowTable, ArrowTable, ArrowTable], int, int]]:
        """The next blocks, of `block` bytes, none after the last: tables, bytes, and the records up to the block's end.

        Memory is that of the tables, and an eighth of a block a thread. All threads; equal whatever their number.
        """

    def digest(self) -> tuple[str, int]:
        """The digest of the whole file, XXH3-128 in hex, and its bytes; what has not been read is read now."""

def export_records(
    block: bytes,
    starts: I64,
    ends: I64,
    form: str,
    plain: bool = False,
    schema: str | None = None,
    notes: pl.Series | None = None,
) -> ArrowTable:
    """One `line` a record at `starts..ends` of the block, in that order.

    `form`: `verbatim` (its bytes), `compact` (one line of JSON, key order and number text kept) or `messages` (one
    uniform shape, read with `schema`). `plain`: the block is plain text, and a record `{"text": ...}`. `notes`: JSON
    that becomes the member `instag` of each (compact only).
    """

def unique_rows(high: U64, low: U64, ends: I64) -> tuple[I64, I64, NDArray[np.bool_]]:
    """For each id the row of its sample; for each sample, in order of appearance, the first position of its id.

    The third array tells of each id whether it is the first of its kind in its own file; the files' ids end at `ends`.
    """

def known_rows(slots: U64, high: U64, low: U64, files: U32, first: int) -> tuple[I64, U32]:
    """For each id, no two alike, the row of its sample, and the number of the file that held it last (none: 2^32 - 1).

    `slots` is the table of the ids of earlier parts, which new ones are added to, with the rows from `first` on: at the
    beginning `enlarged(np.zeros(0, np.uint64), size)`, later enlarged before more than four fifths of it are taken.
    `files` are the files that hold the ids last in this part.
    """

def enlarged(slots: U64, size: int) -> U64:
    """The same table with `size` slots, of three numbers each."""

def query_rows(firsts: I64, turns: I32) -> tuple[I64, I32, NDArray[np.bool_]]:
    """(row, turn) of the samples' queries; and of every record's queries, `turns` each, whether they are a sample's.

    `firsts` are the records that hold each sample first, as of `unique_rows`.
    """

def hex_ids(high: U64, low: U64) -> ArrowTable:
    """Ids as a column `id` of 32 hexadecimal digits."""

# ---- tag: keyphrase ----

def keyphrase_candidates(queries: pl.Series) -> tuple[ArrowTable, U32]:
    """The first pass alone: lists `candidates`, and flat (kind, weight, first byte, end byte) of each, in order."""

def keyphrase_tags(queries: pl.Series) -> ArrowTable:
    """A column of queries as columns `tags` and `explanations` (lists, the most telling first); a null has no tags."""
