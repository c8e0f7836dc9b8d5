//! JSON text as a flat tape of nodes that point back into the text: one pass, no tree, no recursion.
//!
//! The grammar is RFC 8259 plus `NaN`, `Infinity` and `-Infinity`, which Python's `json` writes. A string without
//! escapes is its bytes in the text, one with escapes is decoded while it is scanned, and numbers keep their text.
//! A parser of our own because reading needs the byte ranges, the raw numbers and the raw strings at once, which no
//! other gives. Cost: one node of 16 bytes a value, a scan of the bytes, a copy of the strings with escapes.
//!
//! Tried on one thread, MB/s, whole values, long texts with escapes / short turns: this 3,100 / 1,400, `sonic_rs` 1,900 /
//! 1,500, `serde_json` 1,800 / 400, `jiter` 1,700 / 600 (all before what follows). Reading as a whole then gained, on long
//! texts with escapes / short turns: decoding on the way, not in a second pass over the bytes, 20 / 13 %; sixteen bytes at
//! a time (`wide`, SSE2 and NEON) and not eight in a word, 11 / 1 %; thirty-two, as the compiler makes them of a plain
//! loop, lost 4 %, and `memchr2` with a second pass for control characters a fifth.

use super::scan::{escape, number, plain_end, skip_space, string_end};

/// Values nested deeper than this are refused: no instruction data is, and a tape of brackets would be all overhead.
pub const MAX_DEPTH: usize = 1024;

/// What a node is. A `Text` has no escapes, so that its bytes are its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number, or one of Python's three non-numbers
    Number,
    /// A string without escapes
    Text,
    /// A string with escapes
    Escaped,
    /// `[...]`
    List,
    /// `{...}`: its nodes are key, value, key, value
    Object,
}

/// One value: the bytes `start..end` of the text (a string's without its quotes) and the node after its subtree; of an
/// `Escaped`, which has none, its number among those.
#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    start: u32,
    end: u32,
    next: u32,
}

/// Why a text is not one JSON value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The text ends inside a value.
    End,
    /// Something else stands where `expected` must (byte position).
    Unexpected {
        /// What the grammar allows there.
        expected: &'static str,
        /// Where, in bytes from the start.
        at: usize,
    },
    /// More than [`MAX_DEPTH`] brackets are open.
    Deep,
    /// 4 GiB or more, or as many values.
    Long,
}

impl Fault {
    /// One phrase for the list of rejected rows; columns are 1-based bytes.
    pub fn reason(self) -> String {
        match self {
            Self::End => "not JSON: ends inside a value".into(),
            Self::Unexpected { expected, at } => format!("not JSON: expected {expected} at byte {}", at + 1),
            Self::Deep => format!("nested more than {MAX_DEPTH} levels deep"),
            Self::Long => "longer than 4 GiB".into(),
        }
    }
}

/// The memory of a parser, used again for record after record.
#[derive(Debug, Default)]
pub struct Parser {
    nodes: Vec<Node>,
    open: Vec<u32>,
    /// The values of strings with escapes, end to end
    decoded: String,
    /// Where each is in `decoded`, by the `next` of its node; none where it holds a lone surrogate
    escaped: Vec<Option<(u32, u32)>>,
}

impl Parser {
    /// Parses a text that is exactly one value, with white space around it.
    pub fn parse<'a>(&'a mut self, text: &'a str) -> Result<Value<'a>, Fault> {
        let end = self.scan(text)?;
        let bytes = text.as_bytes();
        match skip_space(bytes, end) {
            at if at == bytes.len() => Ok(self.root(text)),
            at => Err(Fault::Unexpected { expected: "nothing more", at }),
        }
    }

    /// The end of the value that `text` begins with; more may follow.
    pub fn scan(&mut self, text: &str) -> Result<usize, Fault> {
        self.nodes.clear();
        self.open.clear();
        self.decoded.clear();
        self.escaped.clear();
        let bytes = text.as_bytes();
        if u32::try_from(bytes.len()).is_err() {
            return Err(Fault::Long);
        }
        let mut at = 0;
        loop {
            at = self.value(text, skip_space(bytes, at))?;
            // A value is complete unless a bracket was just opened: then its first value comes next.
            if self.open.last().is_some_and(|&top| top as usize + 1 == self.nodes.len()) {
                let close = bytes.get(skip_space(bytes, at)).copied();
                if !matches!(close, Some(b'}' | b']')) {
                    if self.top_is_object() {
                        at = self.key(text, at)?;
                    }
                    continue;
                }
            }
            match self.close(text, at)? {
                (end, true) => return Ok(end),
                (next, false) => at = next,
            }
        }
    }

    /// The value that the last `scan` or `parse` of this same `text` found.
    pub fn root<'a>(&'a self, text: &'a str) -> Value<'a> {
        Value { text, parser: self, at: 0 }
    }

    fn top_is_object(&self) -> bool {
        self.open.last().and_then(|&top| self.nodes.get(top as usize)).is_some_and(|node| node.kind == Kind::Object)
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        let next = self.nodes.len() as u32 + 1; // fewer nodes than bytes, and those are below 2^32
        self.nodes.push(Node { kind, start: start as u32, end: end as u32, next });
    }

    /// A scalar, or the opening of a bracket; returns the position after it.
    fn value(&mut self, text: &str, at: usize) -> Result<usize, Fault> {
        let bytes = text.as_bytes();
        let Some(&byte) = bytes.get(at) else { return Err(Fault::End) };
        let rest = &bytes[at..];
        match byte {
            b'"' => self.string(text, at),
            b'{' | b'[' => {
                if self.open.len() == MAX_DEPTH {
                    return Err(Fault::Deep);
                }
                self.open.push(self.nodes.len() as u32);
                self.push(if byte == b'{' { Kind::Object } else { Kind::List }, at, at + 1);
                Ok(at + 1)
            }
            b'-' | b'0'..=b'9' => {
                let end = number(bytes, at)?;
                self.push(Kind::Number, at, end);
                Ok(end)
            }
            _ => {
                let words: [(&[u8], Kind); 5] = [
                    (b"null", Kind::Null),
                    (b"true", Kind::Bool),
                    (b"false", Kind::Bool),
                    (b"NaN", Kind::Number),
                    (b"Infinity", Kind::Number),
                ];
                for (word, kind) in words {
                    if rest.starts_with(word) {
                        self.push(kind, at, at + word.len());
                        return Ok(at + word.len());
                    }
                    if word.starts_with(rest) {
                        return Err(Fault::End);
                    }
                }
                Err(Fault::Unexpected { expected: "a value", at })
            }
        }
    }

    /// Takes commas and closing brackets after a value; true where the outermost value is complete.
    fn close(&mut self, text: &str, mut at: usize) -> Result<(usize, bool), Fault> {
        let bytes = text.as_bytes();
        loop {
            let Some(&top) = self.open.last() else { return Ok((at, true)) };
            let object = self.top_is_object();
            at = skip_space(bytes, at);
            match bytes.get(at) {
                None => return Err(Fault::End),
                Some(b',') if object => return Ok((self.key(text, at + 1)?, false)),
                Some(b',') => return Ok((at + 1, false)),
                Some(b'}') if object => {}
                Some(b']') if !object => {}
                Some(_) => {
                    let expected = if object { "`,` or `}`" } else { "`,` or `]`" };
                    return Err(Fault::Unexpected { expected, at });
                }
            }
            at += 1;
            let next = self.nodes.len() as u32;
            if let Some(node) = self.nodes.get_mut(top as usize) {
                node.end = at as u32;
                node.next = next;
            }
            self.open.pop();
        }
    }

    fn key(&mut self, text: &str, at: usize) -> Result<usize, Fault> {
        let bytes = text.as_bytes();
        let at = skip_space(bytes, at);
        match bytes.get(at) {
            Some(b'"') => {}
            None => return Err(Fault::End),
            Some(_) => return Err(Fault::Unexpected { expected: "a key in quotes", at }),
        }
        let at = skip_space(bytes, self.string(text, at)?);
        match bytes.get(at) {
            Some(b':') => Ok(at + 1),
            None => Err(Fault::End),
            Some(_) => Err(Fault::Unexpected { expected: "`:`", at }),
        }
    }

    /// A string from its opening quote; one with escapes is decoded on the way, while it is near.
    fn string(&mut self, text: &str, quote: usize) -> Result<usize, Fault> {
        let bytes = text.as_bytes();
        let start = quote + 1;
        let mut at = plain_end(bytes, start);
        if bytes.get(at) == Some(&b'"') {
            self.push(Kind::Text, start, at);
            return Ok(at + 1);
        }
        let (mut from, mut whole, kept) = (start, true, self.decoded.len() as u32);
        loop {
            self.decoded.push_str(text.get(from..at).unwrap_or(""));
            match bytes.get(at) {
                None => return Err(Fault::End),
                Some(b'"') => break,
                Some(b'\\') => {
                    from = escape(bytes, at)?;
                    match unescape(text, at) {
                        Some((symbol, end)) => {
                            self.decoded.push(symbol);
                            from = end;
                        }
                        None => whole = false,
                    }
                    at = plain_end(bytes, from);
                }
                Some(_) => return Err(Fault::Unexpected { expected: "no bare control character in a string", at }),
            }
        }
        self.push(Kind::Escaped, start, at);
        if let Some(node) = self.nodes.last_mut() {
            node.next = self.escaped.len() as u32;
        }
        self.escaped.push(whole.then_some((kept, self.decoded.len() as u32)));
        Ok(at + 1)
    }
}

/// The symbol of the escape at `at`, which is well-formed, and the position after it; none at half a surrogate pair.
fn unescape(text: &str, at: usize) -> Option<(char, usize)> {
    let hex = |at: usize| text.get(at + 2..at + 6).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let symbol = match text.as_bytes().get(at + 1)? {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let code = hex(at)?;
            if !(0xD800..0xDC00).contains(&code) {
                return Some((char::from_u32(code)?, at + 6));
            }
            let low = text.get(at + 6..at + 8).filter(|&next| next == "\\u").and_then(|_| hex(at + 6))?;
            let low = (0xDC00..0xE000).contains(&low).then_some(low)?;
            return Some((char::from_u32(0x1_0000 + ((code - 0xD800) << 10) + (low - 0xDC00))?, at + 12));
        }
        &symbol => symbol as char, // `"`, `\` or `/`
    };
    Some((symbol, at + 2))
}

/// A value on the tape.
#[derive(Debug, Clone, Copy)]
pub struct Value<'a> {
    text: &'a str,
    parser: &'a Parser,
    at: usize,
}

impl<'a> Value<'a> {
    fn node(self) -> Node {
        self.parser.nodes[self.at] // made by the parser, over memory nobody else can write to
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Whether it is a string.
    pub fn is_text(self) -> bool {
        matches!(self.kind(), Kind::Text | Kind::Escaped)
    }

    /// Where it stands in the text, a string without its quotes.
    pub fn span(self) -> (usize, usize) {
        (self.node().start as usize, self.node().end as usize)
    }

    /// Its text as written, a string without its quotes and with its escapes.
    pub fn raw(self) -> &'a str {
        let (start, end) = self.span();
        self.text.get(start..end).unwrap_or("")
    }

    /// The values of a list; of an object keys and values in turn; nothing otherwise.
    pub fn items(self) -> Items<'a> {
        let node = self.node();
        let end = if matches!(node.kind, Kind::List | Kind::Object) { node.next as usize } else { self.at + 1 };
        Items { value: Value { at: self.at + 1, ..self }, end }
    }

    /// The (key, value) pairs of an object, in order; nothing otherwise.
    pub fn members(self) -> impl Iterator<Item = (Value<'a>, Value<'a>)> {
        let mut items = self.items();
        let object = self.kind() == Kind::Object;
        std::iter::from_fn(move || if object { Some((items.next()?, items.next()?)) } else { None })
    }

    /// A string's value; none where it holds a lone surrogate, and for anything but a string.
    pub fn text(self) -> Option<&'a str> {
        match self.kind() {
            Kind::Text => Some(self.raw()),
            Kind::Escaped => {
                let (start, end) = (*self.parser.escaped.get(self.node().next as usize)?)?;
                self.parser.decoded.get(start as usize..end as usize)
            }
            _ => None,
        }
    }

    /// The node after its subtree.
    fn next(self) -> usize {
        if self.kind() == Kind::Escaped { self.at + 1 } else { self.node().next as usize }
    }

    /// What it is, for a message: `a string`, `a list`, ...
    pub fn noun(self) -> &'static str {
        match self.kind() {
            Kind::Null => "null",
            Kind::Bool => "true or false",
            Kind::Number => "a number",
            Kind::Text | Kind::Escaped => "a string",
            Kind::List => "a list",
            Kind::Object => "an object",
        }
    }
}

/// Iterates over siblings.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    value: Value<'a>,
    end: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        if self.value.at >= self.end {
            return None;
        }
        let value = self.value;
        self.value.at = value.next();
        Some(value)
    }
}

/// Appends `value` without white space between its parts: key order, number text and string escapes stay as written.
pub fn minify(value: Value<'_>, into: &mut String) {
    if value.is_text() {
        into.push('"');
        into.push_str(value.raw());
        into.push('"');
        return;
    }
    let (text, bytes) = (value.raw(), value.raw().as_bytes());
    let (mut from, mut at) = (0, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                into.push_str(text.get(from..at).unwrap_or(""));
                at += 1;
                from = at;
            }
            b'"' => at = string_end(bytes, at).unwrap_or(bytes.len()),
            _ => at += 1,
        }
    }
    into.push_str(text.get(from..).unwrap_or(""));
}
