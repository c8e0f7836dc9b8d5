"""The command line: flags in, stages called, a summary out. Data goes to stdout, talk to stderr."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from instag import cli_agree, cli_evaluate, cli_experiment, cli_train  # noqa: F401 - they register their commands
from instag.commands import cli, finish
from instag.errors import InstagError
from instag.flags import CALIBRATE, NORMALIZE, SELECT, TAG, said, with_flags
from instag.progress import Talk, shown_lines

_MERGED_BY = ["rule", "semantic", "association", "override"]
_TO = "The selection as this trainer reads it, with a recipe."
_MORE_MEMORY = "work on shards (`instag import FOLDER`), on fewer samples (`--limit`), or with more memory"


@cli.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--run", "run_path", required=True, metavar="RUN", help="The run folder to write to.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked and what it would cost; ask and write nothing.")
@click.option("--batch-status", is_flag=True, help="Say how the batches of `--batch` are; change nothing.")
@with_flags(TAG)
def tag(
    files: tuple[str, ...],
    run_path: str,
    dry_run: bool,
    batch_status: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Read FILES and tag every user query.

    FILES are JSON, JSONL, Parquet or CSV (.gz and .zst too), globs, or NAME=FILE to name the source.
    """
    from instag.tag_stages import tag_batches, tag_plan, tag_stage

    make = tag_batches if batch_status else tag_plan if dry_run else tag_stage
    finish(make(run_path, files, said(options, TAG), Talk(quiet=quiet)), as_json)


@cli.command(name="import")
@click.argument("tags", nargs=-1, required=True)
@click.option("--run", "run_path", required=True, metavar="RUN", help="The run folder to write to.")
@click.option("--column", default="tags", show_default=True, help="The column of tags.")
@click.option("--id-column", help="The column of ids (default: FILE:ROW).")
@click.option("--source-column", help="The column that names the source (default: the file's stem).")
@with_flags()
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
    finish(summary, as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@with_flags(NORMALIZE)
def normalize(run: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Make the tags consistent, by the paper's four steps.

    A ledger in RUN/normalize tells what became of every raw tag, and why.
    """
    from instag import stages

    finish(stages.normalize_stage(run, said(options, NORMALIZE), Talk(quiet=quiet)), as_json)


@cli.command()
@with_flags(CALIBRATE)
def calibrate(as_json: bool, quiet: bool, **options: Any) -> None:
    """Fit the thresholds of an embedder on labelled pairs.

    Thresholds belong to a model: at what cosine do its tags mean the same? FILE has a pair of tags a line, and whether
    they do (JSON lines, CSV or Parquet):

    \b
      {"a": "front-end", "b": "frontend", "same": true}
      {"a": "json to csv", "b": "csv to json", "same": false}

    \b
      instag calibrate --embedder sentence-transformers:all-MiniLM-L6-v2 --pairs pairs.jsonl

    The thresholds that merge the most pairs rightly at the precision asked for go into `instag-thresholds.toml`, which
    `instag normalize --merge guarded` reads in the current folder, or where INSTAG_THRESHOLDS names it. Their figures
    are told on the pairs that they were fitted on, and on pairs held out that share no tag with these. Give the hard
    pairs too, and as many as you can: where they are too few to tell (a precision of 0.95 takes 73 right merges), where
    no thresholds reach the precision or where it does not hold on held-out pairs, it says so and stores nothing.
    """  # noqa: D301 - click reads the backspace
    from instag.calibrating import calibrate_command

    finish(calibrate_command(said(options, CALIBRATE), Talk(quiet=quiet)), as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("--sort", type=click.Choice(["doubt", "stake", "count", "step"]), default="doubt", show_default=True)
@click.option(
    "--step", "steps", multiple=True, type=click.Choice(_MERGED_BY), help="Only this step's; may be repeated."
)
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N (the terminal shows 40).")
@click.option("--out", metavar="FILE.parquet", help="Write them as Parquet, all columns.")
@click.option("--toml", "as_toml", is_flag=True, help="Print an `apart` list to keep what is right of.")
@with_flags()
def merges(
    run: str,
    sort: Any,
    steps: tuple[str, ...],
    limit: int | None,
    out: str | None,
    as_toml: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """List what was merged, the closest calls first.

    Doubt goes from 0 to 1. By a model: 1 at the limit, 0 at cosine 1. Association: the same, or the least rule count
    by the queries with both tags. Rules and `lexical`: by kind, case and separators least, then plurals; stems by the
    share of letters that differ; word order, verb and noun, aliases most. Ties: more occurrences first. `stake` is
    doubt times occurrences.

    What is wrong goes into RUN/overrides.toml (`--toml` writes the lines), for the next `instag normalize`.
    """
    from instag import merges as listed

    if as_toml and as_json:
        raise click.UsageError("`--toml` and `--json` both write to stdout: leave one out")
    talk = Talk(quiet=quiet)
    told, found = listed.show_merges(run, talk, sort=sort, steps=steps, limit=limit, out=out)
    if as_json:
        finish(told | {"merges": found.to_dicts()}, as_json)
    elif as_toml:
        click.echo("\n".join(listed.as_toml(found.head(limit or listed.SHOWN))))
    elif out is None:
        for line in listed.as_table(found.head(limit or listed.SHOWN)):
            click.echo(line)
        more = told["total"] - min(told["total"], limit or listed.SHOWN)
        talk.line(f"{more:,} more: `--limit N`, or `--out FILE.parquet` for all" if more else "")


@cli.command()
@click.argument("run", metavar="RUN")
@with_flags()
def analyze(run: str, as_json: bool, quiet: bool) -> None:
    """Measure diversity, complexity and overlap of the sources."""
    from instag import stages

    finish(stages.analyze_stage(run, Talk(quiet=quiet)), as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@with_flags(SELECT)
def select(run: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Pick the subset: RUN/select/selected.jsonl.

    It is always reported beside random subsets of the same size.
    """
    from instag import stages

    finish(stages.select_stage(run, said(options, SELECT), Talk(quiet=quiet)), as_json)


@cli.command(name="run")
@click.argument("files", nargs=-1, required=True)
@click.option("--run", "run_path", metavar="RUN", help="The run folder to write to.")
@with_flags(TAG, NORMALIZE, SELECT)
def run_(files: tuple[str, ...], run_path: str | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """All stages: tag, normalize, analyze, select.

    FILES are as for `instag tag`; or one CONFIG.toml, whose paths are relative to it. Where it has `[train]`, a model
    is trained on the selection, where it has `[evaluate]`, judged.
    """
    from instag import stages

    groups = {"tag": TAG, "normalize": NORMALIZE, "select": SELECT}
    told = {stage: said(options, group) for stage, group in groups.items()}
    known = {stage: set(group) for stage, group in groups.items()}
    finish(stages.run_all(files, run_path, told, known, Talk(quiet=quiet)), as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("--annotated", is_flag=True, help="Every record with its tags, their count and its rank.")
@click.option("--to", "tool", type=click.Choice(["trl", "llama-factory", "axolotl", "open-instruct"]), help=_TO)
@click.option("--out", metavar="PATH", help="File (RUN/annotated.jsonl; `-`: stdout), or folder (RUN/export/TOOL).")
@with_flags()
def export(run: str, annotated: bool, tool: str | None, out: str | None, as_json: bool, quiet: bool) -> None:
    """Write the records with what was found out about them, or the selection for a trainer.

    \b
      instag export RUN --annotated
      instag export RUN --to llama-factory --out my-data

    For a trainer: a file for each shape of record, a recipe with the paper's settings, and `left_out.jsonl` with what
    the trainer has no form for, and why.
    """  # noqa: D301 - click reads the backspace
    if annotated == bool(tool):
        raise click.UsageError("say what to export: --annotated, or --to TOOL")
    if out == "-" and (as_json or tool):
        what = (
            "`--to` writes a folder: name one" if tool else "`--out -` and `--json` both write to stdout: leave one out"
        )
        raise click.UsageError(what)
    from instag.exporting import export_annotated
    from instag.handover import export_to

    talk = Talk(quiet=quiet)
    finish(export_to(run, tool, out, talk) if tool else export_annotated(run, out, talk), as_json)


@cli.command()
@click.argument("run", metavar="RUN")
@with_flags()
def show(run: str, as_json: bool, quiet: bool) -> None:
    """Say what stands, what is stale, and what failed."""
    from instag.exporting import show as show_run

    finish(show_run(run, Talk(quiet=quiet)), as_json)


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
@with_flags()
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


@cli.group()
def answers() -> None:
    """Look after stores of paid answers: count, merge, export."""


@answers.command()
@click.argument("store")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON on stdout.")
def count(store: str, as_json: bool) -> None:
    """Count the answers of STORE and their tokens, by model."""
    from instag.answers import open_existing

    with open_existing(store) as opened:
        counts = opened.counts()
    if as_json:
        click.echo(json.dumps(counts, ensure_ascii=False))
    else:
        Talk().table(["model", "answers", "prompt tokens", "completion tokens"], [list(row.values()) for row in counts])


@answers.command()
@click.argument("into")
@click.argument("stores", nargs=-1, required=True)
def merge(into: str, stores: tuple[str, ...]) -> None:
    """Take over into INTO (made where it is not there) the answers of STORES that it has none of."""
    from instag.answers import AnswerStore, open_existing

    with AnswerStore(into) as target:
        for store in stores:
            with open_existing(store, not_at=into) as source:
                Talk().line(f"`{store}`: {target.merge(source):,} of {len(source):,} answers were new")


@answers.command("export")
@click.argument("store")
def export_answers(store: str) -> None:
    """Print the answers of STORE as JSON lines."""
    from instag.answers import open_existing

    with open_existing(store) as opened:
        for line in opened.export():
            click.echo(line)


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
