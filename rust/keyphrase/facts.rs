//! Facts on the surface of a query: source code and its language, the form of the task, the language it is written in.

use super::candidates::{Candidates, Kind};
use super::language::Language;
use super::tokenize::Text;

/// What gives the language of a piece of source code away, the surest first.
const SIGNS: [(&str, &[&str]); 11] = [
    ("python", &["```python", "```py", "def __init__", "import numpy", "elif ", "):\n", "print(f", "self."]),
    ("c++", &["```cpp", "```c++", "#include <iostream>", "std::", "cout <<", "using namespace std"]),
    ("c language", &["```c\n", "#include <stdio.h>", "printf(", "#include"]),
    ("java", &["```java\n", "public static void main", "System.out", "public class", "private static"]),
    ("c#", &["```csharp", "```cs\n", "using System", "Console.Write"]),
    ("typescript", &["```typescript", "```ts\n", ": string;", "interface "]),
    ("javascript", &["```javascript", "```js", "console.log", "=> {", "function(", "function ", "document.", "const "]),
    ("sql", &["```sql", "SELECT ", "INSERT INTO", "CREATE TABLE"]),
    ("html", &["```html", "<html", "<!DOCTYPE", "<div"]),
    ("php", &["```php", "<?php"]),
    ("bash", &["```bash", "```sh", "#!/bin/"]),
];

/// Material longer than this, in bytes, with a question about it is a passage to be read.
const PASSAGE: usize = 500;

/// Words that make one number a calculation.
const AMOUNTS: [&str; 8] = [" each", " times", " twice", " half", " total", " per ", " left", " more than"];

/// Adds the facts of a query. `asks` says whether one of its sentences asks for something.
pub fn facts(query: &str, text: &Text, language: Language, asks: bool, out: &mut Candidates) {
    if text.code_lines >= 1 {
        let from = text.code.first().map_or(0, |range| range.0);
        let to = text.code.last().map_or(0, |range| range.1);
        let end = query.get(from..to).and_then(|code| code.char_indices().nth(60)).map_or(to, |(at, _)| from + at);
        let span = (from as u32, end as u32);
        let lines = || text.code.iter().filter_map(|&(from, to)| query.get(from..to));
        let sign = SIGNS.iter().find(|(_, signs)| lines().any(|line| signs.iter().any(|sign| line.contains(sign))));
        if let Some((name, _)) = sign {
            out.add(format_args!("{name}"), Kind::Fact, 65, span);
        }
        if text.code_lines >= 2 || sign.is_some() {
            out.add(format_args!("source code given"), Kind::Fact, 45, span);
        }
        // A function's head and what it shall do, and nothing before: the rest is wanted.
        let opening = query.trim_start();
        if sign.is_some() && ["def ", "from ", "import "].iter().any(|start| opening.starts_with(start)) {
            out.add(format_args!("code completion"), Kind::Intention, 75, span);
        }
    }
    let whole = (0, 0); // no words of its own: the form of the whole query
    if query.len() < 200 && has_arithmetic(query) {
        out.add(format_args!("arithmetic"), Kind::Intention, 85, whole);
    }
    let counts = text.numbers >= 2 || text.numbers == 1 && AMOUNTS.iter().any(|sign| query.contains(sign));
    let is_counting = query.len() < 1200 && counts && text.code_lines < 2 && text.items < 3;
    if is_counting && text.words + text.scripts.han >= 12 && asks_for_number(query, language) {
        out.add(format_args!("math word problem"), Kind::Intention, 85, whole);
    }
    if text.items >= 3 && asks {
        out.add(format_args!("options or items given"), Kind::Fact, 30, whole);
    }
    if query.len() > PASSAGE && asks && text.sentences.len() >= 5 && text.code_lines < 2 && !is_counting {
        out.add(format_args!("long passage given"), Kind::Fact, 35, whole);
    }
    if let Some(tag) = language.tag() {
        out.add(format_args!("{tag}"), Kind::Language, 10, whole);
    }
}

/// Whether two numbers stand around an operator: "7 * 12".
fn has_arithmetic(query: &str) -> bool {
    let bytes = query.as_bytes();
    bytes.iter().enumerate().any(|(at, b)| {
        let before = bytes.get(..at).and_then(|left| left.iter().rev().find(|b| **b != b' '));
        let behind = bytes.get(at + 1..).and_then(|right| right.iter().find(|b| **b != b' '));
        let is_number = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
        matches!(b, b'+' | b'*' | b'^') && is_number(before) && is_number(behind)
    })
}

fn asks_for_number(query: &str, language: Language) -> bool {
    let signs: &[&str] = match language {
        Language::Chinese => &["多少", "几"],
        Language::Japanese => &["いくつ", "いくら", "何人", "何個", "何本", "どのくらい"],
        Language::Spanish => &["uánt"],
        Language::French => &["ombien"],
        Language::German => &["ie viel", "ieviel"],
        Language::Portuguese | Language::Italian => &["uant"],
        _ => &[
            "ow many",
            "ow much",
            "ow long",
            "ow far",
            "ow old",
            "hat is the total",
            "hat percent",
            "hat is the average",
            "ow tall",
            "n total",
            "ow fast",
            "hat fraction",
            "alculate the",
            "n dollars",
            "n minutes",
            "n hours",
            "ow often",
        ],
    };
    signs.iter().any(|sign| query.contains(sign))
}
