"""Ready recipes for the files of a hand-over, with the paper's settings where a chat is learned (PAPER section 6)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from instag.handover_records import MEDIA

BASE_MODEL = "meta-llama/Llama-2-13b-hf"  # the paper's v2.0
CHAT_MODEL = "Qwen/Qwen3-8B"  # where a template with tools is needed; the paper has neither these nor media
VISION_MODEL, OMNI_MODEL = "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2.5-Omni-7B"
EPOCHS, LEARNING_RATE, WARMUP_RATIO, TOKENS = 5, 2.0e-5, 0.1, 2048
ON_DEVICE, ACCUMULATED = 4, 32  # a batch of 128 on one device
_BATCH = f"""\
# The batch is (per device) x (accumulated) x (devices) = {ON_DEVICE} x {ACCUMULATED} x 1: on more, accumulate less.
"""
_NOTE = f"""\
# The paper's: {EPOCHS} epochs, batch {ON_DEVICE * ACCUMULATED}, learning rate 2e-5, warm-up 0.1, {TOKENS} tokens.
# It names no schedule; cosine is that of FastChat, whose code it used. It trains on chats: for media and tools the
# model is one of ours.
{_BATCH}"""
_PREFERENCE_NOTE = f"""\
# The paper trains on no preferences: epochs and learning rate are those of LLaMA-Factory's example.
{_BATCH}"""
_JINJA = """\
{%- set system = "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, \
detailed, and polite answers to the human's questions." -%}
{%- if messages[0]['role'] == 'system' -%}{%- set system = messages[0]['content'] -%}\
{%- set messages = messages[1:] -%}{%- endif -%}
{{- bos_token + system + ' ' -}}
{%- for turn in messages -%}
    {%- if turn['role'] == 'assistant' -%}
        {{- 'ASSISTANT: ' -}}{%- generation -%}{{- turn['content'] + eos_token -}}{%- endgeneration -%}
    {%- else -%}
        {{- 'USER: ' + turn['content'] + ' ' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- 'ASSISTANT:' -}}{%- endif -%}
"""


def recipes(tool: str, names: list[str]) -> dict[str, str]:
    """The recipes of `tool` for the data files `names` (without their ending), as file names with their text."""
    made = {"trl": _trl, "llama-factory": _llama_factory, "axolotl": _axolotl, "open-instruct": _open_instruct}
    return made[tool](names)


def _trl(names: list[str]) -> dict[str, str]:
    """One for each file: a trainer of TRL takes one data set, and its columns are those of the file."""
    texts = {}
    for name in names:
        kind = name.split("_")[0]
        command = {"preference": "dpo", "kto": "kto"}.get(kind, "sft")
        plain = name == "sft"
        recipe: dict[str, Any] = {
            "model_name_or_path": _model([name], BASE_MODEL if name in ("sft", "text") else CHAT_MODEL),
            "datasets": [{"path": "json", "data_files": f"{name}.jsonl", "split": "train"}],
            "output_dir": f"trained/{name}",
            "max_length": TOKENS,
        }
        recipe |= _transformers(kind)
        # Since version 5, transformers takes a share under this name; `warmup_ratio` is gone.
        recipe["warmup_steps"] = recipe.pop("warmup_ratio")
        if kind == "sft":
            recipe["assistant_only_loss"] = not _media(name)
        if plain:
            recipe["chat_template_path"] = "vicuna.jinja"
            texts["vicuna.jinja"] = _JINJA
        note = _NOTE if kind in ("sft", "text") else _PREFERENCE_NOTE
        texts[f"{name}.yaml"] = f"# cd here; trl {command} --config {name}.yaml\n{note}{_yaml(recipe)}"
    return texts


def _llama_factory(names: list[str]) -> dict[str, str]:
    """`dataset_info.json`, and one recipe for each stage; of media one of their own, which needs another model."""
    info = json.dumps({f"instag_{name}": _dataset_info(name) for name in names}, indent=2) + "\n"
    texts = {"dataset_info.json": info}
    for group, held in _groups(names).items():
        kind, seeing = group.split("_")[0], group.endswith("_media")
        recipe: dict[str, Any] = {
            "model_name_or_path": _model(held, BASE_MODEL),
            "stage": {"preference": "dpo", "kto": "kto", "text": "pt"}.get(kind, "sft"),
            "do_train": True,
            "finetuning_type": "full",
            "dataset_dir": ".",
            "dataset": ",".join(f"instag_{name}" for name in held),
            "template": {VISION_MODEL: "qwen2_vl", OMNI_MODEL: "qwen2_omni"}.get(_model(held, ""), "vicuna"),
            "cutoff_len": TOKENS,
            "output_dir": f"trained/{group}",
        }
        recipe |= {"media_dir": "."} if seeing else {}
        recipe |= _transformers(kind)
        recipe |= {"pref_beta": 0.1} if kind in ("preference", "kto") else {}
        recipe |= {"pref_loss": "sigmoid"} if kind == "preference" else {}
        note = _NOTE if kind in ("sft", "text") else _PREFERENCE_NOTE
        texts[f"{group}.yaml"] = f"# cd here; llamafactory-cli train {group}.yaml\n{note}{_yaml(recipe)}"
    return texts


def _dataset_info(name: str) -> dict[str, Any]:
    """The entry of a file in LLaMA-Factory's `dataset_info.json`."""
    kind, *others = name.split("_")
    if kind == "text":
        return {"file_name": f"{name}.jsonl", "columns": {"prompt": "text"}}
    columns = {"messages": "conversations"} | {other: other for other in others}
    columns |= {"chosen": "chosen", "rejected": "rejected"} if kind == "preference" else {}
    columns |= {"kto_tag": "label"} if kind == "kto" else {}
    ranking = {"ranking": True} if kind == "preference" else {}
    return {"file_name": f"{name}.jsonl", **ranking, "formatting": "sharegpt", "columns": columns}


def _axolotl(names: list[str]) -> dict[str, str]:
    texts = {}
    for group, held in _groups(names).items():
        kind, seeing = group.split("_")[0], group.endswith("_media")
        recipe: dict[str, Any] = {"base_model": _model(held, BASE_MODEL)}
        if kind in ("preference", "kto"):
            recipe |= {"rl": "dpo" if kind == "preference" else "kto", "rl_beta": 0.1}
        if seeing:
            recipe |= {"processor_type": "AutoProcessor", "skip_prepare_dataset": True}
        if seeing or kind in ("preference", "kto"):
            recipe["remove_unused_columns"] = False
        if kind in ("sft", "preference"):
            recipe["chat_template"] = "tokenizer_default" if seeing else "tokenizer_default_fallback_chatml"
        recipe |= {
            "datasets": [_axolotl_dataset(name) for name in held],
            "output_dir": f"trained/{group}",
            "sequence_len": TOKENS,
            "sample_packing": False,
            "micro_batch_size": ON_DEVICE,
            "gradient_accumulation_steps": ACCUMULATED,
            "num_epochs": EPOCHS if kind in ("sft", "text") else 3,
            "learning_rate": LEARNING_RATE if kind in ("sft", "text") else 5.0e-6,
            "lr_scheduler": "cosine",
            "warmup_ratio": WARMUP_RATIO,
            "optimizer": "adamw_torch",
            "bf16": "auto",
            "seed": 42,
        }
        note = _NOTE if kind in ("sft", "text") else _PREFERENCE_NOTE
        texts[f"{group}.yaml"] = f"# cd here; axolotl train {group}.yaml\n{note}{_yaml(recipe)}"
    return texts


def _axolotl_dataset(name: str) -> dict[str, Any]:
    kind = name.split("_")[0]
    entry: dict[str, Any] = {"path": f"{name}.jsonl", "ds_type": "json", "split": "train"}
    if kind == "text":
        return entry | {"type": "completion", "field": "text"}
    if kind == "preference":
        fields = {"field_messages": "messages", "field_chosen": "chosen", "field_rejected": "rejected"}
        return entry | {"type": "chat_template.default", **fields}
    if kind == "kto":
        fields = {f"field_{field}": field for field in ("prompt", "system", "completion", "label")}
        return entry | {"type": fields | {"prompt_format": "{prompt}", "completion_format": "{completion}"}}
    tools = {"field_tools": "tools"} if "tools" in name.split("_") else {}
    return entry | {"type": "chat_template", "field_messages": "messages", "roles_to_train": ["assistant"], **tools}


def _open_instruct(names: list[str]) -> dict[str, str]:
    """A config for `finetune.py` or `dpo_tune_cache.py`, with the mixer list: each file, and all of it."""
    texts = {}
    for name in names:
        script = "dpo_tune_cache.py" if name == "preference" else "finetune.py"
        recipe: dict[str, Any] = {
            "model_name_or_path": BASE_MODEL,
            "tokenizer_name_or_path": BASE_MODEL,
            "chat_template_name": "tulu",
            "dataset_mixer_list": [f"{name}.jsonl", "1.0"],
            "dataset_mixer_list_splits": ["train"],
            "max_seq_length": TOKENS,
            "output_dir": f"trained/{name}",
            "push_to_hub": False,
            "try_launch_beaker_eval_jobs": False,
            "lr_scheduler_type": "cosine" if name == "sft" else "linear",
        }
        recipe |= {key: value for key, value in _transformers(name).items() if key in _OPEN_INSTRUCT}
        note = _NOTE if name == "sft" else _PREFERENCE_NOTE
        command = f"# cd here; accelerate launch OPEN_INSTRUCT/open_instruct/{script} {name}.yaml\n"
        texts[f"{name}.yaml"] = f"{command}{note}{_yaml(recipe)}"
    return texts


_OPEN_INSTRUCT = {
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "learning_rate",
    "warmup_ratio",
    "seed",
}


def _transformers(kind: str) -> dict[str, Any]:
    """The settings that have one name in all that builds on transformers."""
    learned = kind in ("sft", "text")
    return {
        "num_train_epochs": EPOCHS if learned else 3,
        "per_device_train_batch_size": ON_DEVICE,
        "gradient_accumulation_steps": ACCUMULATED,
        "learning_rate": LEARNING_RATE if learned else 5.0e-6,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": WARMUP_RATIO,
        "bf16": True,
        "gradient_checkpointing": True,
        "logging_steps": 1,
        "save_strategy": "epoch",
        "seed": 42,
    }


def _media(name: str) -> bool:
    return any(part in MEDIA for part in name.split("_"))


def _model(names: list[str], otherwise: str) -> str:
    """One that takes the media of these files."""
    heard = any("audios" in name.split("_") for name in names)
    return OMNI_MODEL if heard else VISION_MODEL if any(map(_media, names)) else otherwise


def _groups(names: Iterable[str]) -> dict[str, list[str]]:
    """The files that one training takes together: of one kind, with media or without."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.split("_")[0] + ("_media" if _media(name) else ""), []).append(name)
    return groups


def _yaml(recipe: dict[str, Any]) -> str:
    """YAML whose values are JSON, which YAML holds; floats with a point, without which YAML 1.1 reads a text."""
    return "".join(f"{key}: {_value(value)}\n" for key, value in recipe.items())


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.1e}" if value < 1e-3 else str(value)
    return json.dumps(value)
