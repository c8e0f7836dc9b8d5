"""The first pass of `keyphrase` again, slow and obvious: what each query could be tagged with.

By the rules of docs/keyphrase.md and the word tables of rust/keyphrase/lexicon. `oracle.choose_tags` is the second.
"""

from __future__ import annotations

import re

import oracle_keyphrase_spaced as spaced
import oracle_keyphrase_unspaced as unspaced
from oracle import FACT, INTENTION, LANGUAGE, Candidate
from oracle_keyphrase_text import NUMBER, OTHERS, UNSPACED, WORD, Row, Sentence, Text, add, language_of, read
from oracle_reading import WHITE

# Language -> its tag; none for English.
TAGS = {
    "es": "spanish language",
    "fr": "french language",
    "de": "german language",
    "pt": "portuguese language",
    "it": "italian language",
    "zh": "chinese language",
    "ja": "japanese language",
    **{name: f"{name} language" for name in OTHERS.values()},
}


def candidates(query: str) -> list[Candidate]:
    """The candidates of a query in the order they are found, none twice, their places in bytes."""
    row: Row = {}
    text = read(query)
    language = language_of(text)
    sentences = pick(text, language, row)
    for sentence, weight in sentences:
        if language in UNSPACED:
            unspaced.read_sentence(query, sentence, text, language, weight, row)
        else:
            spaced.read_sentence(sentence, text, language, weight, row)
    asks = any(weight > TELLING for _, weight in sentences)
    facts(query, text, language, asks or (language in UNSPACED and len(text.sentences) == 1), row)
    return [
        (name, kind, min(max(weight, 1), 1000), len(query[:start].encode()), len(query[:end].encode()))
        for name, (kind, weight, (start, end)) in row.items()
    ]


ASKING, INSIDE, TELLING = 10, 7, 5  # weights: asks at the beginning or the end, asks inside, only tells


def pick(text: Text, language: str, row: Row) -> list[tuple[Sentence, int]]:
    """The sentences worth reading, with their weights: two at each end, and the first four inside that ask."""
    kept = []
    for sentence in text.sentences:
        is_label = len(text.sentences) > 1 and len(sentence.tokens) == 2 and sentence.tokens[1].word == ":"
        if not is_label and not spaced.is_tool(sentence, language, row):
            kept.append(sentence)
    asking = [spaced.asks(sentence, text, language) for sentence in kept]
    ends = [*range(len(kept))[:2], *range(len(kept))[-2:]]
    inside = [at for at, sentence in enumerate(kept) if asking[at] and at not in ends and not sentence.is_item][:4]
    picked = []
    for at in sorted({*ends, *inside}):
        weight = TELLING if kept[at].is_item or not asking[at] else ASKING if at in ends else INSIDE
        picked.append((kept[at], weight))
    return picked


# ---- facts ----

# What gives the language of source code away, the surest first.
SIGNS = {
    "python": ["```python", "```py", "def __init__", "import numpy", "elif ", "):\n", "print(f", "self."],
    "c++": ["```cpp", "```c++", "#include <iostream>", "std::", "cout <<", "using namespace std"],
    "c language": ["```c\n", "#include <stdio.h>", "printf(", "#include"],
    "java": ["```java\n", "public static void main", "System.out", "public class", "private static"],
    "c#": ["```csharp", "```cs\n", "using System", "Console.Write"],
    "typescript": ["```typescript", "```ts\n", ": string;", "interface "],
    "javascript": [
        "```javascript", "```js", "console.log", "=> {", "function(", "function ", "document.", "const ",
    ],
    "sql": ["```sql", "SELECT ", "INSERT INTO", "CREATE TABLE"],
    "html": ["```html", "<html", "<!DOCTYPE", "<div"],
    "php": ["```php", "<?php"],
    "bash": ["```bash", "```sh", "#!/bin/"],
}  # fmt: skip
AMOUNTS = [" each", " times", " twice", " half", " total", " per ", " left", " more than"]
ENGLISH_AMOUNTS = [
    "ow many", "ow much", "ow long", "ow far", "ow old", "hat is the total", "hat percent", "hat is the average",
    "ow tall", "n total", "ow fast", "hat fraction", "alculate the", "n dollars", "n minutes", "n hours", "ow often",
]  # fmt: skip
AMOUNTS_ASKED = {
    "zh": ["多少", "几"],
    "ja": ["いくつ", "いくら", "何人", "何個", "何本", "どのくらい"],
    "es": ["uánt"],
    "fr": ["ombien"],
    "de": ["ie viel", "ieviel"],
    "pt": ["uant"],
    "it": ["uant"],
}


def facts(query: str, text: Text, language: str, asks: bool, row: Row) -> None:
    """What the surface tells: code and its language, sums, lists, passages, the language of the query."""
    whole = (0, 0)
    size = len(query.encode())
    if text.code:
        code_facts(query, text, row)
    if size < 200 and re.search("[0-9] *[+*^] *[0-9]", query):
        add(row, "arithmetic", INTENTION, 85, whole)
    numbers, words = len(text.tokens(NUMBER)), len(text.tokens(WORD)) + text.letters["han"]
    counts = numbers >= 2 or (numbers == 1 and any(sign in query for sign in AMOUNTS))
    is_counting = counts and size < 1200 and len(text.code) < 2 and text.items < 3
    if is_counting and words >= 12 and any(sign in query for sign in AMOUNTS_ASKED.get(language, ENGLISH_AMOUNTS)):
        add(row, "math word problem", INTENTION, 85, whole)
    if text.items >= 3 and asks:
        add(row, "options or items given", FACT, 30, whole)
    if size > 500 and asks and len(text.sentences) >= 5 and len(text.code) < 2 and not is_counting:
        add(row, "long passage given", FACT, 35, whole)
    if language in TAGS:
        add(row, TAGS[language], LANGUAGE, 10, whole)


def code_facts(query: str, text: Text, row: Row) -> None:
    """The language of the code, that there is code, and that its end is wanted where the query begins with code."""
    lines = [query[start:end] for start, end in text.code]
    names = [name for name, signs in SIGNS.items() if any(sign in line for sign in signs for line in lines)]
    start, end = text.code[0][0], text.code[-1][1]
    span = (start, min(end, start + 60))
    if names:
        add(row, names[0], FACT, 65, span)
    if names or len(lines) >= 2:
        add(row, "source code given", FACT, 45, span)
    if names and query.strip(WHITE).startswith(("def ", "from ", "import ")):
        add(row, "code completion", INTENTION, 75, span)
