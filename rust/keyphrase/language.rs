//! The language of a query: by script, then by function words.

use super::lexicon::Lexicon;
use super::tokenize::{Class, Text};

/// The languages that are told apart. The first eight have tables of words; the others are named and no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
#[allow(missing_docs, reason = "names")]
pub enum Language {
    #[default]
    English,
    Spanish,
    French,
    German,
    Portuguese,
    Italian,
    Chinese,
    Japanese,
    Korean,
    Russian,
    Arabic,
    Hebrew,
    Greek,
    Hindi,
    Thai,
}

use Language::{
    Arabic, Chinese, English, French, German, Greek, Hebrew, Hindi, Italian, Japanese, Korean, Portuguese, Russian,
    Spanish, Thai,
};

/// Languages in Latin script that have tables, with their codes; English first.
pub const LATIN: [(&str, Language); 6] =
    [("en", English), ("es", Spanish), ("fr", French), ("de", German), ("pt", Portuguese), ("it", Italian)];

impl Language {
    /// How many there are.
    pub const COUNT: usize = Thai as usize + 1;

    /// The language of a code used in the tables.
    pub fn by_code(code: &str) -> Option<Self> {
        match code {
            "zh" => Some(Chinese),
            "ja" => Some(Japanese),
            _ => LATIN.iter().find(|(name, _)| *name == code).map(|(_, language)| *language),
        }
    }

    /// The tag of a query written in it; none for English.
    pub fn tag(self) -> Option<&'static str> {
        Some(match self {
            English => return None,
            Spanish => "spanish language",
            French => "french language",
            German => "german language",
            Portuguese => "portuguese language",
            Italian => "italian language",
            Chinese => "chinese language",
            Japanese => "japanese language",
            Korean => "korean language",
            Russian => "russian language",
            Arabic => "arabic language",
            Hebrew => "hebrew language",
            Greek => "greek language",
            Hindi => "hindi language",
            Thai => "thai language",
        })
    }

    /// Whether words are written with spaces between them.
    pub fn has_spaces(self) -> bool {
        !matches!(self, Chinese | Japanese | Thai)
    }

    /// Whether a noun stands before its adjectives.
    pub fn is_head_initial(self) -> bool {
        matches!(self, Spanish | French | Portuguese | Italian)
    }
}

/// How many words are looked at to tell Latin languages apart.
const SAMPLE: usize = 80;

/// The language of a text. Another script wins where it writes more than a quarter of the letters, Han and kana, which say
/// more each, a seventh (a question about an English sentence may be asked in Chinese); among Latin languages the one with most function words, English in doubt.
pub fn language(text: &Text, lexicon: &Lexicon) -> Language {
    let scripts = &text.scripts;
    if (scripts.han + scripts.kana) * 6 > scripts.latin {
        return if scripts.kana * 8 > scripts.han { Japanese } else { Chinese };
    }
    let others = [
        (scripts.hangul, Korean),
        (scripts.cyrillic, Russian),
        (scripts.arabic, Arabic),
        (scripts.hebrew, Hebrew),
        (scripts.greek, Greek),
        (scripts.devanagari, Hindi),
        (scripts.thai, Thai),
    ];
    if let Some((_, language)) = others.iter().find(|(count, _)| count * 3 > scripts.latin && *count > 1) {
        return *language;
    }
    let mut hits = [0u32; LATIN.len()];
    let words = (0..text.tokens.len()).filter(|&at| text.tokens[at].class == Class::Word);
    for at in words.take(SAMPLE) {
        let word = text.word(at);
        let Some(marks) = lexicon.marks.get(word) else { continue };
        hits.iter_mut().zip(marks).for_each(|(hits, mark)| *hits += u32::from(*mark));
    }
    let best = (0..LATIN.len()).rev().max_by_key(|&slot| hits[slot]).unwrap_or(0);
    if hits[best] > hits[0] { LATIN[best].1 } else { English }
}
