"""`instag evaluate`: a model judged by MT-Bench and by its held-out loss; two evaluations compared."""

from __future__ import annotations

from typing import Any

import click

from instag.commands import cli, finish
from instag.flags import said, with_flags
from instag.judge_prompts import MODES
from instag.progress import Talk
from instag.templates import TEMPLATES

EVALUATE: dict[str, dict[str, Any]] = {
    "mt_bench": {"metavar": "QUESTIONS", "help": "The questions, in FastChat's form (question.jsonl)."},
    "holdout": {
        "metavar": "FOLDER|FILE",
        "help": "What `instag split` held out (RUN/split): the loss there, by tag. Needs neither judge nor endpoint.",
    },
    "model": {"metavar": "M", "help": "The model to judge, asked at `--base-url`."},
    "base_url": {
        "metavar": "U",
        "help": "Its endpoint, e.g. http://localhost:8000/v1 (default OPENAI_BASE_URL, OpenAI).",
    },
    "key_file": {"metavar": "FILE", "help": "The file with its API key (default: OPENAI_API_KEY)."},
    "model_folder": {"metavar": "FOLDER", "help": "Judge a model on this machine (default: RUN/train/model)."},
    "template": {
        "type": click.Choice(TEMPLATES),
        "help": "How a model on this machine is talked to (default: as it was trained, else vicuna-v1.1).",
    },
    "answers_file": {"metavar": "FILE", "help": "Judge answers that stand already, in FastChat's form."},
    "judge": {"metavar": "J", "help": "The model that judges."},
    "judge_base_url": {"metavar": "U", "help": "Its endpoint (default OPENAI_BASE_URL, OpenAI)."},
    "judge_key_file": {"metavar": "FILE", "help": "The file with its API key (default: OPENAI_API_KEY)."},
    "judge_prompts": {
        "metavar": "FILE",
        "help": "FastChat's judge_prompts.jsonl. Without it our own words, not comparable with published MT-Bench.",
    },
    "references": {
        "metavar": "FILE",
        "help": "Corrected reference answers (default: reference_answer/gpt-4.jsonl beside the questions).",
    },
    "judgments_file": {"metavar": "FILE", "help": "Judgments that stand already, in FastChat's form: only scores."},
    "mode": {"type": click.Choice(MODES), "help": "Grades from 1 to 10 (single, default), or pairwise."},
    "against": {"metavar": "FILE", "help": "For pairwise: the other model's answers, in FastChat's form."},
    "people": {
        "metavar": "FILE",
        "help": "With pairwise or --compare: what people chose, as in MT-Bench's human judgments; how far they agree.",
    },
    "repeats": {"type": click.IntRange(1), "metavar": "N", "help": "How often each answer is judged (default 3)."},
    "max_tokens": {"type": click.IntRange(1), "metavar": "N", "help": "Of an answer, at most (default 1024)."},
    "judge_max_tokens": {"type": click.IntRange(1), "metavar": "N", "help": "Of a judgment (default 2048)."},
    "heldout_tokens": {
        "type": click.IntRange(2),
        "metavar": "N",
        "help": "Of a held-out conversation, what is longer is cut (default 2048).",
    },
    "resamples": {"type": click.IntRange(1), "metavar": "N", "help": "Of the bootstrap (default 1000)."},
    "seed": {"type": click.IntRange(0), "metavar": "S", "help": "Of the bootstrap (default 0)."},
    "retry_unread": {"is_flag": True, "default": None, "help": "Ask again for judgments that could not be read."},
    "answers": {"metavar": "PATH", "help": "Store of paid answers; runs may share one (default RUN/answers.sqlite)."},
    "concurrency": {"type": click.IntRange(1), "metavar": "N", "help": "Requests in flight, at most (default 512)."},
    "requests_per_minute": {"type": float, "metavar": "N", "help": "Send each endpoint no more (default: no cap)."},
    "tokens_per_minute": {"type": float, "metavar": "N", "help": "Ask each for no more (default: no cap)."},
    "timeout_s": {"flag": "--timeout", "type": float, "metavar": "S", "help": "Seconds of a reply (default 300)."},
    "max_failure_rate": {
        "type": click.FloatRange(0, 1),
        "help": "Stop when more than this share of the requests gets no reply, from the 100th on (default 0.05).",
    },
    "budget_usd": {
        "flag": "--budget",
        "type": float,
        "metavar": "USD",
        "help": "Stop before model and judge together have cost more.",
    },
    "prices": {"metavar": "FILE", "help": "A table of prices of your own (TOML), before the built-in one."},
    "device": {"type": click.Choice(["auto", "cpu"]), "help": "Of a local model: a GPU where there is one (auto)."},
}


@cli.command()
@click.argument("run", metavar="[RUN]", required=False)
@click.option("--compare", nargs=2, metavar="A B", help="Compare two evaluated runs, by a paired test; asks nothing.")
@with_flags(EVALUATE)
def evaluate(run: str | None, compare: tuple[str, str] | None, as_json: bool, quiet: bool, **options: Any) -> None:
    """Judge a model by MT-Bench, and by its loss on what was held out.

    RUN is a run folder, whose RUN/train/model is judged unless another model is named, or a new folder. Both
    evaluations are made together, and the stage RUN/evaluate holds what was asked for last.

    \b
    The model of a run, by its loss on held-out tags; no API is needed:
      instag evaluate RUN --holdout POOL/split
    By MT-Bench's 80 two-turn questions, each answer graded from 1 to 10 three times (FastChat's files):
      instag evaluate RUN --mt-bench mt_bench/question.jsonl --judge gpt-4 --judge-prompts judge_prompts.jsonl
    Any model behind an endpoint, and any judge:
      instag evaluate NEW --mt-bench question.jsonl --model M --base-url http://localhost:8000/v1 \\
        --judge J --judge-base-url http://localhost:8001/v1
    Against another model's answers, shown in both orders:
      instag evaluate NEW --mt-bench question.jsonl --answers-file ours.jsonl \\
        --mode pairwise --against theirs.jsonl --judge gpt-4
    Which of two runs is better, question by question:
      instag evaluate --compare A B

    Answers and judgments go through the store of paid answers: a run that was cut goes on, nothing is asked twice. A
    judgment without a number, with two, or with one that is no grade is listed and counts nowhere.
    """  # noqa: D301 - click reads the backspace
    talk, given = Talk(quiet=quiet), said(options, EVALUATE)
    if compare is not None:
        if run is not None or set(given) - {"people", "resamples", "seed"}:
            raise click.UsageError("`--compare` takes two runs, and `--people`, `--resamples`, `--seed` alone")
        from instag.evaluate_compare import compare_command

        finish(compare_command(*compare, talk, **given), as_json)
        return
    if run is None:
        raise click.UsageError("name the RUN folder (it may be a new one), or `--compare A B`")
    from instag.evaluate_stage import evaluate_stage

    finish(evaluate_stage(run, given, talk), as_json)
