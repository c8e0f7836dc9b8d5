//! One writing for words that a script writes in two ways, beyond what Unicode's NFKC and case folding join.
//!
//! Traditional Chinese in the simplified letters of `han.txt`; Persian kaf and ya as the Arabic ones; digits of every script
//! as 0 to 9; a long katakana word without the bar at its end (`サーバー`, `サーバ`). Single letters are left alone: `后` and `後`, a queen and an after, are two words that only longer ones tell
//! apart. So is a word that mixes both writings or holds kana: it is Japanese, where `動画` is a video and no
//! animation (`動畫`, `动画`). Nothing here reads a word's language; a pair of letters with a second meaning in words is not listed.

use std::borrow::Cow;
use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

/// Traditional letters to simplified ones.
static HAN: LazyLock<FxHashMap<char, char>> = LazyLock::new(|| pairs("simple").chain(pairs("common")).collect());

/// Letters that no traditional text holds.
static SIMPLIFIED: LazyLock<FxHashSet<char>> = LazyLock::new(|| pairs("simple").map(|(_, simple)| simple).collect());

/// The pairs of a table.
fn pairs(table: &str) -> impl Iterator<Item = (char, char)> {
    let lines = include_str!("han.txt").lines().filter_map(|line| line.split_once(": "));
    let pairs = lines.filter(move |(head, _)| *head == table).flat_map(|(_, pairs)| pairs.split(' '));
    pairs.filter_map(|pair| Some((pair.chars().next()?, pair.chars().nth(1)?)))
}

/// The zeros of digits that NFKC leaves alone; the nine that follow each are its digits.
const ZEROS: &[char] = &[
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}', '\u{be6}', '\u{c66}',
    '\u{ce6}', '\u{d66}', '\u{e50}', '\u{ed0}', '\u{f20}', '\u{1040}', '\u{17e0}', '\u{1810}',
];

/// A letter or digit by itself.
fn letter(c: char) -> char {
    match c {
        '\u{6a9}' => '\u{643}',
        '\u{6cc}' => '\u{64a}',
        _ => {
            let digit = |&zero: &char| (c as u32).checked_sub(zero as u32).filter(|&digit| digit < 10);
            ZEROS.iter().find_map(digit).and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c)
        }
    }
}

/// A folded word in the one writing of its script.
pub fn unified(word: &str) -> Cow<'_, str> {
    if word.is_ascii() {
        return Cow::Borrowed(word);
    }
    let traditional = word.chars().any(|c| HAN.contains_key(&c));
    if !traditional {
        let letters: String = word.chars().map(letter).collect();
        let short = letters.strip_suffix('ー').filter(|short| short.ends_with(|c| ('ァ'..='ヺ').contains(&c)));
        return Cow::Owned(short.filter(|short| short.chars().nth(2).is_some()).map_or(letters.clone(), str::to_owned));
    }
    let kana = |c: char| ('\u{3041}'..='\u{30ff}').contains(&c);
    let alone = word.chars().nth(1).is_none();
    if alone || word.chars().any(|c| kana(c) || SIMPLIFIED.contains(&c)) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(word.chars().map(|c| HAN.get(&c).copied().unwrap_or(c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_writings_are_one() {
        for (word, writing) in [
            ("遊戲", "游戏"),
            ("臺灣", "台湾"),
            ("虛擬化", "虚拟化"),
            ("کتابی", "كتابي"),
            ("۱۲", "12"),
            ("サーバー", "サーバ"),
        ] {
            assert_eq!(unified(word), writing);
        }
    }

    #[test]
    fn japanese_and_single_letters_stay() {
        for word in ["動画", "会議", "電話する", "後", "遊", "数学", "漢字かな", "スキー"] {
            assert_eq!(unified(word), word);
        }
    }
}
