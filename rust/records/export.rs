//! Records going out again: as they came, compact, with notes added, or as one uniform list of messages.
//!
//! Compact keeps the order of keys and the text of numbers and strings; only white space goes. Cost: the bytes, once.

use std::str::FromStr;

use rayon::prelude::*;

use super::schema::Schema;
use super::tape::{Fault, Kind, Parser, Value, minify};
use super::transcript::push_json;
use super::turns::Reader;
use crate::error::{Error, Result};

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Byte for byte
    Verbatim,
    /// On one line, without white space between its parts
    Compact,
    /// `{"messages": [{"role", "content"}, ...]}`, and `tools` where it has any
    Messages,
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "verbatim" => Ok(Self::Verbatim),
            "compact" => Ok(Self::Compact),
            "messages" => Ok(Self::Messages),
            _ => Err(Error::Setting { name: "form", reason: format!("is `{name}`, which is none") }),
        }
    }
}

/// What decides how records are written.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The form of each line
    pub form: Form,
    /// Whether the block is plain text: a record is then `{"text": ...}`
    pub plain: bool,
    /// The schema the records were read with
    pub schema: Option<Schema>,
}

/// One line a record, for the byte ranges `starts..ends` of `block`; `notes`, where there are any, become the member
/// `instag` of each (in place of an older one). All threads; in the order of the ranges.
pub fn export(
    block: &[u8],
    starts: &[i64],
    ends: &[i64],
    notes: Option<&[Option<String>]>,
    settings: Settings,
) -> Result<Vec<String>> {
    if starts.len() != ends.len() {
        return Err(Error::Length { name: "ends", found: ends.len(), expected: starts.len() });
    }
    if let Some(notes) = notes.filter(|notes| notes.len() != starts.len()) {
        return Err(Error::Length { name: "notes", found: notes.len(), expected: starts.len() });
    }
    let memory = || (Parser::default(), Reader::default());
    let rows = starts.par_iter().zip(ends).enumerate();
    rows.map_init(memory, |(parser, reader), (at, (&start, &end))| {
        let bytes = usize::try_from(start).ok().zip(usize::try_from(end).ok());
        let bytes = bytes.and_then(|(start, end)| block.get(start..end));
        let text = bytes.and_then(|bytes| std::str::from_utf8(bytes).ok());
        let refuse = |reason: String| Error::Setting { name: "starts", reason: format!("{start}: {reason}") };
        let Some(text) = text else { return Err(refuse("no record there".into())) };
        let wrapped = settings.plain.then(|| wrap(text));
        let text = wrapped.as_deref().unwrap_or(text);
        if settings.form == Form::Verbatim && notes.is_none() {
            return Ok(text.to_owned());
        }
        let value = parser.parse(text).map_err(|fault| refuse(Fault::reason(fault)))?;
        if settings.form == Form::Messages {
            return reader.messages(value, settings.schema).map_err(refuse);
        }
        let note = notes.and_then(|notes| notes.get(at)?.as_deref());
        Ok(compact(value, note))
    })
    .collect()
}

/// A line of plain text as an object.
fn wrap(text: &str) -> String {
    let mut line = String::with_capacity(text.len() + 16);
    line.push_str("{\"text\":");
    push_json(text, &mut line);
    line.push('}');
    line
}

fn compact(value: Value<'_>, note: Option<&str>) -> String {
    let mut line = String::new();
    let Some(note) = note else {
        minify(value, &mut line);
        return line;
    };
    line.push('{');
    if value.kind() == Kind::Object {
        for (key, value) in value.members().filter(|(key, _)| key.raw() != "instag") {
            minify(key, &mut line);
            line.push(':');
            minify(value, &mut line);
            line.push(',');
        }
    } else {
        line.push_str("\"record\":");
        minify(value, &mut line);
        line.push(',');
    }
    line.push_str("\"instag\":");
    line.push_str(note);
    line.push('}');
    line
}
