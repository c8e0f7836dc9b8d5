//! Why two tags are the same words: each reason is a rule without which their keys would differ.

/// A set of rules of [`crate::lexical`], one bit each: the rules left out where keys are made, the reasons where they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules(u16);

impl Rules {
    /// No rule.
    pub const NONE: Self = Self(0);
    /// `Front End` / `front end`: case, width, marks; told where nothing else is.
    pub const CASE: Self = Self(1);
    /// `front_end` / `front end`: what parts words.
    pub const SEPARATORS: Self = Self(1 << 1);
    /// `front end` / `frontend`, `python 3` / `python3`
    pub const COMPOUND: Self = Self(1 << 2);
    /// `遊戲` / `游戏`, `٣` / `3`: letters and digits of a script that are written in two ways.
    pub const SCRIPT: Self = Self(1 << 3);
    /// `colour` / `color`
    pub const SPELLING: Self = Self(1 << 4);
    /// `apis` / `api`
    pub const PLURAL: Self = Self(1 << 5);
    /// `optimize` / `optimization`
    pub const VERB_AND_NOUN: Self = Self(1 << 6);
    /// `scalable` / `scalability`
    pub const ADJECTIVE_AND_NOUN: Self = Self(1 << 7);
    /// `nlp` / `natural language processing`
    pub const ALIAS: Self = Self(1 << 8);
    /// Articles, `of` and its like, `and`.
    pub const FUNCTION_WORD: Self = Self(1 << 9);
    /// `python web scraping` / `web scraping python`
    pub const WORD_ORDER: Self = Self(1 << 10);

    /// The rules that can be left out of a key, by the name that a ledger uses.
    pub const NAMED: [(Self, &'static str); 11] = [
        (Self::CASE, "case"),
        (Self::SEPARATORS, "separators"),
        (Self::COMPOUND, "compound"),
        (Self::SCRIPT, "script"),
        (Self::SPELLING, "spelling"),
        (Self::PLURAL, "plural"),
        (Self::VERB_AND_NOUN, "verb and noun"),
        (Self::ADJECTIVE_AND_NOUN, "adjective and noun"),
        (Self::ALIAS, "alias"),
        (Self::FUNCTION_WORD, "function word"),
        (Self::WORD_ORDER, "word order"),
    ];

    /// Whether all of `rules` are here.
    pub const fn has(self, rules: Self) -> bool {
        self.0 & rules.0 == rules.0
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, rules: Self) -> Self {
        Self(self.0 | rules.0)
    }

    /// `plural+word order`
    pub fn told(self) -> String {
        let told = Self::NAMED.iter().filter(|(rule, _)| self.has(*rule)).map(|(_, name)| *name);
        told.collect::<Vec<_>>().join("+")
    }
}
