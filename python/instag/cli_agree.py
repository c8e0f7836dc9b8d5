"""The commands that compare taggings and hold data out: `agree`, `split`."""

from __future__ import annotations

from typing import Any

import click

from instag.commands import cli, finish
from instag.flags import NORMALIZE, said, with_flags
from instag.progress import Talk

AGREE: dict[str, dict[str, Any]] = {
    "tags": {"type": click.Choice(["raw", "normalized"]), "help": "As tagged (default), or as normalized in each run."},
    "by": {
        "type": click.Choice(["query", "sample"]),
        "help": "Compare queries (default), or the tags of all queries of a sample together.",
    },
    "join": {
        "type": click.Choice(["id", "own-id", "query"]),
        "help": "By sample ids (default), by the ids that records have in their source, or queries by their text.",
    },
    "average": {
        "type": click.Choice(["micro", "macro"]),
        "help": "Over all tags (default), or the mean over queries.",
    },
    "matching": {
        "type": click.Choice(["optimal", "greedy", "any"]),
        "help": "Fuzzy matches: one to one, as many as can be (default), or the nearest first; or `any` near tag.",
    },
    "case": {"type": click.Choice(["keep", "fold"]), "help": "Whether case parts two tags (default keep: it does)."},
    "embedder": {
        "metavar": "NAME",
        "help": "Fuzzy F1 too, by this embedder (as for `instag normalize`; `lexical`: equal keys).",
    },
    "min_cosine": {
        "type": float,
        "metavar": "C",
        "help": "Fuzzy: above this cosine two tags match (default 0.8, the paper's for PhraseBERT).",
    },
    "resamples": {"type": click.IntRange(1), "metavar": "N", "help": "Of the bootstrap (default 1000)."},
    "seed": {"type": click.IntRange(0), "metavar": "S", "help": "Of the bootstrap (default 0)."},
    **{name: NORMALIZE[name] for name in ("embedder_base_url", "embedder_key_file")},
    "answers": {"metavar": "PATH", "help": "Store that keeps vectors (default: they are not kept)."},
}
SPLIT: dict[str, dict[str, Any]] = {
    "holdout_tags": {"type": click.IntRange(1), "metavar": "N", "help": "Tags to hold out (default 20)."},
    "min_count": {
        "type": click.IntRange(1),
        "metavar": "N",
        "help": "Hold out only tags that this many samples have (default 20).",
    },
    "max_share": {
        "type": float,
        "metavar": "P",
        "help": "Hold out no more than this share of the samples; a tag that would is passed over (default 0.2).",
    },
    "eval": {
        "type": click.IntRange(0),
        "metavar": "N",
        "help": "Set so many other samples apart too, whose tags all stay in the pool (default 0).",
    },
    "seed": {"type": click.IntRange(0), "metavar": "S", "help": "What is drawn (default 0)."},
}
TAGGER: dict[str, dict[str, Any]] = {
    "tags": {"type": click.Choice(["raw", "normalized"]), "help": "The tags that a tagger learns (default raw)."},
    "held_out": {"type": click.IntRange(0), "metavar": "N", "help": "Queries to hold out (default 1000, the paper's)."},
    "prompt": {"metavar": "NAME|FILE", "help": "What it is asked, as for `instag tag` (default instagger-vicuna)."},
    "seed": SPLIT["seed"],
}


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("--as-tagger", is_flag=True, help="Split the tagging answers in place of the samples: RUN/tagger.")
@with_flags(SPLIT, TAGGER)
def split(run: str, as_tagger: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Hold tags out of the pool, to try a model on kinds of instructions that it never saw.

    Draws tags, and parts the samples in RUN/split: `pool.jsonl` has none of these tags, `heldout.jsonl` only samples
    that have one, `seen.jsonl` (--eval) samples of tags that the pool keeps. Each line is a conversation with its tags,
    and can be read again; its answers need not be paid for again:

    \b
      instag split RUN --holdout-tags 20 --eval 500
      instag run RUN/split/pool.jsonl --run POOL --answers RUN/answers.sqlite --k 6000

    With --as-tagger RUN/tagger gets what a tagger of your own learns from: `train.jsonl` and `held_out.jsonl`, a query
    and its tags as JSON a line. Equal queries are never on both sides. `queries.jsonl` are those held out, to be tagged
    by it: `instag agree RUN TAGGED --join query` tells how well.
    """  # noqa: D301 - click reads the backspace
    foreign = set(TAGGER if not as_tagger else SPLIT) - set(SPLIT if not as_tagger else TAGGER)
    if given := [name for name in (*SPLIT, *TAGGER) if name in foreign and options[name] is not None]:
        flag = f"--{given[0].replace('_', '-')}"
        raise click.UsageError(f"`{flag}` is {'not for' if as_tagger else 'for'} `--as-tagger`")
    if as_tagger:
        from instag.tagger_data import tagger_stage

        finish(tagger_stage(run, said(options, TAGGER), Talk(quiet=quiet)), as_json)
        return
    from instag.splitting import split_stage

    finish(split_stage(run, said(options, SPLIT), Talk(quiet=quiet)), as_json)


@cli.command()
@click.argument("run_a", metavar="RUN_A")
@click.argument("run_b", metavar="RUN_B")
@click.option("--limit", type=click.IntRange(0), default=10, show_default=True, metavar="N", help="Worst to list.")
@click.option("--out", metavar="FOLDER", help="Write all tags and all queries there, as Parquet.")
@with_flags(AGREE)
def agree(run_a: str, run_b: str, limit: int, out: str | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Compare two taggings of the same samples: exact and fuzzy F1.

    RUN_A is taken to be right: precision is the share of RUN_B's tags that RUN_A has too, recall that of RUN_A's tags
    that RUN_B found. Queries are joined by sample id and turn; those that failed in either run are counted apart, as
    are those that have no tags in both. Intervals (95 %) are of the bootstrap over samples.

    \b
      instag agree chatgpt-run my-tagger-run --embedder sentence-transformers:whaleloops/phrase-bert

    The paper's InsTagger agrees with ChatGPT to 31.8 % exactly, to 73.4 % above cosine 0.8 by PhraseBERT. How it
    matched and averaged it does not say: here these are options, and the summary names what was chosen.
    """  # noqa: D301 - click reads the backspace
    from instag.agreeing import agree_command

    finish(agree_command(run_a, run_b, said(options, AGREE), Talk(quiet=quiet), limit=limit, out=out), as_json)
