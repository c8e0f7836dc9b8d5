"""`instag evaluate`: a model judged by MT-Bench, and by its loss on what was held out, which needs no judge."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.config import check_keys, settings_from
from instag.errors import ConfigError
from instag.evaluate_settings import EvaluateSettings, EvaluateSpeed
from instag.mt_bench import Bench, Subject, check_keys_and_prices, make_mt_bench, read_bench
from instag.progress import counted
from instag.run import Run
from instag.staging import file_input, make_stage
from instag.templates import VICUNA
from instag.verdicts import READER

if TYPE_CHECKING:
    from instag.model_files import BaseModel
    from instag.output import Output
    from instag.progress import Talk

_PATHS = ("mt_bench", "holdout", "model_folder", "answers_file", "judge_prompts", "references", "judgments_file")
_HELD_OUT_FILES = ("heldout.jsonl", "seen.jsonl", "tags.parquet")


def evaluate_stage(path: str | Path, said: Mapping[str, Any], talk: Talk) -> dict[str, Any]:
    """`evaluate/`: answers, judgments, scores, unread, held-out loss. Reads `train/`, unless another model is named.

    `path` is a run folder, or a new one. What failed for want of a reply is asked for again by the next call, though
    the stage stands; so is with `retry_unread` what could not be read.
    """
    known = {each.name for kind in (EvaluateSettings, EvaluateSpeed) for each in dataclasses.fields(kind)}
    check_keys(said, known, "evaluate")
    run = Run(path)
    settings, speed = settings_from(EvaluateSettings, said), settings_from(EvaluateSpeed, said)
    folder, template, inputs = _local(run, settings)
    subject = _subject(run, settings, folder, template)
    check_keys_and_prices(settings, speed, subject)
    bench = None if settings.mt_bench is None else read_bench(settings)
    inputs["files"] = _files(settings, bench)
    whole = _deciding(settings, bench, subject, folder, template)
    store = Path(speed.answers) if speed.answers is not None else run.path / "answers.sqlite"

    def make(out: Output) -> None:
        if bench is not None:
            make_mt_bench(out, bench, subject, settings, speed, store, talk)
        if settings.holdout is not None and folder is not None and template is not None:
            _held_out(out, folder, template, settings, talk)
            if "stages" in inputs and (note := _met_in_training(run, settings.holdout)) is not None:
                out.notes.append(note)
                talk.warn(note)

    return make_stage(run, "evaluate", whole, inputs, make, talk, _kept(speed), again=_again(run, speed))


def _again(run: Run, speed: EvaluateSpeed) -> bool:
    stood = run.manifest("evaluate") or {"counts": {}}
    counts = stood["counts"]
    return bool(counts.get("failed")) or (speed.retry_unread and bool(counts.get("unread")))


def _local(run: Run, settings: EvaluateSettings) -> tuple[BaseModel | None, str | None, dict[str, Any]]:
    """The model on this machine, if one is needed: its files, its template, and what of the run it is made from."""
    named = settings.model is not None or settings.answers_file is not None or settings.judgments_file is not None
    if settings.holdout is None and named:
        return None, None, {}
    from instag.model_files import base_model

    if settings.model_folder is not None:
        found = base_model(settings.model_folder)
        return found._replace(name=Path(settings.model_folder).name), settings.template or VICUNA, {}
    if run.manifest("train") is None:
        hint = "train one (`instag train`), or name `--model-folder FOLDER`"
        hint += "" if settings.holdout is not None else ", `--model NAME` behind an endpoint, `--answers-file FILE`"
        what = "held-out loss needs a model on this machine: " if settings.holdout is not None else ""
        raise ConfigError(f"{what}`{run.path}` holds no trained model, and none is named", hint=hint)
    manifest = run.need("train")
    found = base_model(str(run.folder("train") / "model"))
    template = settings.template or str(manifest["settings"].get("template", VICUNA))
    stages = {"train": run.digest("train")}
    return found._replace(name=run.path.resolve().name), template, {"stages": stages}


def _subject(run: Run, settings: EvaluateSettings, folder: BaseModel | None, template: str | None) -> Subject:
    """Who is judged by MT-Bench; where answers or judgments stand already, nobody is asked."""
    if settings.answers_file is not None or settings.judgments_file is not None:
        return Subject(None)
    if settings.model is not None:
        return Subject(settings.model)
    assert folder is not None, "a model is named, or refused"
    return Subject(folder.name, folder, template)


def _deciding(
    settings: EvaluateSettings, bench: Bench | None, subject: Subject, folder: BaseModel | None, template: str | None
) -> dict[str, Any]:
    """The settings that enter the key: files by their digests, among the inputs, models by theirs."""
    whole = dataclasses.asdict(settings)
    whole |= {name: whole[name] is not None for name in (*_PATHS, "against", "people")}
    whole |= {"template": template, "model_folder": None if folder is None else folder.digest}
    if bench is not None:
        if bench.judged is None:
            whole["model"] = subject.identity
        whole["reader"] = READER
        whole["prompts"] = None if bench.prompts is None else bench.prompts.identity
    return whole


def _files(settings: EvaluateSettings, bench: Bench | None) -> list[dict[str, Any]]:
    found = [] if bench is None else list(bench.files)
    if settings.holdout is not None:
        path = Path(settings.holdout)
        named = [path / name for name in _HELD_OUT_FILES] if path.is_dir() else [path, path.parent / "tags.parquet"]
        found += [("held out", file) for file in named if file.is_file()]
    return [{"what": what, **file_input(str(path))} for what, path in found]


def _kept(speed: EvaluateSpeed) -> dict[str, Any]:
    """The settings of speed as the manifest has them: no address with a password in it."""
    from instag.network import redact

    told = dataclasses.asdict(speed)
    for name in ("base_url", "judge_base_url"):
        told[name] = None if told[name] is None else redact(told[name])
    return told


def _met_in_training(run: Run, holdout: str) -> str | None:
    """What to say where held-out samples were picked for the training: a loss on those tells nothing."""
    path = Path(holdout)
    files = [path / name for name in _HELD_OUT_FILES[:2]] if path.is_dir() else [path]
    lines = [line for file in files if file.is_file() for line in file.read_text("utf-8").split("\n") if line]
    held = {json.loads(line)["instag"].get("id") for line in lines}
    met = len(held.intersection(run.table("select", "picks", ["id"])["id"].to_list()))
    if not met:
        return None
    return (
        f"{met:,} of {counted(len(held), 'held-out sample')} were picked for the training of `{run.path}`: train on a "
        "run of `split/pool.jsonl`, which has none of them"
    )


def _held_out(out: Output, folder: BaseModel, template: str, settings: EvaluateSettings, talk: Talk) -> None:
    """The table of losses by tag, and of it what a summary tells: all, seen and unseen tags."""
    import polars as pl

    from instag.heldout_loss import loss_by_tag, read_held_out, sample_losses
    from instag.model_files import longest, read_config

    assert settings.holdout is not None
    most = longest(read_config(folder))
    tokens = settings.heldout_tokens if most is None else min(settings.heldout_tokens, most)
    if tokens < settings.heldout_tokens:
        out.notes.append(f"held-out conversations are cut at {tokens:,} tokens: the model takes no more")
    held = read_held_out(settings.holdout)
    measured = sample_losses(folder.folder, held.conversations, template=template, max_tokens=tokens, talk=talk)
    table = loss_by_tag(measured, held.tags, seen=held.seen, resamples=settings.resamples, seed=settings.seed)
    seen_alone = pl.Series("seen", [held.seen.issuperset(tags) for tags in held.tags], pl.Boolean)
    out.table("heldout_samples", measured.with_columns(seen_alone))
    out.table("heldout_loss", table)
    every, seen, unseen = table.head(3).select("samples", "tokens", "loss", "low", "high").to_dicts()
    out.counts["heldout"] = {**every, "seen": seen, "unseen": unseen, "model": folder.name}
    if every["samples"] < len(held.conversations):
        out.notes.append(f"{len(held.conversations) - every['samples']:,} held-out samples have no token to learn")
