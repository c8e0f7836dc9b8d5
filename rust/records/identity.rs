//! What makes two samples the same: a 128-bit hash over roles, text, tool calls and non-text parts.
//!
//! Reference: XXH3-128 (seed 0, big-endian) over the canonical bytes below, equal on every platform. A message is its
//! role byte (`s` system, `u` user, `a` assistant, `c` tool call, `o` tool result, `r` + text for any other), then
//! `t` + its text where it has any, then `x` + each tool call and non-text part, then `.`. A message with neither is
//! left out, as are media outside of messages that are empty; those there are follow the messages as `m` + value.
//! A text is its length in bytes (u64, little-endian) and its UTF-8; values are tagged by kind, numbers as written,
//! null members left out, so that spacing, escapes and columns filled with nulls do not matter. Cost: one copy of the
//! text and its hash, some 10 GB/s: nothing beside the parser.

use super::tape::{Kind, Value};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The system prompt
    System,
    /// Whoever asks: these turns are the queries
    User,
    /// The model
    Assistant,
    /// The model's call of a tool, where it is a turn of its own
    Call,
    /// What the tool answered
    Tool,
    /// Anything else; its name enters the hash
    Other,
}

impl Role {
    /// The role that a name in lower case stands for in any of the schemas.
    pub fn named(name: &str) -> Self {
        match name {
            "user" | "human" | "prompter" | "customer" => Self::User,
            "assistant" | "gpt" | "model" | "bot" | "ai" | "chatgpt" | "bing" | "bard" => Self::Assistant,
            "system" | "developer" => Self::System,
            "function_call" | "tool_call" => Self::Call,
            "observation" | "tool" | "function" | "function_response" | "tool_response" => Self::Tool,
            _ => Self::Other,
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::System => b's',
            Self::User => b'u',
            Self::Assistant => b'a',
            Self::Call => b'c',
            Self::Tool => b'o',
            Self::Other => b'r',
        }
    }
}

/// The canonical bytes of one sample, as they grow.
#[derive(Debug, Default)]
pub struct Canon {
    bytes: Vec<u8>,
}

impl Canon {
    /// Forgets the last sample.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// One message; `extras` are canonical values, each after its `x`.
    pub fn message(&mut self, role: Role, name: &str, text: &str, extras: &[u8]) {
        if text.is_empty() && extras.is_empty() {
            return;
        }
        self.bytes.push(role.byte());
        if role == Role::Other {
            push_text(name, &mut self.bytes);
        }
        if !text.is_empty() {
            self.bytes.push(b't');
            push_text(text, &mut self.bytes);
        }
        self.bytes.extend_from_slice(extras);
        self.bytes.push(b'.');
    }

    /// Images, audio or video that belong to the record as a whole.
    pub fn media(&mut self, value: Value<'_>) -> bool {
        self.bytes.push(b'm');
        push_value(value, &mut self.bytes)
    }

    /// The id.
    pub fn hash(&self) -> u128 {
        xxhash_rust::xxh3::xxh3_128(&self.bytes)
    }
}

fn push_text(text: &str, into: &mut Vec<u8>) {
    into.extend_from_slice(&(text.len() as u64).to_le_bytes());
    into.extend_from_slice(text.as_bytes());
}

/// Appends a value's canonical bytes; false at a lone surrogate. The depth of the recursion is the parser's limit.
pub fn push_value(value: Value<'_>, into: &mut Vec<u8>) -> bool {
    match value.kind() {
        Kind::Null => into.push(b'0'),
        Kind::Bool => into.push(value.raw().as_bytes().first().copied().unwrap_or(b'f')),
        Kind::Number => {
            into.push(b'n');
            push_text(value.raw(), into);
        }
        Kind::Text | Kind::Escaped => {
            let Some(text) = value.text() else { return false };
            into.push(b's');
            push_text(text, into);
        }
        Kind::List => {
            into.push(b'[');
            if !value.items().all(|item| push_value(item, into)) {
                return false;
            }
            into.push(b']');
        }
        Kind::Object => {
            into.push(b'{');
            for (key, value) in value.members().filter(|(_, value)| value.kind() != Kind::Null) {
                if !push_value(key, into) || !push_value(value, into) {
                    return false;
                }
            }
            into.push(b'}');
        }
    }
    true
}
