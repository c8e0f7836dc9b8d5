//! One uniform shape for every schema: `{"messages": [{"role", "content"}, ...], "tools"?, media?}`, which trainers load.
//!
//! Every message has a text content, so that a column of them has one type: what is no text stands beside it, tool calls
//! in the form of `OpenAI`'s API (arguments as text), other parts and the tools as JSON in a string.

use super::identity::Role;
use super::tape::{Kind, Parser, Value, minify};

/// The members of a record that go along as they are.
const MEDIA: [&str; 7] = ["images", "image", "audios", "audio", "videos", "video", "image_bytes"];

/// Messages as they are closed.
#[derive(Debug, Default)]
pub struct Transcript {
    messages: String,
    calls: String,
    parts: String,
}

impl Transcript {
    /// What a message holds beside its text; belongs to the message closed next.
    pub fn extra(&mut self, name: &str, value: Value<'_>) {
        match name {
            "tool_calls" if value.kind() == Kind::List => value.items().for_each(|call| self.call(call)),
            "tool_calls" | "function_call" => self.call(value),
            _ => {
                if !self.parts.is_empty() {
                    self.parts.push(',');
                }
                minify(value, &mut self.parts);
            }
        }
    }

    /// A call: an object with a name and arguments, alone or under `function`.
    fn call(&mut self, call: Value<'_>) {
        let inner = member(call, "function").unwrap_or(call);
        let name = member(inner, "name").and_then(Value::text);
        if !self.calls.is_empty() {
            self.calls.push(',');
        }
        let Some(name) = name else {
            minify(call, &mut self.calls);
            return;
        };
        self.calls.push_str("{\"type\":\"function\",");
        if let Some(id) = member(call, "id") {
            self.calls.push_str("\"id\":");
            minify(id, &mut self.calls);
            self.calls.push(',');
        }
        self.calls.push_str("\"function\":{\"name\":");
        push_json(name, &mut self.calls);
        self.calls.push_str(",\"arguments\":");
        match member(inner, "arguments").or(member(inner, "parameters")) {
            Some(text) if text.is_text() => minify(text, &mut self.calls),
            arguments => {
                let mut text = String::new();
                match arguments {
                    Some(arguments) => minify(arguments, &mut text),
                    None => text.push_str("{}"),
                }
                push_json(&text, &mut self.calls);
            }
        }
        self.calls.push_str("}}");
    }

    /// A message is complete; one without any content is left out.
    pub fn message(&mut self, role: Role, name: &str, text: &str) {
        let mut text = text;
        if role == Role::Call {
            let mut parser = Parser::default();
            if let Ok(value) = parser.parse(text)
                && matches!(value.kind(), Kind::Object | Kind::List)
            {
                self.extra("tool_calls", value);
                text = "";
            }
        }
        if text.is_empty() && self.calls.is_empty() && self.parts.is_empty() {
            return;
        }
        let role = match role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant | Role::Call => "assistant",
            Role::Tool => "tool",
            Role::Other => name,
        };
        if !self.messages.is_empty() {
            self.messages.push(',');
        }
        self.messages.push_str("{\"role\":");
        push_json(role, &mut self.messages);
        self.messages.push_str(",\"content\":");
        push_json(text, &mut self.messages);
        if !self.calls.is_empty() {
            self.messages.push_str(",\"tool_calls\":[");
            self.messages.push_str(&self.calls);
            self.messages.push(']');
        }
        if !self.parts.is_empty() {
            self.messages.push_str(",\"attachments\":");
            push_json(&format!("[{}]", self.parts), &mut self.messages);
        }
        self.messages.push('}');
        self.calls.clear();
        self.parts.clear();
    }

    /// The line, with the tools and media of the record it was made from.
    pub fn finish(self, record: Value<'_>) -> String {
        let mut line = format!("{{\"messages\":[{}]", self.messages);
        if let Some(tools) = member(record, "tools").or(member(record, "functions")) {
            line.push_str(",\"tools\":");
            if tools.is_text() {
                minify(tools, &mut line);
            } else {
                let mut text = String::new();
                minify(tools, &mut text);
                push_json(&text, &mut line);
            }
        }
        for (name, value) in MEDIA.iter().filter_map(|name| Some((name, member(record, name)?))) {
            line.push(',');
            push_json(name, &mut line);
            line.push(':');
            minify(value, &mut line);
        }
        line.push('}');
        line
    }
}

fn member<'a>(object: Value<'a>, name: &str) -> Option<Value<'a>> {
    let found = object.members().filter(|(key, value)| key.raw() == name && value.kind() != Kind::Null).last();
    found.map(|(_, value)| value)
}

/// Appends a text as a JSON string.
pub fn push_json(text: &str, into: &mut String) {
    into.push('"');
    for symbol in text.chars() {
        match symbol {
            '"' => into.push_str("\\\""),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            control if control < ' ' => {
                into.push_str("\\u00");
                into.extend([4, 0].map(|shift| char::from_digit(control as u32 >> shift & 15, 16).unwrap_or('0')));
            }
            other => into.push(other),
        }
    }
    into.push('"');
}
