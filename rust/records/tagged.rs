//! Records that are tagged already: a member with the list of tags, and nothing else read.
//!
//! A record's tags take the place of its queries in the columns: `turns` says how many, `queries` holds them.

use super::schema::Schema;
use super::tape::{Kind, Value};
use super::turns::{Reader, Sample};

/// The members that are read.
#[derive(Debug, Clone, Default)]
pub struct Members {
    /// The one with the tags: a list of strings, or of objects with a string `tag` (the form that taggers answer in).
    pub tags: String,
    /// The one with the id.
    pub id: Option<String>,
}

/// Reads one record; null in place of the list is no tags.
pub fn read_tags<'a>(reader: &mut Reader, record: Value<'a>, members: &Members) -> Result<Sample<'a>, String> {
    if record.kind() != Kind::Object {
        return Err(format!("expected an object, found {}", record.noun()));
    }
    let member = |name: &str| record.members().filter(|(key, _)| key.raw() == name).map(|(_, value)| value).last();
    let Some(list) = member(&members.tags) else { return Err(format!("no member `{}`", members.tags)) };
    if !matches!(list.kind(), Kind::List | Kind::Null) {
        return Err(format!("`{}` is {}, must be a list of strings", members.tags, list.noun()));
    }
    reader.clear();
    for item in list.items() {
        let tag = match item.kind() {
            Kind::Null => continue,
            Kind::Object => item.members().filter(|(key, _)| key.raw() == "tag").map(|(_, value)| value).last(),
            _ => Some(item),
        };
        if let Some(text) = tag.and_then(Value::text) {
            reader.push_query(text);
            continue;
        }
        let reason = match tag {
            Some(tag) if tag.is_text() => format!("`{}` holds a lone surrogate", members.tags),
            Some(tag) => format!("`{}` holds {}, must hold strings", members.tags, tag.noun()),
            None => format!("`{}` holds an object without `tag`", members.tags),
        };
        return Err(reason);
    }
    let own_id = members.id.as_deref().and_then(member);
    // Neither hash nor schema is asked for.
    Ok(Sample { id: 0, schema: Schema::Text, turns: reader.turns(), own_id })
}
