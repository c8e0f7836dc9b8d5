//! A tag as its words: folded, cut where nothing of a name holds them together, each in the one writing of its script.

use crate::reasons::Rules;
use crate::rule_form::{folded, is_of_word};
use crate::script::unified;

/// A word of a tag, folded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Letters, marks, digits and the symbols of a name.
    pub text: String,
    /// No space before it, but a hyphen, a dot or the like.
    pub tight: bool,
}

/// The only name that begins with a symbol; `asp.net` is two words.
const DOT_NET: [char; 4] = ['.', 'n', 'e', 't'];

/// Cuts a tag into folded words.
///
/// Behind a word `+` and `#` belong to it, but for a single one in front of a letter (`a+b`, `issue#7`; yet `c#7`); so do
/// a dot or a comma between digits, and the dot of `.net`. An apostrophe parts nothing, and takes the -s of `children's`
/// along. `&` with a space beside it is `and`. Words come in the one writing of their script, unless `off` leaves that out.
pub fn words(tag: &str, off: Rules) -> Vec<Word> {
    let folded: Vec<char> = folded(tag).chars().collect();
    let letter = |at: usize| folded.get(at).is_some_and(|&c| is_of_word(c, true));
    let digit = |at: usize| folded.get(at).is_some_and(char::is_ascii_digit);
    let symbol = |at: usize| folded.get(at).is_some_and(|c| ['+', '#'].contains(c));
    let (mut found, mut text, mut start) = (Vec::new(), String::new(), 0);
    let (mut tight, mut and) = (false, false); // of what lies before the next word
    let mut at = 0;
    while let Some(&c) = folded.get(at) {
        let (before, inside) = (at.wrapping_sub(1), !text.is_empty());
        let of_a_name = match c {
            '+' | '#' if inside => {
                let sharp = c == '#' && before == start && folded[start].is_ascii_lowercase() && digit(at + 1);
                symbol(before) || symbol(at + 1) || !letter(at + 1) || sharp
            }
            '.' | ',' if inside => digit(before) && digit(at + 1),
            '.' if !letter(before) && !symbol(before) => folded[at..].starts_with(&DOT_NET) && !letter(at + 4),
            _ => false,
        };
        if of_a_name || is_of_word(c, inside) {
            if !inside {
                start = at;
                if and && !tight && !found.is_empty() {
                    found.push(Word { text: "and".into(), tight });
                }
            }
            text.push(c);
        } else if matches!(c, '\'' | '’') && inside && letter(at + 1) {
            at += usize::from(folded[at + 1] == 's' && !letter(at + 2)); // children's; but o'reilly is one word
        } else {
            if inside {
                found.push(Word { text: std::mem::take(&mut text), tight });
                (tight, and) = (true, false);
            }
            tight &= !c.is_whitespace();
            and |= c == '&';
        }
        at += 1;
    }
    if !text.is_empty() {
        found.push(Word { text, tight });
    }
    if !off.has(Rules::SCRIPT) && !tag.is_ascii() {
        for word in &mut found {
            word.text = unified(&word.text).into_owned();
        }
    }
    found
}
