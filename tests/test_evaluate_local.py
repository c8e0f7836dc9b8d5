"""A model in a folder answers: as it was trained to be asked, kept in the store, the same again; its held-out loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from conftest import Instag, Served
from instag.answers import Answer, AnswerStore
from instag.asking import Failure
from instag.completions import Ask
from instag.local_answers import FolderModel
from instag.model_files import base_model
from tiny_model import tiny_model

torch = pytest.importorskip("torch", reason="the extra `train` is not installed")
pytest.importorskip("transformers", reason="the extra `train` is not installed")
pytestmark = pytest.mark.train

ASKED = ({"role": "user", "content": "What is rain?"},)
TWICE = (*ASKED, {"role": "assistant", "content": "Water."}, {"role": "user", "content": "And snow?"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def test_it_answers_greedily_what_its_model_says(folder: Path) -> None:
    transformers: Any = pytest.importorskip("transformers")
    with AnswerStore(None) as store:
        model = FolderModel(base_model(str(folder)), store, template="vicuna-v1.1", device="cpu")
        (said,) = model.answers([Ask(TWICE, 0.0, 8)])
    assert isinstance(said, Answer)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    own = transformers.AutoModelForCausalLM.from_pretrained(folder)
    text = (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the human's questions. USER: What is rain? ASSISTANT: Water.</s>"
        "USER: And snow? ASSISTANT:"
    )
    ids = tokenizer(text)["input_ids"]
    for _ in range(8):  # the slow obvious way
        ids.append(int(own(torch.tensor([ids])).logits[0, -1].argmax()))
    assert said.answer == tokenizer.decode(ids[-8:], skip_special_tokens=True).strip()
    assert (said.finish_reason, said.completion_tokens, said.prompt_tokens) == ("length", 8, len(ids) - 8)
    assert said.model == model.identity


@pytest.mark.parametrize("template", ["vicuna-v1.1", "model"])
def test_what_was_said_is_kept_and_said_again(folder: Path, template: str, tmp_path: Path) -> None:
    asks = [Ask(ASKED, 0.0, 6), Ask(TWICE, 0.7, 6), Ask(ASKED, 0.0, 6), Ask(ASKED, 0.7, 6)]
    with AnswerStore(tmp_path / "a.sqlite") as store:
        model = FolderModel(base_model(str(folder)), store, template=template, device="cpu")
        said = model.answers(asks)
        assert (model.usage.asked, model.usage.reused) == (3, 0)
        again = FolderModel(base_model(str(folder)), store, template=template, device="cpu")
        assert again.answers(asks) == said
        assert (again.usage.asked, again.usage.reused) == (0, 3)
    with AnswerStore(None) as other:
        fresh = FolderModel(base_model(str(folder)), other, template=template, device="cpu").answers(asks)
    texts = [[each.answer for each in found if isinstance(each, Answer)] for found in (said, fresh)]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 4


def test_a_chat_that_is_too_long_or_holds_a_special_token_is_a_failure(folder: Path) -> None:
    long = ({"role": "user", "content": "rain " * 600},)
    special = ({"role": "user", "content": "What is </s>?"},)
    with AnswerStore(None) as store:
        model = FolderModel(base_model(str(folder)), store, template="vicuna-v1.1", device="cpu")
        found = model.answers([Ask(long, 0.0, 8), Ask(special, 0.0, 8)])
        assert len(store) == 0
    assert [each.reason for each in found if isinstance(each, Failure)] == ["too_long", "template"]
    assert "holds `</s>`" in found[1].message  # type: ignore[union-attr]


def test_a_folder_is_judged_and_its_loss_is_told_beside_it(
    folder: Path, serve: Any, instag: Instag, tmp_path: Path
) -> None:
    judge: Served = serve(role="judge")
    questions = tmp_path / "question.jsonl"
    asked = [{"question_id": at, "category": "writing", "turns": ["What is rain?", "Why?"]} for at in (1, 2)]
    questions.write_text("".join(json.dumps(each) + "\n" for each in asked))
    held = tmp_path / "split"
    held.mkdir()
    told = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    lines = [json.dumps({"messages": told, "instag": {"id": str(at), "tags": tags}}) for at, tags in enumerate("ab")]
    (held / "heldout.jsonl").write_text("\n".join(lines) + "\n")
    pl.DataFrame({"tag": ["a", "b"], "pool": [1, 0]}).write_parquet(held / "tags.parquet")
    run = tmp_path / "run"
    command = ["evaluate", run, "--model-folder", folder, "--device", "cpu", "--json", "--quiet", "--holdout", held]
    alone = instag(*command)
    assert alone.code == 0, alone.err
    assert judge.requests() == 0
    assert [alone.json["counts"]["heldout"][part]["samples"] for part in ("seen", "unseen")] == [1, 1]
    command += ["--mt-bench", questions, "--judge", "J", "--judge-base-url", judge.base_url, "--max-tokens", "5"]
    both = instag(*command)
    assert both.code == 0, both.err
    counts = both.json["counts"]
    assert counts["heldout"] == alone.json["counts"]["heldout"]
    assert (counts["questions"], counts["judgments"], counts["model"]) == (2, 12, folder.name)
    assert counts["answers_cut"] == 4
    assert instag(*command).json["fresh"] is False


def test_without_a_model_the_loss_can_not_be_told(instag: Instag, tmp_path: Path) -> None:
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "heldout.jsonl").write_text("")
    said = instag("evaluate", tmp_path / "run", "--holdout", tmp_path / "split")
    assert said.code == 1
    assert "holds no trained model" in said.err
    assert "hint: train one" in said.err


def test_the_model_of_a_run_is_judged_as_it_was_trained(
    folder: Path, serve: Any, instag: Instag, tmp_path: Path
) -> None:
    pytest.importorskip("trl", reason="the extra `train` is not installed")
    subjects = "rain snow hail wind fog dew frost sun moon sea".split()
    verbs = ("Write a poem about", "Translate into French:", "Fix the Python code for")
    rows = [{"instruction": f"{verb} {subject}.", "output": "Done."} for verb in verbs for subject in subjects]
    pool, run, apart = tmp_path / "pool.jsonl", tmp_path / "run", tmp_path / "apart"
    pool.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    train = ["--model", folder, "--preset", "chat-template", "--epochs", 1, "--batch", 8, "--max-tokens", 256]
    for made, file in ((run, pool), (apart, run / "split" / "pool.jsonl")):
        assert instag("tag", file, "--run", made, "--tagger", "keyphrase").code == 0
        assert instag("normalize", made, "--min-count", 1).code == 0
        assert instag("select", made, "--k", 10).code == 0
        if made == run:
            assert instag("split", run, "--holdout-tags", 1, "--min-count", 2, "--max-share", 0.5).code == 0
        trained = instag("train", made, *train, "--device", "cpu")
        assert trained.code == 0, trained.err
    told = {}
    for made in (run, apart):
        said = instag("evaluate", made, "--holdout", run / "split", "--device", "cpu", "--json")
        assert said.code == 0, said.err
        told[made] = said
        manifest = json.loads((made / "evaluate" / "manifest.json").read_text())
        assert manifest["settings"]["template"] == "model"
        assert list(manifest["inputs"]["stages"]) == ["train"]
    picked = set(pl.read_parquet(run / "select" / "picks.parquet")["id"])
    held = {json.loads(line)["instag"]["id"] for line in (run / "split" / "heldout.jsonl").read_text().splitlines()}
    met = f"{len(picked & held)} of {len(held)} held-out samples were picked for the training"
    assert (met in told[run].err) == bool(picked & held)
    assert "were picked for the training" not in told[apart].err
    judge = serve(role="judge")
    questions = tmp_path / "question.jsonl"
    questions.write_text(json.dumps({"question_id": 1, "category": "stem", "turns": ["What is rain?", "Why?"]}))
    bench = ["--mt-bench", questions, "--judge", "J", "--judge-base-url", judge.base_url, "--max-tokens", 4]
    said = instag("evaluate", apart, *bench, "--device", "cpu", "--json")
    assert said.code == 0, said.err
    assert (said.json["counts"]["model"], said.json["counts"]["judgments"]) == ("apart", 6)
    assert instag("train", apart, *train, "--seed", 1, "--replace", "--device", "cpu").code == 0
    assert "`evaluate` is stale" in instag("show", apart).err
    assert instag("evaluate", apart, *bench, "--device", "cpu", "--json").json["fresh"] is True
