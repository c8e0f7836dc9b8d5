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

/// Adds the facts of a query. `asks` says whether one of its sentences asks for something.
pub fn facts(query: &str, text: &Text, language: Language, asks: bool, out: &mut Candidates) {
    if text.code_lines >= 2 {
        let from = text.code.first().map_or(0, |range| range.0);
        let to = text.code.last().map_or(0, |range| range.1);
        let code = query.get(from..to).unwrap_or("");
        let end = code.char_indices().nth(60).map_or(code.len(), |(at, _)| at);
        let span = (from as u32, (from + end) as u32);
        if let Some((name, _)) = SIGNS.iter().find(|(_, signs)| signs.iter().any(|sign| code.contains(sign))) {
            out.add(format_args!("{name}"), Kind::Fact, 65, span);
        }
        out.add(format_args!("source code given"), Kind::Fact, 45, span);
    }
    let whole = (0, query.len().min(60) as u32);
    let is_counting = query.len() < 1200 && text.numbers >= 2 && text.code_lines < 2 && text.items < 3;
    if is_counting && text.words + text.scripts.han / 2 >= 12 && asks_for_number(query, language) {
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
