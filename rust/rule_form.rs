//! The rule form of a raw tag: two tags with one form are one tag. The form is a key; people never see it.
//!
//! Reference: the paper's rule aggregation: lower-case, special characters to spaces, each word stemmed. Where we part from
//! it (all of it off by [`paper_form`]): NFKC and full case folding instead of lower-casing, so that equal text in
//! another encoding is equal; a mark belongs to the letter it stands on; a short protected list keeps its symbols;
//! words in scripts without inflection are not stemmed; a tag without a letter or a digit keeps its raw text, so that
//! `+` and `:-)` do not meet in an empty form.
//! Cost: linear in the text, some 0.5 us a short tag; done once a distinct tag, in parallel.

use std::borrow::Cow;

use caseless::Caseless;
use hashbrown::HashMap;
use rayon::prelude::*;
use rust_stemmers::{Algorithm, Stemmer as Snowball};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::csr::check_size;
use crate::error::{Error, Result};
use crate::porter;

/// Names that would lose what tells them apart; folded, each kept as one word where it starts a word and no letter
/// follows: `c++11` is `c++ 11`, but `asp.net` is `asp net`. `objective-c` needs no place: without its hyphen it meets nothing but `objective c`.
pub const PROTECTED: &[&str] =
    &["c++", "g++", "notepad++", "a#", "c#", "d#", "f#", "g#", "j#", "q#", ".net", "a*", "b*", "a+", "b+"];

/// A word of more bytes is left as it is by a Snowball stemmer, whose time grows with the square of a word's length.
pub const LONGEST_WORD: usize = 512;

/// What is done to each word.
pub enum Stemmer {
    /// NLTK's default Porter, the paper's.
    Porter,
    /// Nothing.
    None,
    /// A Snowball stemmer, for words of [`LONGEST_WORD`] bytes at most.
    Snowball(Snowball),
}

/// The Snowball languages, by the name a setting uses.
pub const LANGUAGES: &[(&str, Algorithm)] = &[
    ("arabic", Algorithm::Arabic),
    ("danish", Algorithm::Danish),
    ("dutch", Algorithm::Dutch),
    ("english", Algorithm::English),
    ("finnish", Algorithm::Finnish),
    ("french", Algorithm::French),
    ("german", Algorithm::German),
    ("greek", Algorithm::Greek),
    ("hungarian", Algorithm::Hungarian),
    ("italian", Algorithm::Italian),
    ("norwegian", Algorithm::Norwegian),
    ("portuguese", Algorithm::Portuguese),
    ("romanian", Algorithm::Romanian),
    ("russian", Algorithm::Russian),
    ("spanish", Algorithm::Spanish),
    ("swedish", Algorithm::Swedish),
    ("tamil", Algorithm::Tamil),
    ("turkish", Algorithm::Turkish),
];

impl Stemmer {
    /// `porter`, `none`, or a language of [`LANGUAGES`].
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "porter" => Ok(Self::Porter),
            "none" => Ok(Self::None),
            _ => {
                let found = LANGUAGES.iter().find(|(language, _)| *language == name);
                let algorithm = found.map(|(_, algorithm)| *algorithm).ok_or_else(|| {
                    let languages: Vec<_> = LANGUAGES.iter().map(|(language, _)| *language).collect();
                    let reason = format!("is {name:?}, must be porter, none or one of {}", languages.join(", "));
                    Error::Setting { name: "stemmer", reason }
                })?;
                Ok(Self::Snowball(Snowball::create(algorithm)))
            }
        }
    }

    fn stem<'w>(&self, word: &'w str) -> Cow<'w, str> {
        if word.chars().any(is_uninflected) {
            return Cow::Borrowed(word);
        }
        match self {
            Self::Porter => Cow::Owned(porter::stem(word)),
            Self::None => Cow::Borrowed(word),
            Self::Snowball(_) if word.len() > LONGEST_WORD => Cow::Borrowed(word),
            Self::Snowball(stemmer) => stemmer.stem(word),
        }
    }
}

/// The text in which spellings of one tag are equal: NFKC without what nobody sees, full case folding, NFKC again (folding
/// can take a composed letter apart).
pub fn folded(raw: &str) -> String {
    if raw.is_ascii() {
        raw.to_ascii_lowercase() // the same, without the tables
    } else {
        raw.nfkc().filter(|&c| !is_unseen(c)).default_case_fold().nfkc().collect()
    }
}

/// Marks of direction, joiners, soft hyphens, selectors of a variant, fillers, and the bar that only stretches an Arabic word.
/// The space of no width parts words (Thai, Khmer), so it is none of them.
fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{640}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The form of a raw tag: folded, then words of letters, numbers and the marks on them, each stemmed, joined by one space.
pub fn rule_form(raw: &str, stemmer: &Stemmer) -> String {
    let text = folded(raw);
    let mut form = String::with_capacity(text.len());
    let mut rest = text.as_str();
    let mut word = "";
    while let Some(first) = rest.chars().next() {
        let name = if word.is_empty() { protected(rest) } else { None }; // `asp.net` is `asp net`
        word = name.unwrap_or(&rest[..word_len(rest)]);
        let stem = if name.is_some() { Cow::Borrowed(word) } else { stemmer.stem(word) };
        if !stem.is_empty() {
            if !form.is_empty() {
                form.push(' ');
            }
            form.push_str(&stem);
        }
        rest = &rest[if word.is_empty() { first.len_utf8() } else { word.len() }..];
    }
    if form.is_empty() { raw.to_owned() } else { form }
}

/// The paper's form and nothing else: lower-case; what is neither letter nor number becomes a space; NLTK's Porter.
pub fn paper_form(raw: &str) -> String {
    let text = raw.to_lowercase();
    let words = text.split(|c| !is_letter_or_number(c)).filter(|word| !word.is_empty());
    words.map(porter::stem).collect::<Vec<_>>().join(" ")
}

/// The forms of a vocabulary, in its order; the stemmer is not used by the paper's form.
pub fn rule_forms(vocabulary: &[&str], stemmer: &Stemmer, paper: bool) -> Vec<String> {
    let form = |raw: &&str| if paper { paper_form(raw) } else { rule_form(raw, stemmer) };
    vocabulary.par_iter().map(form).collect()
}

/// A group for each form: equal forms, equal group; groups are numbered by first appearance.
pub fn group(forms: &[String]) -> Result<Vec<u32>> {
    check_size(forms.len())?;
    let mut groups: HashMap<&str, u32> = HashMap::with_capacity(forms.len());
    let of_form = |form| {
        let next = groups.len() as u32;
        *groups.entry(form).or_insert(next)
    };
    Ok(forms.iter().map(String::as_str).map(of_form).collect())
}

/// Bytes of the word that `text` starts with: letters, numbers, and marks after one of them.
fn word_len(text: &str) -> usize {
    let mut len = 0;
    for c in text.chars() {
        if !is_of_word(c, len > 0) {
            break;
        }
        len += c.len_utf8();
    }
    len
}

/// Whether a char is part of a word: a letter, a number, and inside of one a mark.
pub fn is_of_word(c: char, inside: bool) -> bool {
    match c.general_category_group() {
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number => true,
        // The sign that makes a heart an emoji is a mark: alone it would be the form of every such emoji.
        GeneralCategoryGroup::Mark => inside,
        _ => false,
    }
}

/// The protected name that `text`, the start of a word, begins with.
fn protected(text: &str) -> Option<&'static str> {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.general_category_group() == GeneralCategoryGroup::Letter);
    PROTECTED.iter().find(|name| text.strip_prefix(**name).is_some_and(ends)).copied()
}

/// Categories L* and N*; `_` is neither.
fn is_letter_or_number(c: char) -> bool {
    matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

/// Scripts whose words have no endings to strip: Thai, Lao, Tibetan, Myanmar, Khmer, kana, bopomofo, Han, Hangul.
fn is_uninflected(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}' | '\u{3005}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
