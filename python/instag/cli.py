"""The command line: flags in, stages called, a summary out. Data goes to stdout, talk to stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from instag.errors import InstagError
from instag.memory import peak_memory_bytes
from instag.progress import Talk, shown_lines

F = TypeVar("F", bound=Callable[..., Any])

_SCHEMAS = "alpaca, sharegpt, messages, preference, prompt-completion, question-answer, text, turns, instances"
_STEPS = ["frequency", "rule", "semantic", "association"]

# The flags of each stage: name -> what click is told; `instag run` takes them all. A flag that was not given is None:
# then the TOML file decides, then the default, which stands in the settings dataclass and is repeated here for people.
_TAG: dict[str, dict[str, Any]] = {
    "tagger": {
        "type": click.Choice(["openai", "keyphrase"]),
        "help": "Any OpenAI-compatible endpoint (`openai`, default), or the offline baseline (`keyphrase`).",
    },
    "model": {"metavar": "M", "help": "The model that tags."},
    "base_url": {
        "metavar": "U",
        "help": "The endpoint, e.g. http://localhost:8000/v1 (default OPENAI_BASE_URL, OpenAI).",
    },
    "prompt": {"metavar": "paper|FILE", "help": "The paper's prompt (default), or a file with `{query}` in it."},
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
    "budget_usd": {
        "flag": "--budget",
        "type": float,
        "metavar": "USD",
        "help": "Stop before the answers of this run have cost more.",
    },
    "prices": {"metavar": "FILE", "help": "A table of prices of your own (TOML), before the built-in one."},
    "max_failure_rate": {
        "type": click.FloatRange(0, 1),
        "help": "Stop when more than this share of the answers fails, from the 100th on (default 0.05).",
    },
    "schema": {"metavar": "S", "help": f"Force one schema instead of detecting it: {_SCHEMAS}."},
    "source_column": {"metavar": "NAME", "help": "The member that names a record's source (default: the file's stem)."},
    "limit": {"type": click.IntRange(1), "metavar": "N", "help": "Read only the first N samples of the pool."},
}
_NORMALIZE: dict[str, dict[str, Any]] = {
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
        "help": "`lexical` (default, no model), `openai[:MODEL]`, `sentence-transformers:NAME_OR_FOLDER`.",
    },
    "linkage": {
        "type": click.Choice(["single", "complete"]),
        "help": "How near tags form groups (default single: the paper's DBSCAN).",
    },
    "neighbors": {"type": click.Choice(["auto", "exact", "hnsw"]), "help": "How near tags are found (default auto)."},
    "stemmer": {"metavar": "porter|none|LANG", "help": "Stemmer of the rule step (default porter)."},
    "paper_rules": {"is_flag": True, "default": None, "help": "Turn off every departure from the paper's rule step."},
    "skip": {"multiple": True, "type": click.Choice(_STEPS), "help": "Leave a step out; may be repeated."},
}
_SELECT: dict[str, dict[str, Any]] = {
    "k": {"type": int, "metavar": "N", "help": "Samples to select (default 6000)."},
    "method": {
        "type": click.Choice(["complexity-first", "random", "complexity", "coverage"]),
        "help": "How (default complexity-first, the paper's Algorithm 1).",
    },
    "complexity": {
        "type": click.Choice(["union", "mean-per-turn", "max-turn"]),
        "help": "Tags of a chat: of all turns together (default), the mean of its turns, or its largest turn.",
    },
    "seed": {"type": int, "help": "Seed of `random` (default 0)."},
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


_MORE_MEMORY = "work on shards (`instag import FOLDER`), on fewer samples (`--limit`), or with more memory"
_POOLS = ["RAYON_NUM_THREADS", "POLARS_MAX_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"]


def _with(*groups: dict[str, dict[str, Any]]) -> Callable[[F], F]:
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
        for name, told in reversed([flag for group in groups for flag in group.items()]):
            flag = told.get("flag", "--" + name.replace("_", "-"))
            command = click.option(flag, name, **{key: value for key, value in told.items() if key != "flag"})(command)
        return command

    return add


def _said(options: Mapping[str, Any], group: Mapping[str, Any]) -> dict[str, Any]:
    """What was said on the command line for one stage."""
    return {name: options[name] for name in group if options[name] not in (None, ())}


def _finish(summary: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({**summary, "peak_memory_bytes": peak_memory_bytes()}, ensure_ascii=False))


class _InOrder(click.Group):
    """Lists the commands as a person meets them, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands, key=_ORDER.index)


_ORDER = ["run", "tag", "import", "normalize", "analyze", "select", "export", "show", "bench"]


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="instag", prog_name="instag")
def cli() -> None:
    """Turn pools of instruction data into an understood, small, good training set (#InsTag, arXiv 2308.07074).

    \b
    A first run, offline, on files of instructions in almost any form:
      instag run data/*.jsonl --run my-run --tagger keyphrase --k 1000

    \b
    With ChatGPT, or any OpenAI-compatible endpoint (OPENAI_API_KEY, --base-url):
      instag run data/*.jsonl --run my-run --k 6000

    \b
    Stage by stage:
      instag tag data/*.jsonl --run my-run
      instag normalize my-run
      instag analyze my-run
      instag select my-run --k 6000

    Settings come from flags, then a TOML file (`instag run CONFIG.toml`), then the paper's. A second run does only
    what is stale. Data goes to stdout, talk to stderr.

    Exit codes: 0; 1 data or configuration; 2 usage; 3 too many failures or no endpoint; 130 interrupted.
    """  # noqa: D301 - click reads the backspace


@cli.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--run", "run_path", required=True, metavar="RUN", help="The run folder to write to.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked and what it would cost; ask and write nothing.")
@_with(_TAG)
def tag(files: tuple[str, ...], run_path: str, dry_run: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Read FILES and tag every user query.

    FILES are JSON, JSONL, Parquet or CSV (.gz and .zst too), globs, or NAME=FILE to name the source.
    """
    from instag.tag_stages import tag_plan, tag_stage

    make = tag_plan if dry_run else tag_stage
    _finish(make(run_path, files, _said(options, _TAG), Talk(quiet=quiet)), as_json)


@cli.command(name="import")
@click.argument("tags", nargs=-1, required=True)
@click.option("--run", "run_path", required=True, metavar="RUN", help="The run folder to write to.")
@click.option("--column", default="tags", show_default=True, help="The column of tags.")
@click.option("--id-column", help="The column of ids (default: FILE:ROW).")
@click.option("--source-column", help="The column that names the source (default: the file's stem).")
@_with()
def import_(
    tags: tuple[str, ...],
    run_path: str,
    column: str,
    id_column: str | None,
    source_column: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take data that is tagged already, straight to `normalize`.

    TAGS are files or folders of shards: Parquet, JSON, JSONL (.gz and .zst too). A row is one query; nothing is
    deduplicated.
    """
    from instag.tag_stages import import_stage

    talk = Talk(quiet=quiet)
    summary = import_stage(run_path, tags, talk, column=column, id_column=id_column, source_column=source_column)
    _finish(summary, as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@_with(_NORMALIZE)
def normalize(run: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Make the tags consistent, by the paper's four steps.

    A ledger in RUN/normalize tells what became of every raw tag, and why.
    """
    from instag import stages

    _finish(stages.normalize_stage(run, _said(options, _NORMALIZE), Talk(quiet=quiet)), as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@_with()
def analyze(run: str, as_json: bool, quiet: bool) -> None:
    """Measure diversity, complexity and overlap of the sources."""
    from instag import stages

    _finish(stages.analyze_stage(run, Talk(quiet=quiet)), as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@_with(_SELECT)
def select(run: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Pick the subset: RUN/select/selected.jsonl.

    It is always reported beside random subsets of the same size.
    """
    from instag import stages

    _finish(stages.select_stage(run, _said(options, _SELECT), Talk(quiet=quiet)), as_json)


@cli.command(name="run")
@click.argument("files", nargs=-1, required=True)
@click.option("--run", "run_path", metavar="RUN", help="The run folder to write to.")
@_with(_TAG, _NORMALIZE, _SELECT)
def run_(files: tuple[str, ...], run_path: str | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """All stages: tag, normalize, analyze, select.

    FILES are as for `instag tag`; or one CONFIG.toml, whose paths are relative to it.
    """
    from instag import stages

    groups = {"tag": _TAG, "normalize": _NORMALIZE, "select": _SELECT}
    said = {stage: _said(options, group) for stage, group in groups.items()}
    known = {stage: set(group) for stage, group in groups.items()}
    _finish(stages.run_all(files, run_path, said, known, Talk(quiet=quiet)), as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("--annotated", is_flag=True, help="Every record with its tags, their count and its rank.")
@click.option("--out", metavar="FILE", help="Where to (default RUN/annotated.jsonl; `-` for stdout).")
@_with()
def export(run: str, annotated: bool, out: str | None, as_json: bool, quiet: bool) -> None:
    """Write the records with what was found out about them."""
    if not annotated:
        raise click.UsageError("say what to export: --annotated")
    if out == "-" and as_json:
        raise click.UsageError("`--out -` and `--json` both write to stdout: leave one out")
    from instag.exporting import export_annotated

    _finish(export_annotated(run, out, Talk(quiet=quiet)), as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@_with()
def show(run: str, as_json: bool, quiet: bool) -> None:
    """Say what stands, what is stale, and what failed."""
    from instag.exporting import show as show_run

    _finish(show_run(run, Talk(quiet=quiet)), as_json)


@cli.command()
@click.argument("subject", type=click.Choice(["select", "rules", "normalize", "read"]))
@click.option(
    "--samples",
    type=click.IntRange(1_000, 100_000_000),
    default=1_000_000,
    show_default=True,
    metavar="N",
    help="Size of the pool, made up and always the same; from 1,000 to 100,000,000.",
)
@click.option("--peers", is_flag=True, help="Beside every package that does the same and is installed, too.")
@click.option(
    "--input",
    "inputs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="For `read`: JSON lines of yours in place of made-up ones, repeated to N records; may be repeated.",
)
@_with()
@click.pass_context
def bench(
    ctx: click.Context, subject: str, samples: int, peers: bool, inputs: tuple[str, ...], as_json: bool, quiet: bool
) -> None:
    """Measure a step on this machine: `select`, `rules`, `normalize` or `read`.

    Each step runs beside the least it could take: a bare loop in C (where there is a compiler `cc`), or merely
    reading the data. With --peers also beside what people use today; what is not installed is a row that names it.

    \b
      instag bench select --samples 10000000
      pip install scipy mlxtend pyfim && instag bench rules --peers
      instag bench read --input my-chats.jsonl --json > read.json

    Contenders run in turn, each in a process of its own; their answers must be the same. A ratio is the peer's
    seconds by ours: above 1 `instag` is faster. A peer may take 300 seconds a run and 12 GiB; beyond, its row tells
    the error and the command that shows it. Needs some 100 bytes of memory and of TMPDIR a sample, `read` 2,000 of
    TMPDIR.
    """  # noqa: D301 - click reads the backspace
    if inputs and subject != "read":
        raise click.UsageError(f"`--input` is for `read`: `{subject}` makes its pool up")
    from pathlib import Path

    from instag.bench import compare, timing

    talk = Talk(quiet=quiet)
    found = compare(subject, samples, peers=peers, talk=talk, inputs=[Path(name) for name in inputs])
    try:
        if as_json:
            click.echo(json.dumps([comparison.as_json() for comparison in found], ensure_ascii=False, indent=1))
            return
        for number, comparison in enumerate(found):
            if not number:
                click.echo(f"{timing.told_machine()}\n\n{timing.HEADER}\n{timing.RULE}")
            click.echo(comparison.row)
    except KeyboardInterrupt:
        found.close()
        print("interrupted: temporary files are removed", file=sys.stderr)
        ctx.exit(130)


def main(arguments: list[str] | None = None) -> None:
    """The entry point: errors become one line on stderr and an exit code."""
    try:
        code = cli.main(args=arguments, prog_name="instag", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except InstagError as error:
        print(shown_lines(f"error: {error}"), file=sys.stderr)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        print("interrupted: what was finished or answered stays, the same command goes on from there", file=sys.stderr)
        code = 130
    except MemoryError as error:
        said = str(error) or "memory ran out"
        what = said if said.startswith("memory ran out") else f"memory ran out: {said}"
        print(shown_lines(f"error: {what}\nhint: {_MORE_MEMORY}"), file=sys.stderr)
        code = 1
    except BrokenPipeError:
        # The reader of our stdout is gone (`| head`): nothing more to say, and nothing to flush at exit.
        sys.stdout = None
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
