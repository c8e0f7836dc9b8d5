"""`instag export --to`: what trainers read is what was picked; what they cannot read is told, with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import llama_factory
from conftest import Instag
from instag.handover import TOOLS

SHARED = [
    *("alpaca_en_demo.json", "alpaca_zh_demo.json", "c4_demo.jsonl", "dpo_en_demo.json", "dpo_zh_demo.json"),
    *("glaive_toolcall_en_demo.json", "glaive_toolcall_zh_demo.json", "identity.json", "kto_en_demo.json"),
    *("mllm_audio_demo.json", "mllm_demo.json", "mllm_video_audio_demo.json", "mllm_video_demo.json"),
    *("reason_tool_use_demo_50.jsonl", "v1_dpo_demo.jsonl", "v1_multimodal_demo.jsonl", "v1_sft_demo.jsonl"),
    "wiki_demo.txt",
]
CALL: dict[str, Any] = {"type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
CHAT: list[dict[str, Any]] = [
    {"role": "user", "content": "Weather in Rome?"},
    {"role": "assistant", "content": "Sunny."},
]
CALLED: list[dict[str, Any]] = [
    CHAT[0],
    {"role": "assistant", "content": "", "tool_calls": [CALL]},
    {"role": "tool", "content": "sun"},
    CHAT[1],
]
JUDGED = [{"role": "user", "content": "Is it warm?"}, {"role": "assistant", "content": "Who knows."}]
RECORDS: dict[str, dict[str, Any]] = {
    "alpaca": {"instruction": "Add.", "input": "1 and 2", "output": "3"},
    "system": {"messages": [{"role": "system", "content": "Be brief."}, *CHAT]},
    "long": {"messages": [*CHAT, {"role": "user", "content": "And Oslo?"}, {"role": "assistant", "content": "Snow."}]},
    "tools": {"messages": CALLED, "tools": [{"name": "weather", "parameters": {"city": {"type": "string"}}}]},
    "results": {"messages": [CALLED[0], CALLED[1], CALLED[2], {"role": "tool", "content": "warm"}, CHAT[1]]},
    "said": {"messages": [CHAT[0], CALLED[1] | {"content": "Let me look."}, CALLED[2], CHAT[1]]},
    "preference": {"prompt": "Why?", "chosen": "Because of it.", "rejected": "No."},
    "whole": {"chosen": CHAT, "rejected": [CHAT[0], {"role": "assistant", "content": "Rain."}]},
    "judged": {"messages": JUDGED, "label": False},
    "image": {"messages": [{"role": "user", "content": "See <image> there?"}, CHAT[1]], "images": ["a.png"]},
    "parts": {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": "What is "}, {"type": "image_url", "image_url": {"url": "b.png"}}],
            },
            CHAT[1],
        ]
    },
    "url": {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/c.png"}}, "?"]},
            CHAT[1],
        ]
    },
    "within": {
        "messages": [{"role": "user", "content": "What <image>?"}, CHAT[1]],
        "images": ["data:image/png;base64,AAAA"],
    },
    "fewer": {"messages": [{"role": "user", "content": "No place."}, CHAT[1]], "images": ["d.png"]},
    "video": {"messages": [{"role": "user", "content": "<video> What?"}, CHAT[1]], "videos": ["e.mp4"]},
    "text": {"text": "Once upon a time, in a town of weavers."},
    "asked": {"prompt": "A prompt without an answer"},
    "twice": {"messages": [CHAT[0], {"role": "user", "content": "Hello?"}, CHAT[1]]},
    "weighed": {
        "messages": [
            {"role": "user", "content": [{"type": "text", "value": "Heavy?"}], "loss_weight": 1.0},
            {"role": "assistant", "content": [{"type": "text", "value": "Yes."}], "loss_weight": 1.0},
        ]
    },
}


def picked(instag: Instag, run: Path, *files: Path) -> Path:
    """A run of which everything is picked."""
    said = instag("run", *files, "--run", run, "--tagger", "keyphrase", "--k", 10_000, "--method", "random", "--quiet")
    assert said.code == 0, said.err
    return run


def rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def run(instag: Instag, tmp_path: Path) -> Path:
    """A selection with a record of every kind."""
    file = tmp_path / "pool.jsonl"
    file.write_text("".join(json.dumps(record | {"id": name}) + "\n" for name, record in RECORDS.items()))
    return picked(instag, tmp_path / "run", file)


@pytest.mark.parametrize("name", SHARED)
def test_files_of_llama_factory_come_back_as_it_reads_them(
    instag: Instag, tmp_path: Path, data: Path, name: str
) -> None:
    folder = data / "instructions" / "llama_factory"
    known = {entry.get("file_name"): entry for entry in rows_of_info(folder).values()}
    wanted = llama_factory.read(folder, known[name]) if name in known else llama_factory.read_v1(folder / name)
    run = picked(instag, tmp_path / "run", folder / name)
    said = instag("export", run, "--to", "llama-factory", "--json").json
    assert said["left_out"] == {}
    out = run / "export" / "llama-factory"
    found = [record for entry in rows_of_info(out).values() for record in llama_factory.read(out, entry)]
    # Picks have an order of their own, and records of one prompt and one answer are one sample: the first of them.
    assert {canonical(record) for record in found} <= {canonical(record) for record in wanted}
    assert sorted(map(sample, found)) == sorted({sample(record) for record in wanted})


def sample(record: llama_factory.Read) -> str:
    """What makes a record a sample: not its tools, its rejected answer or its label."""
    kept = {name: value for name, value in record.items() if name not in ("tools", "label")}
    return canonical(kept | {"turns": [turn for turn in record["turns"] if turn[0] != "rejected"]})


def rows_of_info(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "dataset_info.json").read_text()))


def canonical(record: Any) -> str:
    return json.dumps(record, sort_keys=True)


@pytest.mark.parametrize("tool", TOOLS)
def test_every_pick_is_written_or_left_out_with_a_reason(instag: Instag, run: Path, tool: str) -> None:
    said = instag("export", run, "--to", tool, "--json").json
    out = run / "export" / tool
    left = rows(out / "left_out.jsonl")
    assert said["picked"] == sum(said["written"].values()) + len(left)
    assert said["picked"] == len(RECORDS)
    assert sum(said["left_out"].values()) == len(left)
    for reason in ("no answer to learn from", "an image within the record", "1 images, and 0 places", "a loss weight"):
        assert any(reason in row["reason"] for row in left), reason
    assert all(row["reason"] for row in left)
    for name, count in said["written"].items():
        written = rows(out / f"{name}.jsonl")
        assert len(written) == count
        assert len({tuple(row) for row in written}) == 1, "a file has one set of columns"
    assert json.loads((out / "export.json").read_text())["files"] == sorted(set(said["files"]))
    assert not list(out.glob(".*"))


def test_what_each_tool_is_told(instag: Instag, run: Path) -> None:
    written = {}
    for tool in TOOLS:
        assert instag("export", run, "--to", tool).code == 0
        written[tool] = {
            path.stem: rows(path) for path in (run / "export" / tool).glob("*.jsonl") if path.stem != "left_out"
        }
    factory, trl, axolotl = written["llama-factory"], written["trl"], written["axolotl"]
    assert {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "Rome"}}'} in (
        turn for row in factory["sft_tools"] for turn in row["conversations"]
    )
    joined = "sun\n</tool_response>\n<tool_response>\nwarm"
    assert any(turn["value"] == joined for row in factory["sft_tools"] for turn in row["conversations"])
    assert {"text": RECORDS["text"]["text"]} in factory["text"]
    assert {"conversations": [{"from": "human", "value": "What is <image>"}, {"from": "gpt", "value": "Sunny."}]} | {
        "images": ["b.png"]
    } in factory["sft_images"]
    assert trl["preference"][0].keys() == {"prompt", "chosen", "rejected"}
    assert trl["kto"][0]["label"] is False
    seen = [{"type": "text", "text": "See "}, {"type": "image"}, {"type": "text", "text": " there?"}]
    assert seen in [row["messages"][0]["content"] for row in trl["sft_images"]]
    assert CALL in [call for row in trl["sft_tools"] for turn in row["messages"] for call in turn.get("tool_calls", [])]
    assert {"type": "image", "url": "http://x/c.png"} in [
        part for row in axolotl["sft_images"] for part in row["messages"][0]["content"]
    ]
    assert axolotl["kto"] == [
        {"system": "", "prompt": "Is it warm?", "completion": "Who knows.", "label": False},
    ]
    whole = [*CHAT[:1], {"role": "assistant", "content": "Rain."}]
    assert {"chosen": CHAT, "rejected": whole} in written["open-instruct"]["preference"]
    assert written["open-instruct"].keys() == {"sft", "preference"}


@pytest.mark.parametrize("tool", TOOLS)
def test_recipes_are_the_papers_and_name_what_is_there(instag: Instag, run: Path, tool: str) -> None:
    assert instag("export", run, "--to", tool).code == 0
    out = run / "export" / tool
    settings = [line.partition(": ") for line in (out / "sft.yaml").read_text().splitlines() if line[0] != "#"]
    recipe = {name: json.loads(value) for name, _, value in settings}  # values are JSON, which YAML holds
    epochs, batch = (
        ("num_epochs", "micro_batch_size")
        if tool == "axolotl"
        else (
            "num_train_epochs",
            "per_device_train_batch_size",
        )
    )
    length = {"trl": "max_length", "llama-factory": "cutoff_len", "axolotl": "sequence_len"}.get(tool, "max_seq_length")
    assert recipe[epochs] == 5
    assert recipe[batch] * recipe["gradient_accumulation_steps"] == 128
    assert (recipe["learning_rate"], recipe["warmup_steps" if tool == "trl" else "warmup_ratio"], recipe[length]) == (
        2e-5,
        0.1,
        2048,
    )
    told = "".join(path.read_text() for path in out.glob("*.yaml"))
    for name in json.loads((out / "export.json").read_text())["written"]:
        assert f'"{name}.jsonl"' in told or f"instag_{name}" in told


@pytest.mark.parametrize("tool", TOOLS)
def test_files_load_with_datasets(
    instag: Instag, run: Path, tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="`datasets` is not installed (pip install datasets)")
    written = instag("export", run, "--to", tool, "--json").json["written"]
    for name, count in written.items():
        path = str(run / "export" / tool / f"{name}.jsonl")
        found = datasets.load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(found) == count
        assert [without_nulls(row) for row in found] == [without_nulls(row) for row in rows(Path(path))]


@pytest.mark.parametrize("tool", TOOLS)
def test_shared_files_load_with_datasets(
    instag: Instag, tmp_path: Path, data: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="`datasets` is not installed (pip install datasets)")
    folder = data / "instructions" / "llama_factory"
    run = picked(instag, tmp_path / "run", *(folder / name for name in SHARED))
    written = instag("export", run, "--to", tool, "--json").json["written"]
    for name, count in written.items():
        path = str(run / "export" / tool / f"{name}.jsonl")
        found = datasets.load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(found) == count


def without_nulls(value: Any) -> Any:
    """A column that a row lacks is null in the table."""
    if isinstance(value, dict):
        return {name: without_nulls(one) for name, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def test_an_export_goes_over_nothing_but_an_export(instag: Instag, run: Path, tmp_path: Path) -> None:
    for own in (run, run / "select", run / "tag" / "x", tmp_path / "pool.jsonl"):
        said = instag("export", run, "--to", "trl", "--out", own)
        assert said.code == 1
        assert "is a source or a part of the run" in said.err
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "sft.jsonl").write_text("precious")
    said = instag("export", run, "--to", "trl", "--out", mine)
    assert said.code == 1
    assert "made by no export" in said.err
    assert "hint: " in said.err
    assert [path.read_text() for path in mine.iterdir()] == ["precious"]
    (mine / "sft.jsonl").unlink()
    (mine / "notes").write_text("kept")
    assert instag("export", run, "--to", "trl", "--out", mine).code == 0
    before = {path.name: path.read_bytes() for path in mine.iterdir()}
    assert instag("export", run, "--to", "trl", "--out", mine).code == 0
    assert {path.name: path.read_bytes() for path in mine.iterdir()} == before
    assert instag("export", run, "--to", "open-instruct", "--out", mine).code == 0
    assert not (mine / "text.jsonl").exists()
    assert (mine / "notes").read_text() == "kept"


def test_a_changed_source_is_told_and_nothing_is_written(instag: Instag, run: Path, tmp_path: Path) -> None:
    file = tmp_path / "pool.jsonl"
    file.write_text(file.read_text().replace("Sunny.", "Cloudy"))
    said = instag("export", run, "--to", "trl")
    assert said.code == 1
    assert "changed since it was read" in said.err
    assert not (run / "export").exists()


def test_nothing_that_a_tool_can_take_is_an_error(instag: Instag, tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "A plain text."}\n')
    run = picked(instag, tmp_path / "run", file)
    said = instag("export", run, "--to", "open-instruct")
    assert said.code == 1
    assert "plain text: open-instruct trains on chats" in said.err


def test_one_thing_is_exported(instag: Instag, run: Path) -> None:
    assert instag("export", run).code == 2
    assert instag("export", run, "--annotated", "--to", "trl").code == 2
    assert instag("export", run, "--to", "trl", "--out", "-").code == 2
