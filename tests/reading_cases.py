"""Records written for the tests, one or more a schema, and what is to be read from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# (record, schema, queries)
CASES: list[tuple[Any, str, list[str]]] = [
    ({"instruction": "Sort it.", "input": "3 1 2", "output": "1 2 3"}, "alpaca", ["Sort it.\n3 1 2"]),
    ({"instruction": "Say hi.", "input": "", "output": "hi"}, "alpaca", ["Say hi."]),
    ({"instruction": "Who wrote it?", "context": "Ada wrote it.", "response": "Ada", "category": "qa"}, "alpaca",
     ["Who wrote it?\nAda wrote it."]),
    ({"instruction": "And then?", "history": [["One?", "Two."]], "output": "Three.", "system": "Count."}, "alpaca",
     ["One?", "And then?"]),
    ({"conversations": [{"from": "human", "value": "Book a room"},
                        {"from": "function_call", "value": '{"name": "book", "arguments": {"n": 1}}'},
                        {"from": "observation", "value": '{"ok": true}'}, {"from": "gpt", "value": "Done."},
                        {"from": "human", "value": "Merci"}], "tools": "[]"}, "sharegpt", ["Book a room", "Merci"]),
    ({"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "¿Qué hora es?"},
                   {"role": "assistant", "content": "Las dos."}]}, "messages", ["¿Qué hora es?"]),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}},
                                                {"type": "text", "text": "What is it?"},
                                                {"type": "text", "text": "And where?"}]},
                   {"role": "assistant", "content": None,
                    "tool_calls": [{"id": "1", "type": "function",
                                    "function": {"name": "look", "arguments": "{\"at\": 1.50}"}}]},
                   {"role": "tool", "content": "a cat"}]}, "messages", ["What is it?\nAnd where?"]),
    ([{"role": "user", "content": "A bare list of turns."}], "messages", ["A bare list of turns."]),
    ([{"from": "human", "value": "Another one."}], "sharegpt", ["Another one."]),
    ({"conversations": [{"from": "human", "value": "Which?"}], "chosen": {"from": "gpt", "value": "This."},
      "rejected": {"from": "gpt", "value": "That."}}, "preference", ["Which?"]),
    ({"prompt": "Which?", "chosen": "This.", "rejected": "That."}, "preference", ["Which?"]),
    ({"prompt": "Which?", "chosen": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": "This."}],
      "rejected": []}, "preference", ["Which?"]),
    ({"chosen": "\n\nHuman: Hello?\n\nAssistant: Hello.\n\nHuman: Bye.\n\nAssistant: Bye.", "rejected": "..."},
     "preference", ["Hello?", "Bye."]),
    ({"chosen_messages": [{"role": "user", "content": [{"type": "text", "value": "Hm?"}]}],
      "rejected_messages": []}, "preference", ["Hm?"]),
    ({"messages": [{"role": "user", "content": "Good?"}], "label": False}, "messages", ["Good?"]),
    ({"prompt": "Write a poem.", "completion": "Roses"}, "prompt-completion", ["Write a poem."]),
    ({"prompt": [{"role": "user", "content": "As turns."}], "completion": [{"role": "assistant", "content": "Yes."}]},
     "prompt-completion", ["As turns."]),
    ({"prompt": "import math", "query": "Write a root finder.", "response": "def f(): ..."}, "prompt-completion",
     ["Write a root finder."]),
    ({"act": "Clerk", "prompt": "Act as a clerk."}, "prompt-completion", ["Act as a clerk."]),
    ({"inputs": "Translate: cat", "targets": "gato"}, "prompt-completion", ["Translate: cat"]),
    ({"question": "2 + 2?", "answer": 4}, "question-answer", ["2 + 2?"]),
    ({"problem": "x = 1?", "solution": "yes", "meta": {"level": 1}}, "question-answer", ["x = 1?"]),
    ({"text": "A text alone.", "meta": {"n": 1.0}}, "text", ["A text alone."]),
    ({"content": "另一个文本", "src": "web"}, "text", ["另一个文本"]),
    ({"dish": "soup"}, "text", ["soup"]),
    ("A bare string.", "text", ["A bare string."]),
    ({"question_id": 1, "turns": ["First.", "Second."]}, "turns", ["First.", "Second."]),
    ({"turns": [{"speaker": "USER", "utterance": "A table, please.", "frames": []},
                {"speaker": "SYSTEM", "utterance": "For two?"}]}, "turns", ["A table, please."]),
    ({"id": "0", "data": ["Ask.", "Answer.", "Ask more.", "Answer more."]}, "turns", ["Ask.", "Ask more."]),
    ({"instruction": "Classify.", "instances": [{"input": "a", "output": "A"}, {"input": "b", "output": "B"}]},
     "instances", ["Classify.\na", "Classify.\nb"]),
    ({"Name": "api", "Instructions": ["Find it.", "List it."], "Golden_Answers": [[], []]}, "instances",
     ["Find it.", "List it."]),
]  # fmt: skip

# (record, part of the reason)
REJECTED: list[tuple[Any, str]] = [
    ({"messages": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "a"}]}, "no user text"),
    ({"instruction": "  ", "output": "a"}, "no user text"),
    ({"instruction": ["nested", ["lists"]]}, "`instruction` is a list, expected text"),
    ({"prompt": 3}, "`prompt` is a number, expected text"),
    ({"messages": [{"role": "user", "content": [["text"]]}]}, "turn 1 of `messages`: a part of its content is a list"),
    ({"messages": [{"content": "who?"}]}, "turn 1 of `messages`: has no role"),
    ({"messages": "text"}, "`messages` is a string, expected a list of turns"),
    ({"turns": ["a", None]}, "`turns` is null, expected text"),
    ({"API": "x", "Auth": True}, "no schema fits the members `API`, `Auth`"),
    ({}, "an empty object"),
    (3, "expected an object, found a number"),
    (None, "expected an object, found null"),
    ({"custom_id": "1", "response": {"body": {}}}, "a reply to a batch request"),
    ({"answer_id": "1", "choices": [{"turns": ["a"]}]}, "a model's reference answer"),
    ({"prompt_template": "{question}", "name": "judge"}, "a judge's prompt template"),
]


def write_jsonl(path: Path, records: list[Any]) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path
