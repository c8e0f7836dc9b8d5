"""Tagging answers as training data for a tagger of one's own (the paper's InsTagger), a part of it held out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import xxhash

from instag.errors import ConfigError, DataError
from instag.prompt import Prompt, load_prompt
from instag.run import Run

if TYPE_CHECKING:
    import polars as pl

    from instag.output import Output
    from instag.progress import Talk

TAGS = ("raw", "normalized")
PARTS = ("train", "held_out")
PAPER_HELD_OUT = 1000


@dataclass(frozen=True)
class TaggerSettings:
    """What decides the data: which tags are learned, how many queries are held out, the prompt that they stand in."""

    tags: str = "raw"
    held_out: int = PAPER_HELD_OUT
    seed: int = 0
    prompt: str = "instagger-vicuna"

    def __post_init__(self) -> None:
        if self.tags not in TAGS:
            raise ConfigError(f"`tags` is {self.tags!r}, which is none", hint=f"one of {', '.join(TAGS)}")
        if self.held_out < 0 or self.seed < 0:
            raise ConfigError(f"`held_out` is {self.held_out} and `seed` {self.seed}, must be at least 0")


@dataclass(frozen=True)
class TaggerData:
    """Queries with the answers to learn: `train` and `held_out`, frames of `id`, `turn`, `query`, `answer`.

    Rows keep the order of the run; a query stands under the first sample that asks it.
    """

    train: pl.DataFrame
    held_out: pl.DataFrame
    counts: dict[str, int]
    prompt: Prompt

    def conversations(self, part: str = "train") -> Iterator[list[dict[str, str]]]:
        """One conversation a query of `train` or `held_out`: the messages of the prompt, then the answer.

        They are what `instag tag` sends with the same `--prompt`, so the trained model is asked as it was taught; how
        they become text is the trainer's (Vicuna v1.1 for the paper's).
        """
        if part not in PARTS:
            raise ConfigError(f"`part` is {part!r}, which is none", hint=f"one of {', '.join(PARTS)}")
        for query, answer in getattr(self, part).select("query", "answer").iter_rows():
            yield [*self.prompt.messages(query), {"role": "assistant", "content": answer}]

    def __repr__(self) -> str:
        return f"TaggerData({len(self.train)} to train on, {len(self.held_out)} held out)"


def tagger_conversations(
    run: Run | str | Path,
    tags: str = "raw",
    held_out: int = PAPER_HELD_OUT,
    seed: int = 0,
    *,
    prompt: str = "instagger-vicuna",
) -> TaggerData:
    """The tagging answers of a run as conversations that a tagger learns from.

    An answer is `[{"tag": ..., "explanation": ...}, ...]`, as the prompt asks for. `tags`: as they were given (`raw`),
    or each replaced by what `normalize` made of it (`normalized`: dropped tags go, of several that became one the
    first's explanation stays). A query that is asked several times is learned once; those that failed and those left
    without tags never enter, both counted. Held out are the `held_out` queries of the smallest hash of seed and
    text; text that differs in case and white space alone is never on both sides, so there may be a few more. Raises
    `DataError` where the run has no text (it was imported) or nothing to learn, `ConfigError` where no query would be
    left to train on.
    """
    import polars as pl

    run = run if isinstance(run, Run) else Run(run)
    settings = TaggerSettings(tags, held_out, seed, prompt)
    run.need("tag")
    asked = run.table("tag", "queries", ["id", "turn", "query", "tags", "explanations", "status"])
    if len(asked) and asked["query"].null_count() == len(asked):
        raise DataError(
            f"`{run.path}` holds tags without the text of the queries: it was imported",
            hint="a tagger learns from a run of `instag tag`",
        )
    lists = pl.List(pl.String)
    answered = asked.filter(pl.col("status").cast(pl.String) == "ok").cast({"tags": lists, "explanations": lists})
    distinct = answered.unique("query", keep="first", maintain_order=True)
    into = _into(run) if tags == "normalized" else None
    answers = [_answer(row, why or [], into) for row, why in distinct.select("tags", "explanations").iter_rows()]
    told = distinct.select("id", "turn", "query").with_columns(pl.Series("answer", answers, pl.String))
    learned = told.filter(pl.col("answer").is_not_null())
    counts = {
        "queries": len(asked),
        "failed": len(asked) - len(answered),
        "repeated": len(answered) - len(distinct),
        "untagged": len(distinct) - len(learned),
    }
    if not len(learned):
        raise DataError(f"`{run.path}` has no query with {tags} tags to learn from", hint="see `instag show`")
    apart = pl.Series(_held_out(learned["query"].to_list(), settings))
    if apart.all():
        raise ConfigError(
            f"`held_out` is {held_out}, but there are {len(learned):,} queries to learn from: none would be left",
            hint="hold fewer out: `--held-out N`",
        )
    parts = {"train": learned.filter(~apart), "held_out": learned.filter(apart)}
    counts |= {name: len(part) for name, part in parts.items()}
    return TaggerData(**parts, counts=counts, prompt=load_prompt(prompt))


def tagger_stage(path: str | Path, said: dict[str, Any], talk: Talk) -> dict[str, Any]:
    """`tagger/`: train.jsonl, held_out.jsonl, queries.jsonl, each with messages. Reads `tag/` (and `normalize/`)."""
    import dataclasses

    from instag.config import settings_from
    from instag.staging import label_of, make_stage, stage_inputs

    run, settings = Run(path), settings_from(TaggerSettings, said)

    def make(out: Output) -> None:
        data = tagger_conversations(run, **dataclasses.asdict(settings))
        for part in PARTS:
            with out.file(f"{part}.jsonl") as file, open(file, "w", encoding="utf-8", newline="\n") as lines:
                for messages in data.conversations(part):
                    lines.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")
        with out.file("queries.jsonl") as file, open(file, "w", encoding="utf-8", newline="\n") as lines:
            for query in data.held_out["query"]:
                asked = {"messages": [{"role": "user", "content": query}]}
                lines.write(json.dumps(asked, ensure_ascii=False) + "\n")
        out.counts |= data.counts
        out.notes.append(label_of(run))

    inputs = stage_inputs(run, "tag", *(["normalize"] if settings.tags == "normalized" else []))
    whole = dataclasses.asdict(settings) | {"prompt": load_prompt(settings.prompt).identity}
    return make_stage(run, "tagger", whole, inputs, make, talk)


def _into(run: Run) -> dict[str, str]:
    """What became of each raw tag that was kept."""
    run.need("normalize")
    ledger = run.table("normalize", "ledger", ["raw", "into"]).drop_nulls()
    return dict(zip(ledger["raw"].to_list(), ledger["into"].to_list(), strict=True))


def _answer(tags: list[str], explanations: list[str], into: dict[str, str] | None) -> str | None:
    told: dict[str, str] = {}
    for at, tag in enumerate(tags):
        name = tag if into is None else into.get(tag)
        if name is not None:
            told.setdefault(name, explanations[at] if at < len(explanations) else "")
    answer = [{"tag": tag, "explanation": why} for tag, why in told.items()]
    return json.dumps(answer, ensure_ascii=False) if answer else None


def _held_out(queries: list[str], settings: TaggerSettings) -> list[bool]:
    """Which queries are held out; groups of one folded text go whole, those of the smallest hash first."""
    groups: dict[str, list[int]] = {}
    for at, query in enumerate(queries):
        groups.setdefault(" ".join(query.casefold().split()), []).append(at)
    apart, count = [False] * len(queries), 0
    for folded in sorted(groups, key=lambda text: (seeded(settings.seed, text), text)):
        if count >= settings.held_out:
            break
        for at in groups[folded]:
            apart[at] = True
        count += len(groups[folded])
    return apart


def seeded(seed: int, text: str) -> int:
    """A number for a text that a seed decides, the same on any machine: what is drawn first is the smallest."""
    return xxhash.xxh3_64_intdigest(f"{seed}\n{text}".encode("utf-8", "surrogatepass"))
