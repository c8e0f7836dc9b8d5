"""`instag train`: the selection (or the tagging answers) as tokens, a model trained on them, its loss curve."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from instag.config import settings_from
from instag.conversations import Conversation, conversations
from instag.errors import ArtifactError, ConfigError, DataError
from instag.model_files import BaseModel, base_model, longest, read_config, read_tokenizer
from instag.output import Output
from instag.progress import Talk
from instag.run import Run, stage_key
from instag.staging import label_of, make_stage, stage_inputs
from instag.tagger_data import TaggerSettings, tagger_conversations
from instag.temporary import TemporaryFolder
from instag.train_settings import TrainSettings, TrainSpeed, train_settings
from instag.training import Places, is_first, train

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from instag.train_data import TrainData

TRAIN, TAGGER = "train", "train_tagger"  # the stages, as folders of a run


def train_stage(
    path: str | Path, said: Mapping[str, Any], talk: Talk, *, as_tagger: bool = False, replace: bool = True
) -> dict[str, Any]:
    """`train/`: model, curve, skipped. Reads `select/` and the sources; `train_tagger/` in the same form: `tag/`.

    `said` has `model`, a folder or a name, and what `TrainSettings`, `TrainSpeed` and for a tagger `TaggerSettings`
    have fields for. Where a model that was trained otherwise stands there, it is only replaced with `replace`.
    """
    run, stage = Run(path), TAGGER if as_tagger else TRAIN
    settings = train_settings(said, "instagger" if as_tagger else "paper")
    speed = settings_from(TrainSpeed, said)
    tagger = settings_from(TaggerSettings, said) if as_tagger else None
    if not isinstance(said.get("model"), str):
        raise ConfigError("no model to begin from is named", hint="`--model FOLDER`, or a name on Hugging Face's hub")
    inputs: dict[str, Any] = stage_inputs(
        run, "tag", *(["normalize"] if tagger and tagger.tags == "normalized" else [])
    )
    if tagger is None:
        inputs = stage_inputs(run, "tag", "select")
    model = base_model(said["model"])
    whole = dataclasses.asdict(settings) | (dataclasses.asdict(tagger) if tagger else {})
    del whole["preset"]  # what it says is what decides
    inputs["model"] = model.digest
    _check_room(model, settings)
    work = Path(run.path, stage, f".checkpoints-{stage_key(stage, whole, inputs)[:16]}")
    if not run.is_current(stage, settings=whole, inputs=inputs):
        _check_replaced(run, stage, replace=replace)

    def make(out: Output) -> None:
        _make(out, run, model, settings, speed, tagger, work, talk if is_first() else Talk(quiet=True))

    if not is_first():  # one of several that train together: the first one writes
        if not run.is_current(stage, settings=whole, inputs=inputs):
            _take_part(make)
        return {"run": str(run.path), "stage": stage}
    told = dataclasses.asdict(speed) | {"model": model.name, "preset": settings.preset}
    return make_stage(run, stage, whole, inputs, make, talk, told)


def _check_room(model: BaseModel, settings: TrainSettings) -> None:
    most = longest(read_config(model))
    if most is not None and settings.max_tokens > most:
        raise ConfigError(
            f"`max_tokens` is {settings.max_tokens:,}, but `{model.name}` takes {most:,}",
            hint=f"`--max-tokens {most}`: longer conversations are cut or dropped, and counted",
        )


def _check_replaced(run: Run, stage: str, *, replace: bool) -> None:
    if not replace and run.manifest(stage) is not None:
        raise ArtifactError(
            f"`{run.path / stage}` holds a model that was trained on another selection or in another way",
            hint="`--replace` trains anew in its place; to keep both, select and train in another run",
        )


def _take_part(make: Callable[[Output], None]) -> None:
    """Trains with the process that writes; what is written here is thrown away."""
    folder = TemporaryFolder()  # it goes with the object
    make(Output(folder.path))


def _make(
    out: Output,
    run: Run,
    model: BaseModel,
    settings: TrainSettings,
    speed: TrainSpeed,
    tagger: TaggerSettings | None,
    work: Path,
    talk: Talk,
) -> None:
    from instag.pictures import MISSING, line_picture
    from instag.train_data import longest_first, train_data, training_order

    tokenizer = read_tokenizer(model)
    told, named = _of_tagger(run, tagger) if tagger else _of_selection(run)
    with talk.bar("tokens", total=len(named), unit="conversation") as advance:
        data = train_data(told, tokenizer, settings, advance)
    order = training_order(data.tokens, epochs=settings.epochs, token_budget=settings.token_budget, seed=settings.seed)
    order = longest_first(order, data.tokens, settings.batch)
    _tell(data, order, settings, talk)
    skipped = data.skipped["number"].to_list()
    out.table("skipped", named[skipped].with_columns(data.skipped["reason"]))
    with out.files("model") as folder, out.files("adapter") as adapter:
        trained = train(model, tokenizer, data, order, settings, speed, Places(work, folder, adapter), talk)
    out.table("curve", trained.curve)
    with out.file("curve.png") as picture:
        curve = {"loss": (trained.curve["tokens"].to_list(), trained.curve["loss"].to_list())}
        drawn = line_picture(picture, curve, title=f"training loss of {model.name}", x="tokens read", y="nats a token")
    if not drawn:
        del out.written["curve.png"]
        out.notes.append(MISSING)
    out.counts |= {
        "model": model.name,
        "template": settings.template,
        "conversations": len(named),
        "trained_on": len(data.ids),
        "cut": data.cut,
        "skipped": data.reasons(),
        "tokens": int(data.tokens.sum()),
        "tokens_learned": data.learned,
        "tokens_read": int(data.tokens[order].sum()),
        "epochs": len(order) / len(data.ids),
        **trained.counts,
    }
    out.notes.insert(0, label_of(run))
    if len(set(trained.curve["loss"].to_list())) == 1 and len(trained.curve) > 1:
        out.notes.append("the loss never changed: nothing was learned")


def _of_selection(run: Run) -> tuple[Iterator[Conversation | str], pl.DataFrame]:
    """The picked samples, and the names of all that may be trained on."""
    run.need("select")
    picks = run.table("select", "picks", ["rank", "row", "id", "source"])
    if not len(picks):
        raise DataError(f"the selection of `{run.path}` is empty", hint="select with a greater `--k`")
    rows: NDArray[np.int64] = picks["row"].to_numpy()
    return conversations(run, rows), picks.drop("row")


def _of_tagger(run: Run, settings: TaggerSettings) -> tuple[Iterator[Conversation | str], pl.DataFrame]:
    said = dataclasses.asdict(settings)
    data = tagger_conversations(run, said["tags"], said["held_out"], said["seed"], prompt=said["prompt"])
    told = (Conversation([dict(message) for message in messages]) for messages in data.conversations("train"))
    return told, data.train.select("id", "turn")


def _tell(data: TrainData, order: NDArray[np.int64], settings: TrainSettings, talk: Talk) -> None:
    cut = f", {data.cut:,} of them cut behind {settings.max_tokens:,} tokens" if data.cut else ""
    talk.line(f"  {len(data.ids):,} conversations{cut}; {len(data.skipped):,} skipped")
    for reason, count in data.reasons().items():
        talk.line(f"    {count:,}: {reason}")
    epochs = len(order) / len(data.ids)
    steps = -(-len(order) // settings.batch)
    talk.line(f"  {int(data.tokens[order].sum()):,} tokens in {epochs:,.2f} epochs, {steps:,} steps")
