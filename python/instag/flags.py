"""The flags of the command line: what click is told of each, and how they become settings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_SCHEMAS = "alpaca, sharegpt, messages, preference, prompt-completion, question-answer, text, turns, instances"
_STEPS = ["frequency", "rule", "semantic", "association"]

# The flags of each stage: name -> what click is told; `instag run` takes them all. A flag that was not given is None:
# then the TOML file decides, then the default, which stands in the settings dataclass and is repeated here for people.
TAG: dict[str, dict[str, Any]] = {
    "tagger": {
        "type": click.Choice(["openai", "keyphrase"]),
        "help": "Any OpenAI-compatible endpoint (`openai`, default), or the offline baseline (`keyphrase`).",
    },
    "model": {"metavar": "M", "help": "The model that tags."},
    "model_identity": {
        "metavar": "NAME",
        "help": "What answers are kept by in place of the model's name, where servers name one model differently.",
    },
    "base_url": {
        "metavar": "U",
        "help": "The endpoint, e.g. http://localhost:8000/v1 (default OPENAI_BASE_URL, OpenAI).",
    },
    "key_file": {"metavar": "FILE", "help": "The file with the API key (default: OPENAI_API_KEY)."},
    "prompt": {
        "metavar": "NAME|FILE",
        "help": "`paper` (default), `instagger-vicuna`, `instagger-chatml`, `closed`, or a file with `{query}` in it.",
    },
    "labels": {"metavar": "FILE", "help": "The labels that `--prompt closed` chooses from, one a line."},
    "max_query_tokens": {
        "type": click.IntRange(50),
        "metavar": "N",
        "help": "Cut a longer query from its middle, and mark it (default 8000, estimated).",
    },
    "redact": {
        "metavar": "common|FILE",
        "help": "Take addresses, phone and card numbers and keys out of what is sent, or what a file's patterns find.",
    },
    "answers": {"metavar": "PATH", "help": "Store of paid answers; runs may share one (default RUN/answers.sqlite)."},
    "output": {
        "type": click.Choice(["json_schema", "json_object", "plain"]),
        "help": "Form of the replies (default: the strictest that the endpoint takes, found by trying).",
    },
    "concurrency": {
        "type": click.IntRange(1),
        "metavar": "N",
        "help": "Requests in flight, at most (default 512; how many are is found by trying).",
    },
    "requests_per_minute": {"type": float, "metavar": "N", "help": "Send no more than this (default: no cap)."},
    "tokens_per_minute": {
        "type": float,
        "metavar": "N",
        "help": "Ask for no more than this, prompts and replies together (default: no cap).",
    },
    "retry_failed": {
        "is_flag": False,
        "flag_value": "all",
        "metavar": "[REASON]",
        "help": "Ask again for what failed, or what failed for one reason: `--retry-failed=not_json`.",
    },
    "budget_usd": {
        "flag": "--budget",
        "type": float,
        "metavar": "USD",
        "help": "Stop before the answers of this run have cost more.",
    },
    "prices": {"metavar": "FILE", "help": "A table of prices of your own (TOML), before the built-in one."},
    "batch": {
        "is_flag": True,
        "default": None,
        "help": "By the Batch API: half the price, within a day; what it does not answer is asked live.",
    },
    "max_failure_rate": {
        "type": click.FloatRange(0, 1),
        "help": "Stop when more than this share of the answers fails, from the 100th on (default 0.05).",
    },
    "schema": {"metavar": "S", "help": f"Force one schema instead of detecting it: {_SCHEMAS}."},
    "source_column": {"metavar": "NAME", "help": "The member that names a record's source (default: the file's stem)."},
    "limit": {"type": click.IntRange(1), "metavar": "N", "help": "Read only the first N samples of the pool."},
}
NORMALIZE: dict[str, dict[str, Any]] = {
    "min_count": {"type": int, "help": "Frequency filtering: drop raw tags held by fewer queries (default 20)."},
    "max_cosine_distance": {
        "type": float,
        "metavar": "D",
        "help": "Semantic aggregation: merge up to here (default the embedder's own; 0.05 belongs to PhraseBERT).",
    },
    "min_rule_count": {"type": int, "help": "Association: queries a rule must hold in (default 40)."},
    "min_rule_confidence": {"type": float, "help": "Association: confidence a rule must have (default 0.99)."},
    "embedder": {
        "metavar": "NAME",
        "help": "`lexical` (default, no model), `openai[:MODEL]`, `sentence-transformers:NAME_OR_FOLDER`, "
        "`model2vec:NAME_OR_FOLDER`, or code of yours, `package.module:attribute`.",
    },
    "embedder_base_url": {
        "metavar": "U",
        "help": "The endpoint of `--embedder openai` (default OPENAI_BASE_URL, OpenAI).",
    },
    "embedder_key_file": {"metavar": "FILE", "help": "The file with its API key (default: OPENAI_API_KEY)."},
    "answers": {"metavar": "PATH", "help": "Store of paid answers and vectors (default RUN/answers.sqlite)."},
    "merge": {
        "type": click.Choice(["paper", "guarded"]),
        "help": "With a model: `guarded` (default) merges near tags only where no guard objects (numbers, opposites, "
        "direction, one more word) and what differs means the same; `paper` (default of PhraseBERT) by distance alone.",
    },
    "linkage": {
        "type": click.Choice(["single", "complete"]),
        "help": "How near tags form groups with `--merge paper` (default single: DBSCAN).",
    },
    "neighbors": {"type": click.Choice(["auto", "exact", "hnsw"]), "help": "How near tags are found (default auto)."},
    "stemmer": {
        "metavar": "NAME",
        "help": "Stemmer, `inflection` (default), `porter` (the paper's), `none`, a Snowball language (`german`).",
    },
    "paper_rules": {"is_flag": True, "default": None, "help": "Turn off every departure from the paper's rule step."},
    "vocabulary": {
        "metavar": "RUN",
        "help": "Map the tags through what this run decided, by its settings; report what it does not know.",
    },
    "overrides": {
        "metavar": "FILE",
        "help": "What a person says of tags: merge, apart, drop, rename (default RUN/overrides.toml, if there).",
    },
    "skip": {"multiple": True, "type": click.Choice(_STEPS), "help": "Leave a step out; may be repeated."},
}
CALIBRATE: dict[str, dict[str, Any]] = {
    "embedder": {"required": True, "metavar": "NAME", "help": "As for `instag normalize`, but `lexical`."},
    "pairs": {"required": True, "metavar": "FILE", "help": "Labelled pairs: the columns `a`, `b`, `same`."},
    "precision": {"type": float, "metavar": "P", "help": "Share of merges that must be right (default 0.95)."},
    "folds": {"type": int, "metavar": "N", "help": "Parts that are held out in turn (default 5)."},
    "out": {"metavar": "FILE", "help": "Where the thresholds go (default instag-thresholds.toml)."},
    **{name: NORMALIZE[name] for name in ("embedder_base_url", "embedder_key_file")},
    "answers": {"metavar": "PATH", "help": "Store that keeps vectors (default: they are not kept)."},
}
SELECT: dict[str, dict[str, Any]] = {
    "k": {"type": int, "metavar": "N", "help": "Samples to select (default 6000)."},
    "method": {
        "type": click.Choice(["complexity-first", "random", "complexity", "coverage", "controlled"]),
        "help": "How (default complexity-first, the paper's Algorithm 1).",
    },
    "complexity": {
        "type": click.Choice(["union", "mean-per-turn", "max-turn"]),
        "help": "Tags of a chat: of all turns together (default), the mean of its turns, or its largest turn.",
    },
    "seed": {"type": int, "help": "Seed of `random` and `controlled` (default 0)."},
    "target_coverage": {
        "type": float,
        "metavar": "SHARE",
        "help": "For `controlled`: the share of the pool's tags that the samples hold together, 0 to 1.",
    },
    "target_mean_tags": {
        "type": float,
        "metavar": "TAGS",
        "help": "For `controlled`: the mean number of tags a sample.",
    },
    "format": {
        "type": click.Choice(["original", "messages"]),
        "help": "`selected.jsonl` as the sources have it (default), or in one uniform schema.",
    },
    "allow_partial": {
        "is_flag": True,
        "default": None,
        "help": "Also select samples with a turn whose tagging failed.",
    },
}


def _limit_threads(ctx: click.Context, _: click.Parameter, threads: int | None) -> None:
    """Tells every pool of threads its size; none of them is started before its library is imported, in a stage."""
    if threads is not None and not ctx.resilient_parsing:
        os.environ |= dict.fromkeys(_POOLS, str(threads))


_POOLS = ["RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"]


def with_flags(*groups: dict[str, dict[str, Any]]) -> Callable[[F], F]:
    """The flags of the stages named, and the three every command has."""

    def add(command: F) -> F:
        command = click.option(
            "--threads",
            type=click.IntRange(1),
            metavar="N",
            expose_value=False,
            is_eager=True,
            callback=_limit_threads,
            help="Threads to work with (default: one a core). The result is the same with any number.",
        )(command)
        command = click.option("--quiet", is_flag=True, help="Say nothing on stderr but errors.")(command)
        command = click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON on stdout.")(command)
        shared = {name: told for group in reversed(groups) for name, told in group.items()}  # `--answers` is one flag
        ordered = {name: shared[name] for group in groups for name in group}
        for name, told in reversed(ordered.items()):
            flag = told.get("flag", "--" + name.replace("_", "-"))
            command = click.option(flag, name, **{key: value for key, value in told.items() if key != "flag"})(command)
        return command

    return add


def said(options: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    """What was said on the command line for one stage."""
    return {name: options[name] for name in group if options[name] not in (None, ())}
