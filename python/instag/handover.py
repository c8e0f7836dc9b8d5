"""`instag export --to TOOL`: the selection as the files that a trainer reads, with its recipe."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.errors import ArtifactError, ConfigError, DataError
from instag.handover_recipes import recipes
from instag.handover_records import Example, Inexpressible, picked_examples
from instag.run import STAGES, Run

if TYPE_CHECKING:
    from instag.progress import Talk

TOOLS = ("trl", "llama-factory", "axolotl", "open-instruct")
MANIFEST = "export.json"
Row = dict[str, Any]


def export_to(path: str | Path, tool: str, out: str | None, talk: Talk) -> dict[str, Any]:
    """Writes the picks of RUN in the form of `tool` to the folder `out` (default `RUN/export/TOOL`), in pick order.

    One JSONL file for each shape of record (`sft.jsonl`, `sft_tools.jsonl`, `preference.jsonl`, ...), so that a column
    has one type; recipes; `left_out.jsonl` with a row for each record that the tool cannot express, and why; last
    `export.json`, which counts them. Every file appears whole. `ConfigError` where `out` is a part of the run or holds
    a file of the same name that no export made; `ArtifactError` where a source changed; `DataError` where nothing was
    selected, or the tool can express none of it.
    """
    if tool not in TOOLS:
        raise ConfigError(f"`to` is {tool!r}, which is no tool", hint=f"use one of {', '.join(TOOLS)}")
    run = Run(path)
    run.need("select")
    target = Path(out) if out else run.path / "export" / tool
    picks = run.table("select", "picks", ["rank", "row", "id", "source"])
    if not len(picks):
        raise DataError(f"`{run.path}` has an empty selection", hint="`instag select` with a larger `--k`")
    _refuse_own(target, run)
    files, left_out = _formed(run, picks, _FORMS[tool])
    reasons = dict(sorted(Counter(row["reason"] for row in left_out).items(), key=lambda item: (-item[1], item[0])))
    if not files:
        hint = f"most often: {next(iter(reasons))}; see docs/export.md"
        raise DataError(f"none of the {len(picks):,} picked records can be told to {tool}", hint=hint)
    counts = {name: len(rows) for name, rows in sorted(files.items())}
    texts = {f"{name}.jsonl": "".join(files[name]) for name in counts} | recipes(tool, list(counts))
    texts |= {"left_out.jsonl": "".join(map(_line, left_out))} if left_out else {}
    told: dict[str, Any] = {
        "tool": tool,
        "picked": len(picks),
        "written": counts,
        "left_out": reasons,
        "files": sorted(texts),
    }
    _write(target, texts | {MANIFEST: json.dumps(told, ensure_ascii=False, indent=1) + "\n"})
    _tell(told, target, talk)
    return {"run": str(run.path), "stage": "export", **told, "outputs": [str(target / name) for name in told["files"]]}


def _formed(run: Run, picks: Any, form: Callable[[Example], Row]) -> tuple[dict[str, list[str]], list[Row]]:
    """The lines of each file, and a row for each record that stays behind."""
    files: dict[str, list[str]] = {}
    left_out: list[Row] = []
    examples = picked_examples(run, picks["row"].to_numpy())
    for pick, example in zip(picks.drop("row").iter_rows(named=True), examples, strict=True):
        try:
            if isinstance(example, str):
                raise Inexpressible(example)
            line = _line(form(example))
            files.setdefault(_shape(example), []).append(line)
        except Inexpressible as reason:
            left_out.append(pick | {"reason": str(reason)})
    return files, left_out


def _shape(example: Example) -> str:
    """The file an example belongs to: its kind, and which columns it has besides."""
    called = any("calls" in turn or turn["role"] == "tool" for turn in example.messages)
    return "_".join([example.kind, *(["tools"] if example.tools or called else []), *example.media])


def _line(row: Row) -> str:
    try:
        line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
        line.encode()
    except ValueError:
        raise Inexpressible("a number or a character that JSON in UTF-8 cannot hold") from None
    return line


# --- the forms ------------------------------------------------------------------------------------------------------


def _llama_factory(example: Example) -> Row:
    """Sharegpt formatting, its default tags; text of the stage `pt` apart."""
    if example.kind == "text":
        return {"text": example.messages[0]["content"]}
    turns = [_turn(message) for message in _answered(example.messages)]
    prompt, answer = turns[:-1], turns[-1]
    _check_alternation(turns)
    row: Row = {"conversations": prompt if example.rejected else turns}
    if example.rejected:
        row |= {"chosen": answer, "rejected": _turn(example.rejected)}
    if example.label is not None:
        row["label"] = example.label
    if any(path.startswith(("http://", "https://")) for paths in example.media.values() for path in paths):
        raise Inexpressible("a medium by its URL: LLaMA-Factory reads files")
    return row | ({"tools": example.tools or ""} if "_tools" in _shape(example) else {}) | example.media


def _turn(message: Row) -> Row:
    names = {"system": "system", "user": "human", "assistant": "gpt", "tool": "observation"}
    if "calls" not in message:
        return {"from": names[message["role"]], "value": message["content"]}
    # What LLaMA-Factory's function formatter takes out before it reads the calls is the thought, and nothing else.
    thought, closed, rest = message["content"].rpartition("</think>")
    if rest.strip() or (closed and not thought.startswith("<think>")):
        raise Inexpressible("text beside a tool call: a message of LLaMA-Factory is one or the other")
    calls = message["calls"] if len(message["calls"]) > 1 else message["calls"][0]
    return {"from": "function_call", "value": message["content"] + json.dumps(calls, ensure_ascii=False)}


def _answered(messages: list[Row]) -> list[Row]:
    """Results of tools that follow each other as one message, joined as LLaMA-Factory's own OpenAI converter does."""
    joined: list[Row] = []
    for message in messages:
        if joined and message["role"] == joined[-1]["role"] == "tool":
            between = "\n</tool_response>\n<tool_response>\n"
            joined[-1] = joined[-1] | {"content": joined[-1]["content"] + between + message["content"]}
        else:
            joined.append(message)
    return joined


def _check_alternation(turns: list[Row]) -> None:
    """Human or observation, then gpt or function_call: what goes otherwise LLaMA-Factory skips, with a warning."""
    for place, turn in enumerate(turns[1:] if turns[0]["from"] == "system" else turns):
        if turn["from"] not in (("human", "observation"), ("gpt", "function_call"))[place % 2]:
            raise Inexpressible("user and assistant do not take turns: LLaMA-Factory would skip it")


def _trl(example: Example) -> Row:
    """TRL's types: language modeling, preference, unpaired preference; conversational save for plain text."""
    if example.kind == "text":
        return {"text": example.messages[0]["content"]}
    others = [name for name in example.media if name != "images"]
    if others or (example.media and example.kind == "kto"):
        raise Inexpressible(
            f"{'images' if not others else others[0]} in a record of kind {example.kind}: TRL takes none"
        )
    messages = [_openai(turn) for turn in example.messages]
    if example.media:
        messages = [turn | {"content": _parts(turn["content"])} for turn in messages]
    row: Row = {"messages": messages}
    if example.rejected:
        rejected = _parts(example.rejected["content"]) if example.media else example.rejected["content"]
        row = {"prompt": messages[:-1], "chosen": messages[-1:]}
        row["rejected"] = [{"role": "assistant", "content": rejected}]
    elif example.label is not None:
        row = {"prompt": messages[:-1], "completion": messages[-1:], "label": example.label}
    return row | _tools(example) | example.media


def _axolotl(example: Example) -> Row:
    """`chat_template`, for DPO `chat_template.default`, for KTO `user_defined.default`; `completion` for plain text."""
    if example.kind == "text":
        return {"text": example.messages[0]["content"]}
    messages = [_openai(turn) for turn in example.messages]
    if example.kind == "kto":
        roles = [turn["role"] for turn in messages]
        if roles[-2:] != ["user", "assistant"] or set(roles[:-2]) - {"system"} or example.tools or example.media:
            raise Inexpressible("more than one exchange of text: Axolotl's KTO takes a prompt and a completion")
        system = "\n".join(turn["content"] for turn in messages[:-2])
        asked, answer = messages[-2]["content"], messages[-1]["content"]
        return {"system": system, "prompt": asked, "completion": answer, "label": example.label}
    if example.rejected:
        if "_" in _shape(example):
            raise Inexpressible("a preference with tools or media: Axolotl's DPO takes text")
        return {"messages": messages[:-1], "chosen": messages[-1], "rejected": example.rejected}
    if example.media:
        left = {name: iter(paths) for name, paths in example.media.items()}
        messages = [turn | {"content": _parts(turn["content"], left)} for turn in messages]
    return {"messages": messages} | _tools(example)


def _open_instruct(example: Example) -> Row:
    """Tulu's forms: `messages`, or `chosen` and `rejected` as whole conversations."""
    if example.kind in ("text", "kto"):
        what = "plain text" if example.kind == "text" else "a judged answer without its counterpart (KTO)"
        raise Inexpressible(f"{what}: open-instruct trains on chats and on preferences")
    if example.media or "_tools" in _shape(example):
        raise Inexpressible(f"{next(iter(example.media), 'tools')}: open-instruct's forms have role and content alone")
    messages = [_openai(turn) for turn in example.messages]
    return (
        {"chosen": messages, "rejected": [*messages[:-1], example.rejected]}
        if example.rejected
        else {"messages": messages}
    )


def _openai(message: Row) -> Row:
    """A message of OpenAI's API. Arguments stay text: as objects, every name would be a column, null in all others."""
    if "calls" not in message:
        return message
    calls = [
        {"type": "function", "function": {"name": call["name"], "arguments": _text(call["arguments"])}}
        for call in message["calls"]
    ]
    return {"role": message["role"], "content": message["content"], "tool_calls": calls}


def _tools(example: Example) -> Row:
    return {"tools": example.tools or "[]"} if "_tools" in _shape(example) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parts(content: str, media: dict[str, Any] | None = None) -> list[Row]:
    """A text with places for media as a list of parts; with `media`, each part says where its medium is."""
    parts: list[Row] = []
    rest = content
    while rest:
        places = {name: rest.find(f"<{name}>") for name in ("image", "video", "audio")}
        name, at = min(
            ((name, at) for name, at in places.items() if at >= 0), key=lambda place: place[1], default=("", -1)
        )
        held = (media or {}).get(f"{name}s") if name else None
        if not name or (media is not None and held is None) or (media is None and name != "image"):
            return [*parts, {"type": "text", "text": rest}]
        if at:
            parts.append({"type": "text", "text": rest[:at]})
        found = next(held) if held is not None else None
        where = {} if found is None else {"url" if found.startswith(("http://", "https://")) else "path": found}
        parts.append({"type": name, **where})
        rest = rest[at + len(name) + 2 :]
    return parts or [{"type": "text", "text": ""}]


_FORMS: dict[str, Callable[[Example], Row]] = {
    "trl": _trl,
    "llama-factory": _llama_factory,
    "axolotl": _axolotl,
    "open-instruct": _open_instruct,
}


# --- the folder -----------------------------------------------------------------------------------------------------


def _refuse_own(target: Path, run: Run) -> None:
    """An export never goes over what it was made from: the run, a stage of it, a folder of sources."""
    whole = target.resolve()
    sources = [Path(file["path"]).resolve() for file in run.need("tag")["inputs"]["files"]]
    in_stage = any(whole.is_relative_to((run.path / stage).resolve()) for stage in STAGES)
    if in_stage or whole == run.path.resolve() or whole in sources:
        raise ConfigError(f"`{target}` is a source or a part of the run", hint="name another folder with `--out`")


def _write(target: Path, texts: dict[str, str]) -> None:
    """Every file whole and under its own name, the manifest last; what an earlier export left beside them goes.

    The first thing written is a manifest that names the old files and the new ones: an export that was interrupted
    still knows its own.
    """
    part = target / ".export.part"
    try:
        target.mkdir(parents=True, exist_ok=True)
        earlier = _earlier(target)
        for name in texts:
            if name not in earlier and (target / name).exists():
                hint = "name another folder with `--out`, or move the file"
                raise ConfigError(f"`{target / name}` is there, and was made by no export", hint=hint)
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir()
        for name, text in texts.items():
            (part / name).write_bytes(text.encode())
        (part / "began").write_text(json.dumps({"files": sorted((earlier | set(texts)) - {MANIFEST})}))
        os.replace(part / "began", target / MANIFEST)
        for name in sorted(earlier - set(texts)):
            (target / name).unlink(missing_ok=True)
        for name in texts:
            os.replace(part / name, target / name)
    except OSError as error:
        raise ArtifactError(f"`{target}` could not be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _earlier(target: Path) -> set[str]:
    """The files of the export that stands there."""
    try:
        told = json.loads((target / MANIFEST).read_bytes())
        return {Path(str(name)).name for name in told["files"]} | {MANIFEST}
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except (ValueError, KeyError, TypeError):
        hint = "name another folder with `--out`, or remove the file"
        raise ConfigError(f"`{target / MANIFEST}` is not of an export", hint=hint) from None


def _tell(told: dict[str, Any], target: Path, talk: Talk) -> None:
    written = sum(told["written"].values())
    talk.line(f"export: {written:,} of {told['picked']:,} picked records for {told['tool']} in {target}")
    for name, rows in told["written"].items():
        talk.line(f"  {name}.jsonl: {rows:,}")
    for reason, rows in told["left_out"].items():
        talk.warn(f"left out: {rows:,}: {reason}")
