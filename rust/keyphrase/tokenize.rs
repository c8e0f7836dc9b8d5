//! Text to tokens and sentences, within a bounded window: the work a query costs does not grow with its length.
//!
//! A word is letters and digits (categories L and N) with the marks on them, and what joins them ([`Text::word_end`]); a
//! run of Han and kana is one token. Repeated as patterns in `tests/oracle_keyphrase_text.py`.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A word of a script with spaces.
    Word,
    /// Digits, with what is glued to them.
    Number,
    /// A run of Han and kana characters.
    Cjk,
    /// Punctuation inside a sentence.
    Break,
    /// The end of a sentence or of a line.
    End,
}

/// One token: `text[start..end]` of the query, lower-cased in [`Text::word`].
#[derive(Debug, Clone, Copy)]
pub struct Token {
    /// First byte in the query.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    low: u32,
    low_end: u32,
    /// What it is.
    pub class: Class,
    /// Whether it begins with a capital.
    pub is_capital: bool,
}

/// A sentence: tokens `from..to`, closed by a question mark or not.
#[derive(Debug, Clone, Copy)]
pub struct Sentence {
    /// First token.
    pub from: usize,
    /// One past the last.
    pub to: usize,
    /// Whether a question mark ends it.
    pub is_question: bool,
    /// Whether it is an item of a list ("- a", "(B) b", "3. c").
    pub is_item: bool,
}

/// Letters by script.
#[derive(Debug, Default, Clone, Copy)]
#[allow(missing_docs, reason = "names")]
pub struct Scripts {
    pub latin: u32,
    pub han: u32,
    pub kana: u32,
    pub hangul: u32,
    pub cyrillic: u32,
    pub arabic: u32,
    pub hebrew: u32,
    pub greek: u32,
    pub devanagari: u32,
    pub thai: u32,
}

/// A query as tokens; made once a thread and filled again and again.
#[derive(Debug, Default)]
pub struct Text {
    lower: String,
    /// Tokens in order.
    pub tokens: Vec<Token>,
    /// Sentences in order, none empty.
    pub sentences: Vec<Sentence>,
    /// Letters by script.
    pub scripts: Scripts,
    /// Lines that look like source code, fenced ones included.
    pub code_lines: u32,
    /// Items of lists.
    pub items: u32,
    /// Numbers in prose.
    pub numbers: u32,
    /// Words in prose.
    pub words: u32,
    /// Where the code and the fences lie, as byte ranges of the query.
    pub code: Vec<(usize, usize)>,
}

/// Bytes read from the beginning and from the end of a long query. What is asked stands there; between is material.
const HEAD: usize = 1200;
const TAIL: usize = 800;

/// Words of more characters are noise (hashes, encoded data).
const LONGEST_WORD: usize = 40;

impl Text {
    /// The lower-cased text of a token.
    pub fn word(&self, at: usize) -> &str {
        let token = &self.tokens[at];
        self.lower.get(token.low as usize..token.low_end as usize).unwrap_or("")
    }

    /// Reads a query, forgetting the one before. O(min(length, window)).
    pub fn read(&mut self, query: &str) {
        self.lower.clear();
        self.tokens.clear();
        self.sentences.clear();
        self.code.clear();
        (self.code_lines, self.items, self.numbers, self.words) = (0, 0, 0, 0);
        self.scripts = Scripts::default();
        let end = query.len().min(u32::MAX as usize);
        if end <= HEAD + TAIL {
            self.read_lines(query, 0, boundary_before(query, end));
        } else {
            self.read_lines(query, 0, boundary_before(query, HEAD));
            self.read_lines(query, boundary_behind(query, end - TAIL), boundary_before(query, end));
        }
    }

    fn read_lines(&mut self, query: &str, from: usize, to: usize) {
        let mut is_fenced = false;
        let mut start = from;
        for line in query.get(from..to).unwrap_or("").split_inclusive('\n') {
            let trimmed = line.trim();
            let is_fence = trimmed.starts_with("```");
            if is_signature(trimmed) && !is_fenced {
                // Neither told nor asked.
            } else if is_fence || is_fenced || is_code(trimmed) {
                self.code_lines += 1;
                self.code.push((start, start + line.len()));
            } else if !trimmed.is_empty() {
                let marker = item_marker(trimmed);
                self.items += u32::from(marker > 0);
                let indent = line.len() - line.trim_start().len();
                self.read_line(query, start + indent + marker, start + line.len(), marker > 0);
            }
            is_fenced ^= is_fence;
            start += line.len();
        }
    }

    fn read_line(&mut self, query: &str, from: usize, to: usize, is_item: bool) {
        let mut sentence = self.tokens.len();
        let mut at = from;
        while let Some(first) = query.get(at..to).and_then(|rest| rest.chars().next()) {
            let start = at;
            let class = self.take(query, &mut at, to, first);
            let Some(class) = class else { continue };
            let low = self.lower.len();
            lower_into(&mut self.lower, query.get(start..at).unwrap_or(""), first);
            let is_capital = first.is_uppercase();
            let (low, low_end) = (low as u32, self.lower.len() as u32);
            self.tokens.push(Token { start: start as u32, end: at as u32, low, low_end, class, is_capital });
            self.words += u32::from(class == Class::Word);
            self.numbers += u32::from(class == Class::Number);
            if class == Class::End {
                self.close(&mut sentence, matches!(first, '?' | '？'), is_item);
            }
        }
        self.close(&mut sentence, false, is_item);
    }

    fn close(&mut self, from: &mut usize, is_question: bool, is_item: bool) {
        let to = self.tokens.len();
        let has_words = self.tokens[*from..to].iter().any(|t| !matches!(t.class, Class::Break | Class::End));
        if has_words {
            self.sentences.push(Sentence { from: *from, to, is_question, is_item });
        }
        *from = to;
    }

    /// Moves `at` past one token; `None` where there is nothing to keep.
    fn take(&mut self, query: &str, at: &mut usize, to: usize, first: char) -> Option<Class> {
        let rest = query.get(*at..to).unwrap_or("");
        let width = first.len_utf8();
        if first.is_whitespace() || first == '\u{feff}' {
            *at += width;
            return None;
        }
        if is_cjk(first) {
            let run = rest.char_indices().find(|(_, c)| !is_cjk(*c)).map_or(rest.len(), |(end, _)| end);
            let kana = rest.get(..run).unwrap_or("").chars().filter(|c| is_kana(*c)).count() as u32;
            self.scripts.kana += kana;
            self.scripts.han += (run / 3) as u32 - kana.min((run / 3) as u32);
            *at += run;
            return Some(Class::Cjk);
        }
        if is_letter(first) {
            let end = self.word_end(rest, first);
            *at += end;
            return match rest.get(..end) {
                _ if first.is_numeric() => Some(Class::Number),
                Some(word) if word.chars().count() <= LONGEST_WORD => Some(Class::Word),
                _ => Some(Class::Break),
            };
        }
        if is_apostrophe(first) {
            let tail = rest.get(width..).unwrap_or("");
            let letters = tail.find(|c: char| !is_letter(c)).unwrap_or(tail.len());
            if tail.get(..letters).is_some_and(|word| SUFFIXES.contains(&word)) {
                *at += width + letters;
                return Some(Class::Word);
            }
        }
        if first == '_' {
            let run = rest.bytes().take_while(|b| *b == b'_').count();
            *at += run;
            return (run >= 3).then_some(Class::Word);
        }
        *at += width;
        Some(if matches!(first, '.' | '!' | '?' | '。' | '！' | '？' | '…') { Class::End } else { Class::Break })
    }

    /// The length of the word or number that `rest` begins with; counts its letters by script.
    fn word_end(&mut self, rest: &str, first: char) -> usize {
        let mut previous = first;
        let mut chars = rest.char_indices().enumerate().peekable();
        while let Some((place, (at, c))) = chars.next() {
            let next = chars.peek().map_or(' ', |(_, (_, next))| *next);
            let joins = match c {
                '-' | '_' | '&' => is_letter(next),
                // "node.js", "3.5", but not "end.Next".
                '.' => is_letter(next) && (next.is_numeric() || next.is_lowercase()),
                ',' | '/' => previous.is_numeric() && is_letter(next) && next.is_numeric(),
                // "C++", "C#".
                '+' => place == 1 && next == '+' || place == 2 && previous == '+',
                '#' => place == 1 && !first.is_numeric(),
                _ if is_letter(c) || is_mark(c) => {
                    self.count(c);
                    true
                }
                _ => false,
            };
            if !joins {
                return at;
            }
            previous = c;
        }
        rest.len()
    }

    fn count(&mut self, c: char) {
        let s = &mut self.scripts;
        match c as u32 {
            0x41..=0x24F | 0x1E00..=0x1EFF => s.latin += 1,
            0x370..=0x3FF | 0x1F00..=0x1FFF => s.greek += 1,
            0x400..=0x52F => s.cyrillic += 1,
            0x590..=0x5FF => s.hebrew += 1,
            0x600..=0x77F | 0x8A0..=0x8FF | 0xFB50..=0xFDFF => s.arabic += 1,
            0x900..=0x97F => s.devanagari += 1,
            0xE00..=0xE7F => s.thai += 1,
            0x1100..=0x11FF | 0xAC00..=0xD7AF => s.hangul += 1,
            _ => {}
        }
    }
}

/// The last character boundary at or before a byte.
pub fn boundary_before(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// The first character boundary at or behind a byte.
pub fn boundary_behind(text: &str, at: usize) -> usize {
    (at..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len())
}

const SUFFIXES: [&str; 14] = ["s", "t", "d", "ll", "re", "ve", "m", "S", "T", "D", "LL", "RE", "VE", "M"];

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '’')
}

/// Letters and digits of scripts with spaces.
fn is_letter(c: char) -> bool {
    let is_other = || matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number);
    c.is_ascii_alphanumeric() || !c.is_ascii() && !is_cjk(c) && is_other()
}

/// Combining marks, which belong to the word they stand in.
fn is_mark(c: char) -> bool {
    !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Mark
}

fn is_kana(c: char) -> bool {
    matches!(c as u32, 0x3041..=0x30FF | 0x31F0..=0x31FF)
}

/// Characters of scripts that are cut by table: Han, kana and their marks.
pub fn is_cjk(c: char) -> bool {
    is_kana(c) || matches!(c as u32, 0x3005..=0x3007 | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF)
}

fn lower_into(lower: &mut String, word: &str, first: char) {
    if first == '_' {
        lower.push_str("___");
    } else if is_apostrophe(first) {
        lower.push('\'');
        lower.extend(word.chars().skip(1).flat_map(char::to_lowercase));
    } else if word.is_ascii() {
        let from = lower.len();
        lower.push_str(word);
        if let Some(slice) = lower.get_mut(from..) {
            slice.make_ascii_lowercase();
        }
    } else {
        lower.extend(word.chars().flat_map(char::to_lowercase));
    }
}

/// Bytes of a list marker ("- ", "* ", "(A) ", "b) ", "3. "), 0 where the line has none.
fn item_marker(line: &str) -> usize {
    let bytes = line.as_bytes();
    match bytes {
        [b'-' | b'*', b' ', ..] => 2,
        [b'(', a, b')', ..] if a.is_ascii_alphanumeric() => 3,
        [a, b'.' | b')' | b':', b' ', ..] if a.is_ascii_digit() || a.is_ascii_uppercase() && *a < b'H' => 3,
        [a, b, b'.' | b')', b' ', ..] if a.is_ascii_digit() && b.is_ascii_digit() => 4,
        _ if line.starts_with('•') => '•'.len_utf8(),
        _ => 0,
    }
}

/// Whether a line is the signature of a tool, as in its description: "python(code)".
fn is_signature(line: &str) -> bool {
    let named = line.strip_suffix(')').and_then(|line| line.split_once('('));
    named.is_some_and(|(name, argument)| {
        let is_name = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_name(name) && is_name(argument)
    })
}

const CODE_STARTS: [&str; 31] = [
    "def ",
    "class ",
    "import ",
    "from __future__",
    "#include",
    "public ",
    "private ",
    "protected ",
    "function ",
    "const ",
    "var ",
    "let ",
    "return ",
    "if (",
    "for (",
    "while (",
    "else {",
    "} else",
    "SELECT ",
    "INSERT INTO",
    "CREATE TABLE",
    "<html",
    "<!DOCTYPE",
    "<div",
    "<?php",
    "elif ",
    "print(",
    "console.log",
    "System.out",
    "@Override",
    "using namespace",
];

/// Whether a line looks like source code: it opens like a statement and holds code's punctuation, or ends like one.
fn is_code(line: &str) -> bool {
    let has_marks = || line.bytes().any(|b| matches!(b, b'(' | b'{' | b';' | b'=' | b'<'));
    let opens = || CODE_STARTS.iter().any(|start| line.starts_with(start));
    let ends = line.ends_with([';', '{', '}']) && line.bytes().any(|b| matches!(b, b'(' | b')' | b'=' | b'{' | b'}'));
    ends || has_marks() && opens() || line.starts_with("import ") && line.split(' ').count() <= 4
}
