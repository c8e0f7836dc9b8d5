"""`instag train` on a tiny decoder: it learns, goes on where it was cut, says what it can't do (marker `train`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from instag import ArtifactError, ConfigError, DataError, OutOfMemoryError
from instag.masking import masked
from instag.progress import Talk
from instag.run import Run
from instag.stages import normalize_stage, select_stage
from instag.tag_stages import tag_stage
from instag.templates import VICUNA, pieces
from instag.train_stage import train_stage
from tiny_model import CHATML, tiny_model, tiny_tokenizer

pytestmark = pytest.mark.train
transformers = pytest.importorskip("transformers", reason="the extra `train` is not installed")
trl = pytest.importorskip("trl", reason="the extra `train` is not installed")

QUIET = Talk(quiet=True)
FAST: dict[str, Any] = {"batch": 8, "epochs": 2, "learning_rate": 3e-3, "max_tokens": 256, "device": "cpu"}
SUBJECTS = "rain snow hail wind fog dew frost sun moon sea lake river hill stone sand clay".split()


def records(count: int) -> list[dict[str, Any]]:
    def turns(number: int) -> list[dict[str, str]]:
        subject = SUBJECTS[number % len(SUBJECTS)]
        told = [
            {"role": "user", "content": f"What is {subject}, number {number}?"},
            {"role": "assistant", "content": f"The {subject} is the {subject}."},
        ]
        return told * (1 + number % 3)

    return [{"messages": turns(number)} for number in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


Selected = Callable[..., Path]


@pytest.fixture
def selected(tmp_path: Path) -> Selected:
    """A run with a selection of the records given."""

    def make(told: list[dict[str, Any]], name: str = "run", k: int = 1000) -> Path:
        file = tmp_path / f"{name}.jsonl"
        file.write_text("".join(json.dumps(each) + "\n" for each in told))
        run = tmp_path / name
        tag_stage(run, [str(file)], {"tagger": "keyphrase"}, QUIET)
        normalize_stage(run, {"min_count": 1}, QUIET)
        select_stage(run, {"k": k, "method": "random"}, QUIET)
        return run

    return make


def trained(run: Path, model: Path, **said: Any) -> dict[str, Any]:
    return train_stage(run, {"model": str(model), **FAST, **said}, QUIET)


def curve(run: Path) -> pl.DataFrame:
    return Run(run).table("train", "curve")


def weights(run: Path) -> bytes:
    return (run / "train" / "model" / "model.safetensors").read_bytes()


def test_it_learns_and_the_model_can_be_used(selected: Selected, model: Path) -> None:
    run = selected(records(48))
    counts = trained(run, model, epochs=6, learning_rate=0.02)["counts"]
    assert counts["trained_on"] == counts["conversations"] == 48
    assert counts["steps"] == 36 == len(curve(run))
    assert counts["last_loss"] < 0.6 * counts["first_loss"]
    assert curve(run)["tokens"][-1] == counts["tokens_read"] == 6 * counts["tokens"]
    assert curve(run)["learning_rate"][:6].to_list()[::4] == [0, pytest.approx(0.02)]  # 4 of 36 steps rise
    folder = run / "train" / "model"
    assert not list(folder.glob("*.bin"))
    assert not list((run / "train").glob(".*")), "checkpoints go once the training is whole"
    network = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    chat = records(1)[0]["messages"]
    ids = tokenizer.apply_chat_template(chat, return_dict=False)
    assert ids[-1] == tokenizer.eos_token_id
    import torch

    with torch.no_grad():
        told = network(torch.tensor([ids])).logits[0, -2]
    assert int(told.argmax()) == tokenizer.eos_token_id, "it has learned where an answer ends"
    assert not trained(run, model, epochs=6, learning_rate=0.02)["fresh"]


def test_the_first_loss_is_that_of_the_learned_tokens(selected: Selected, model: Path) -> None:
    import torch

    run = selected(records(8))
    trained(run, model, epochs=1)
    network = transformers.AutoModelForCausalLM.from_pretrained(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    total, count = 0.0, 0
    for record in records(8):
        ids, labels, _ = masked(record["messages"], tokenizer, VICUNA, 256)
        with torch.no_grad():
            told = torch.log_softmax(network(torch.tensor([ids])).logits[0].float(), -1)
        for at in range(1, len(ids)):
            if labels[at] != -100:
                total -= float(told[at - 1, labels[at]])
                count += 1
    assert curve(run)["loss"][0] == pytest.approx(total / count, rel=1e-5)


def test_the_model_is_asked_as_it_was_taught(model: Path) -> None:
    """The template that is saved with the model makes the text that was learned, for tools and system turns too."""
    from instag.templates import served_template

    tokenizer = tiny_tokenizer()
    call = {"type": "function", "function": {"name": "weather", "arguments": {"place": "Köln <b>"}}}
    one = [{"role": "user", "content": "Hi "}, {"role": "assistant", "content": "Hello."}]
    chats: list[list[dict[str, Any]]] = [
        one,
        [{"role": "system", "content": "Be brief."}, *one, *one],
        [
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "content": "rain"},
            {"role": "assistant", "content": "It rains."},
        ],
    ]
    for tools in (None, '[{"name": "weather", "description": "Wie <ist> es?"}]'):
        for chat in chats:
            text = "".join(piece.text for piece in pieces(chat, VICUNA, tokenizer, tools))
            tokenizer.chat_template = served_template(VICUNA, tokenizer)
            defined = json.loads(tools) if tools else None
            made = tokenizer.apply_chat_template(chat, tools=defined, tokenize=False)
            assert made == "<s>" + text
            ids = tokenizer.apply_chat_template(chat, tools=defined, return_dict=False)
            assert ids == masked(chat, tokenizer, VICUNA, tools=tools).ids
            asked = tokenizer.apply_chat_template(chat[:-1], tools=defined, tokenize=False, add_generation_prompt=True)
            assert made.startswith(asked)
            assert asked.endswith("ASSISTANT:")


_COMMAND = [sys.executable, "-m", "instag.cli", "train"]


def _flags(model: Path, **more: Any) -> list[str]:
    said = {"model": model, **FAST, **more}
    return [part for name, value in said.items() for part in (f"--{name.replace('_', '-')}", str(value))]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_training_that_was_cut_is_the_same_as_one_that_was_not(
    selected: Selected, model: Path, how: signal.Signals
) -> None:
    whole, cut = selected(records(64), "whole"), selected(records(64), "cut")
    trained(whole, model, epochs=10, checkpoint_every=5)
    process = subprocess.Popen(
        [*_COMMAND, str(cut), *_flags(model, epochs=10, checkpoint_every=5)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(cut)},
    )
    for _ in range(1200):
        if list(cut.glob("train/.checkpoints-*/checkpoint-*/whole")):
            break
        time.sleep(0.05)
    process.send_signal(how)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == (130 if how is signal.SIGINT else -9), told
    assert not (cut / "train" / "manifest.json").exists()
    again = trained(cut, model, epochs=10, checkpoint_every=5)["counts"]
    assert 0 < again["taken_up_at"] < again["steps"]
    if how is signal.SIGINT:
        assert f"stopped behind step {again['taken_up_at']}" in told
    assert curve(cut).equals(curve(whole))
    assert weights(cut) == weights(whole)


def test_a_part_of_a_checkpoint_is_not_taken_up(selected: Selected, model: Path, monkeypatch: Any) -> None:
    run = selected(records(32))
    from instag import training

    monkeypatch.setattr(training, "_save", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(ArtifactError, match="No space left"):
        trained(run, model, checkpoint_every=2)
    monkeypatch.undo()
    last = max(run.glob("train/.checkpoints-*/checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    (last / "whole").unlink()
    (last / "trainer_state.json").write_text("{")
    assert trained(run, model, checkpoint_every=2)["counts"]["taken_up_at"] == int(last.name.split("-")[1]) - 2


def test_how_a_batch_is_accumulated_changes_nothing(selected: Selected, model: Path) -> None:
    run = selected(records(40))
    found = []
    for at_once in (8, 4, 1):
        trained(run, model, device_batch=at_once, seed=3)
        found.append(curve(run))
        (run / "train" / "manifest.json").unlink()
    for other in found[1:]:
        assert other["loss"].to_numpy() == pytest.approx(found[0]["loss"].to_numpy(), rel=2e-5)


def test_two_processes_make_the_same_steps(selected: Selected, model: Path) -> None:
    alone, together = selected(records(40), "alone"), selected(records(40), "together")
    trained(alone, model)
    launch = [sys.executable, "-m", "torch.distributed.run"]
    made = subprocess.run(
        [*launch, "--nproc-per-node", "2", "-m", *_COMMAND[2:], str(together), *_flags(model)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    counts = Run(together).need("train")["counts"]
    assert (counts["devices"], counts["device_batch"], counts["accumulation"]) == (2, 4, 1)
    assert curve(together)["loss"].to_numpy() == pytest.approx(curve(alone)["loss"].to_numpy(), rel=1e-3)


def test_an_adapter_is_merged_into_its_model(selected: Selected, model: Path) -> None:
    run = selected(records(40))
    counts = trained(run, model, lora=8, learning_rate=0.05, epochs=6)["counts"]
    assert counts["parameters_learned"] < counts["parameters"] / 3
    assert counts["last_loss"] < counts["first_loss"] - 0.15
    assert (run / "train" / "adapter" / "adapter_config.json").is_file()
    assert not (run / "train" / "model" / "adapter_config.json").exists()
    from instag.heldout_loss import heldout_loss

    chats = [record["messages"] for record in records(8)]
    before, after = (
        heldout_loss(folder, chats, [[]] * 8, seen=set(), max_tokens=256)["loss"][0]
        for folder in (model, run / "train" / "model")
    )
    assert after == pytest.approx(counts["last_loss"], rel=0.2)
    assert after < before - 0.15


def test_samples_with_nothing_to_learn_are_listed(selected: Selected, model: Path) -> None:
    told = [
        *records(6),
        {"messages": [{"role": "user", "content": "word " * 300}, {"role": "assistant", "content": "late"}]},
        {"messages": [{"role": "user", "content": "talk"}, {"role": "assistant", "content": "word " * 300}]},
        {"messages": [{"role": "user", "content": "a </s> b"}, {"role": "assistant", "content": "yes"}]},
        {"messages": [{"role": "user", "content": "nobody answers"}]},
    ]
    run = selected(told)
    counts = trained(run, model)["counts"]
    assert (counts["trained_on"], counts["cut"]) == (7, 1)
    skipped = Run(run).table("train", "skipped")
    assert sorted(skipped["reason"]) == [
        "it has no answer to learn from, or does not end with it",
        "its text holds `</s>`, which would be read as the special token",
        "no answer within 256 tokens",
    ]
    assert set(skipped["id"]) <= set(Run(run).table("select", "picks")["id"])
    counts = trained(run, model, too_long="drop")["counts"]
    assert (counts["trained_on"], counts["cut"]) == (6, 0)
    assert counts["skipped"]["longer than 256 tokens"] == 2


def test_a_token_budget_takes_the_place_of_epochs(selected: Selected, model: Path) -> None:
    run = selected(records(20))
    counts = trained(run, model, token_budget=5000)["counts"]
    assert 5000 <= counts["tokens_read"] < 5000 + 256
    assert counts["epochs"] == pytest.approx(5000 / counts["tokens"], rel=0.1)


def test_a_tagger_learns_the_answers(selected: Selected, model: Path) -> None:
    run = selected(records(60))
    said = {"model": str(model), **FAST, "max_tokens": 512, "held_out": 5, "epochs": None, "batch": None}
    told = train_stage(run, said, QUIET, as_tagger=True)
    assert told["stage"] == "train_tagger"
    assert told["counts"]["steps"] == 1  # one epoch of 512 a step: the paper's
    assert (run / "train_tagger" / "model" / "config.json").is_file()
    assert Run(run).state("train_tagger") == "current"
    assert Run(run).state("train") == "absent"


def test_what_does_not_fit_is_told(selected: Selected, model: Path, tmp_path: Path, monkeypatch: Any) -> None:
    run = selected(records(16))

    def refused(kind: type[Exception], match: str, folder: Path = model, **said: Any) -> None:
        with pytest.raises(kind, match=match):
            trained(run, folder, **said)

    refused(ConfigError, "`max_tokens` is 2,048, but .* takes 512\nhint: `--max-tokens 512`", max_tokens=2048)
    refused(ConfigError, "`precision` is bf16, but there is no GPU in use", precision="bf16")
    refused(ConfigError, "`quantized` needs a GPU", quantized=True, lora=4)
    bare = tiny_tokenizer()
    bare.chat_template = None
    refused(ConfigError, "no chat template", tiny_model(tmp_path / "bare", tokenizer=bare), preset="chat-template")
    lost = tiny_model(tmp_path / "lost")
    (lost / "tokenizer.json").unlink()
    refused(ConfigError, "holds no tokenizer", lost)
    refused(ConfigError, r"there is no `config\.json`", tmp_path)
    refused(ConfigError, "is no folder", tmp_path / "nothing")
    wide = tiny_model(tmp_path / "wide")
    tiny_tokenizer(420).save_pretrained(wide)
    small = tiny_model(tmp_path / "small", tokenizer=tiny_tokenizer(270))
    tiny_tokenizer(400).save_pretrained(small)
    refused(ConfigError, "the model knows 270", small)
    (wide / "model.safetensors").write_bytes(b"broken")
    refused(ConfigError, "can't be read as a language model", wide)
    refused(DataError, "nothing to train on; 16 times: longer than 8 tokens", max_tokens=8, too_long="drop")
    import torch

    monkeypatch.setattr(
        trl.SFTTrainer, "train", lambda *_, **__: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory."))
    )
    refused(OutOfMemoryError, "memory ran out.*\nhint: try `--device-batch 2`, `--gradient-checkpointing`")


def test_a_loss_that_is_no_number_ends_it(selected: Selected, model: Path, tmp_path: Path) -> None:
    import torch

    run = selected(records(16))
    broken = tiny_model(tmp_path / "broken")
    network = transformers.AutoModelForCausalLM.from_pretrained(broken)
    with torch.no_grad():
        network.lm_head.weight[0, 0] = float("nan")
    network.save_pretrained(broken)
    with pytest.raises(DataError, match="the loss at step 1 is nan"):
        trained(run, broken)
    assert Run(run).state("train") == "unfinished"


def test_an_empty_selection_and_a_model_that_stands(selected: Selected, model: Path) -> None:
    run = selected([{"messages": [{"role": "user", "content": "nobody answers"}]}])
    with pytest.raises(DataError, match="nothing to train on"):
        trained(run, model)
    run = selected(records(16), "other")
    trained(run, model)
    said = {"model": str(model), **FAST, "seed": 5}
    with pytest.raises(ArtifactError, match="trained on another selection or in another way\nhint: `--replace`"):
        train_stage(run, said, QUIET, replace=False)
    assert train_stage(run, said, QUIET)["fresh"]


def test_the_models_own_template(selected: Selected, model: Path) -> None:
    run = selected(records(16))
    assert trained(run, model, preset="chat-template")["counts"]["template"] == "model"
    saved = transformers.AutoTokenizer.from_pretrained(run / "train" / "model")
    assert saved.chat_template == CHATML
