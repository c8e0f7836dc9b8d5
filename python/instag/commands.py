"""The group that every command belongs to, and what all of them do at their end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from instag.memory import peak_memory_bytes


def finish(summary: Mapping[str, Any], as_json: bool) -> None:
    """What a command prints to stdout: its summary as one line of JSON, where that was asked for."""
    if as_json:
        click.echo(json.dumps({**summary, "peak_memory_bytes": peak_memory_bytes()}, ensure_ascii=False))


class _InOrder(click.Group):
    """Lists the commands as a person meets them, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(self.commands, key=_ORDER.index)


_ORDER = ["run", "tag", "import", "normalize", "merges", "calibrate", "analyze"]
_ORDER += ["select", "split", "train", "evaluate", "agree", "experiment", "export", "show", "answers", "bench"]


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
