//! Where the records of a file begin and end: lines, the elements of one array, or values one after another.

use std::str::FromStr;

use memchr::{memchr, memrchr};

use super::scan::{skip_space, string_end};
use super::schema::Members;
use super::tape::{Fault, Kind, Parser, Value};
use crate::error::Error;

/// How records are laid out in what is left of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Layout {
    /// One JSON value a line
    Lines,
    /// An array of records, before its bracket
    Array,
    /// Inside that array, before a record, a comma or the end
    Elements,
    /// JSON values one after another, each over as many lines as it likes
    Values,
    /// Plain text, a record a line
    Text,
    /// Whatever follows the end of an array
    After,
}

impl Layout {
    /// Every layout, in the order of its number.
    pub const ALL: [Self; 6] = [Self::Lines, Self::Array, Self::Elements, Self::Values, Self::Text, Self::After];

    /// The name that Python sees.
    pub fn name(self) -> &'static str {
        ["lines", "array", "elements", "values", "text", "after"][self as usize]
    }
}

impl FromStr for Layout {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let layout = Self::ALL.into_iter().find(|layout| layout.name() == name);
        layout.ok_or_else(|| Error::Setting { name: "layout", reason: format!("is `{name}`, which is none") })
    }
}

/// Whether a text is one JSON value: a file whose first line is an object has lines, whatever follows.
pub fn is_value(text: &str) -> bool {
    Parser::default().parse(text).is_ok()
}

/// Tells the layout of a JSON file from its first block; none where it does not begin like JSON.
///
/// A first line that is a value of its own means lines; so does a first record that is broken, since a value over
/// several lines would go on being JSON. A value that does not end in the block is a long one, not a broken one.
pub fn detect(block: &str) -> Option<Layout> {
    let bytes = block.as_bytes();
    let start = skip_space(bytes, 0);
    let first = *bytes.get(start)?;
    let line_end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
    let more = skip_space(bytes, line_end) < bytes.len();
    let mut parser = Parser::default();
    let line_is_value = block.get(start..line_end).is_some_and(|line| parser.parse(line).is_ok());
    match first {
        b'[' if line_is_value && more => Some(Layout::Lines),
        b'[' => Some(Layout::Array),
        _ if line_is_value => Some(Layout::Lines),
        b'{' => match parser.scan(block.get(start..).unwrap_or("")) {
            Ok(_) => Some(Layout::Values),
            Err(Fault::End) if more => Some(Layout::Values),
            Err(_) => Some(Layout::Lines),
        },
        b'"' | b'-' | b'0'..=b'9' => line_is_value.then_some(Layout::Lines),
        _ => None,
    }
}

/// The records that lie wholly in a block.
#[derive(Debug, Default)]
pub struct Cut {
    /// Byte ranges, in order
    pub spans: Vec<(usize, usize)>,
    /// How much of the block they use up; the rest belongs before the next block
    pub used: usize,
}

/// Cuts a block of lines after its last line break, or at its end where it is the `last`.
pub fn cut_lines(block: &[u8], last: bool) -> usize {
    if last { block.len() } else { memrchr(b'\n', block).map_or(0, |at| at + 1) }
}

/// Cuts a block of values (of an array, or one after another) by its brackets and strings alone; O(bytes), one thread.
///
/// What stands between the brackets is checked later, by whoever parses the spans, so that a broken record is one row.
pub fn cut_values(block: &[u8], layout: Layout, last: bool) -> (Cut, Layout) {
    let mut cut = Cut::default();
    let mut layout = layout;
    let mut at = skip_space(block, 0);
    if layout == Layout::Array && block.get(at) == Some(&b'[') {
        (at, layout) = (at + 1, Layout::Elements);
    }
    cut.used = at;
    while layout != Layout::Array {
        at = skip_space(block, at);
        while matches!(layout, Layout::Elements) && block.get(at) == Some(&b',') {
            at = skip_space(block, at + 1);
        }
        match block.get(at) {
            None => {
                cut.used = block.len();
                break;
            }
            Some(b'[') if layout == Layout::After => {
                (at, layout) = (at + 1, Layout::Elements); // one array after another
                cut.used = at;
            }
            Some(b']') if layout == Layout::Elements => {
                (at, layout) = (at + 1, Layout::After);
                cut.used = at;
            }
            Some(_) => {
                cut.used = at;
                let end = skip_value(block, at).or(last.then_some(block.len()));
                let Some(end) = end else { break };
                cut.spans.push((at, end));
                at = end;
                cut.used = at;
            }
        }
    }
    (cut, layout)
}

/// The end of the value at `at`, by its brackets; none where the block ends first. Always moves on.
fn skip_value(block: &[u8], at: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut here = at;
    loop {
        match *block.get(here)? {
            b'"' => here = string_end(block, here)?,
            b'{' | b'[' => {
                depth += 1;
                here += 1;
            }
            b'}' | b']' if depth > 0 => {
                depth -= 1;
                here += 1;
            }
            b'}' | b']' => return Some(here.max(at + 1)),
            b',' | b'\n' | b' ' | b'\t' | b'\r' if depth == 0 && here > at => return Some(here),
            _ => {
                // A scalar: it ends at the next separator, or, within brackets, at whatever matters there.
                let inert = |byte: &&u8| depth > 0 && !matches!(**byte, b'"' | b'{' | b'}' | b'[' | b']');
                here += 1;
                here += block.get(here..)?.iter().take_while(inert).count();
                continue;
            }
        }
        if depth == 0 {
            return Some(here);
        }
    }
}

/// Where the records are, in a file that is one object around a list of them; an error tells why there is no choice.
///
/// None where the file is no such object: its one record has a schema, is refused for what it is, or is no JSON.
pub fn nested_list(block: &str) -> Result<Option<(usize, usize)>, String> {
    let mut parser = Parser::default();
    let start = skip_space(block.as_bytes(), 0);
    let Ok(value) = parser.parse(block.get(start..).unwrap_or("")) else { return Ok(None) };
    let members = Members::of(value);
    if value.kind() != Kind::Object || members.schema().is_some() || members.refused.is_some() {
        return Ok(None);
    }
    let is_list = |list: &Value<'_>| list.items().next().is_some_and(|item| item.kind() == Kind::Object);
    let lists: Vec<_> = value.members().filter(|(_, list)| list.kind() == Kind::List && is_list(list)).collect();
    match lists.as_slice() {
        [(_, list)] => Ok(Some((start + list.span().0, start + list.span().1))),
        [] => Err("one object without a list of records: a configuration, not instructions".into()),
        many => {
            let names: Vec<_> = many.iter().take(5).map(|(key, _)| format!("`{}`", key.raw())).collect();
            Err(format!("one object with several lists of records: {}", names.join(", ")))
        }
    }
}
