"""Supervised fine-tuning by TRL: what `instag train` does once tokens, labels and their order are settled.

TRL gets samples that are tokenized, labelled and ordered already, so it decides nothing about what is learned; what it
brings is the loop: accumulation, mixed precision, several devices, checkpoints. Heavy imports are within.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from instag.errors import ConfigError, DataError, OutOfMemoryError
from instag.model_files import BaseModel
from instag.templates import served_template
from instag.train_data import TrainData
from instag.train_settings import TrainSettings, TrainSpeed, accumulation

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from instag.progress import Talk

_WHOLE = "whole"  # an empty file in a checkpoint, written last
_KEPT = 2  # checkpoints
_LORA_DROPOUT = 0.05


@dataclass(frozen=True)
class Trained:
    """What a training was: its loss curve, and counts for the manifest."""

    curve: pl.DataFrame
    counts: dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where a training writes: checkpoints while it goes on, then the whole model, and the adapter of LoRA."""

    checkpoints: Path
    model: Path
    adapter: Path


def devices() -> int:
    """How many processes train together (as `accelerate launch` and `torchrun` tell), each with one device."""
    return max(int(os.environ.get("WORLD_SIZE", "1")), 1)


def is_first() -> bool:
    """Whether this process is the one that writes."""
    return os.environ.get("RANK", "0") == "0"


def train(
    model: BaseModel,
    tokenizer: Any,
    data: TrainData,
    order: NDArray[np.int64],
    settings: TrainSettings,
    speed: TrainSpeed,
    places: Places,
    talk: Talk,
) -> Trained:
    """Trains `model` on `data` in the order given; the model, in Hugging Face's form, is then in `places.model`.

    A training that was cut is taken up at its last whole checkpoint, with the same samples and the same losses behind
    it. Ctrl-C waits for the step, makes a checkpoint, and raises `KeyboardInterrupt`; a second one does not wait.
    Raises `ConfigError` where the settings do not fit the model or the machine, `DataError` where the loss is no
    number, `OutOfMemoryError` with what to lower.
    """
    torch = _torch()
    precision = _precision(torch, settings, speed)
    at_once, times = accumulation(settings.batch, speed.device_batch, devices())
    steps = math.ceil(len(order) / settings.batch)
    with _told_of_memory(torch, at_once):
        network = _network(torch, model, settings, precision)
        _check_vocabulary(network, data, model)
        trainer = _trainer(network, tokenizer, data, order, settings, speed, places, precision, (at_once, times, steps))
        parameters = sum(each.numel() for each in network.parameters())
        learning = sum(each.numel() for each in trainer.model.parameters() if each.requires_grad)
        begun = _last_checkpoint(places.checkpoints)
        if begun is not None:
            talk.line(f"  taken up at {begun.name.replace('-', ' ')} of {steps:,} steps")
        watch = _watch(talk, steps, _step_of(begun))
        trainer.add_callback(watch.callback)
        with (
            watch.hearing(),
            warnings.catch_warnings(),
            talk.bar("training", total=steps, unit="step") as watch.advance,
        ):
            warnings.simplefilter("ignore")  # of the libraries, to each other
            trainer.train(resume_from_checkpoint=None if begun is None else str(begun))
        if watch.interrupted:
            talk.line(f"  stopped behind step {trainer.state.global_step:,} of {steps:,}; a checkpoint is kept")
            raise KeyboardInterrupt
        _save(torch, trainer, tokenizer, model, settings, precision, places)
    curve = _curve(trainer.state.log_history, data, order, settings.batch)
    counts = {
        "steps": int(trainer.state.global_step),
        "parameters": parameters,
        "parameters_learned": learning,
        "precision": precision,
        "device": str(trainer.args.device.type),
        "devices": devices(),
        "device_batch": at_once,
        "accumulation": times,
        "first_loss": float(curve["loss"][0]),
        "last_loss": float(curve["loss"].tail(max(len(curve) // 10, 1)).to_numpy().mean()),  # a step says little
        "taken_up_at": _step_of(begun),
        "versions": _versions(),
    }
    return Trained(curve, counts)


def _torch() -> Any:
    try:
        import torch
        import trl  # noqa: F401 - whether it is there
    except ImportError as error:
        raise ConfigError(f"training needs `{error.name}`", hint='pip install "instag[train]"') from None
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return torch


def _precision(torch: Any, settings: TrainSettings, speed: TrainSpeed) -> str:
    on_gpu = speed.device == "auto" and torch.cuda.is_available()
    able = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    if settings.precision == "bf16" and not able:
        what = "this GPU has none" if on_gpu else "there is no GPU in use"
        raise ConfigError(f"`precision` is bf16, but {what}", hint="leave it out, or `--precision fp32`")
    if settings.quantized and not on_gpu:
        raise ConfigError("`quantized` needs a GPU, and none is in use", hint="LoRA alone works: leave it out")
    return "bf16" if able and settings.precision != "fp32" else "fp32"


def _network(torch: Any, model: BaseModel, settings: TrainSettings, precision: str) -> Any:
    """The model's weights: in float32 where they are learned, so that small steps are not lost."""
    from transformers import AutoModelForCausalLM

    said: dict[str, Any] = {"dtype": torch.bfloat16 if settings.lora and precision == "bf16" else torch.float32}
    if settings.quantized:
        try:
            import bitsandbytes  # noqa: F401 - whether it is there
            from transformers import BitsAndBytesConfig
        except ImportError:
            raise ConfigError("`quantized` needs `bitsandbytes`", hint="pip install bitsandbytes") from None
        said["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        said["device_map"] = {"": int(os.environ.get("LOCAL_RANK", "0"))}  # what is quantized can't be moved later
    try:
        return AutoModelForCausalLM.from_pretrained(str(model.folder), local_files_only=True, **said)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a broken file of weights, or a model that is none of language, makes it raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if _is_of_memory(reason):
            raise
        raise ConfigError(f"`{model.name}` can't be read as a language model: {reason}") from None


def _check_vocabulary(network: Any, data: TrainData, model: BaseModel) -> None:
    rows = network.get_input_embeddings().num_embeddings
    most = max(int(ids.max()) for ids in data.ids)
    if most >= rows:
        raise ConfigError(
            f"the tokenizer of `{model.name}` has a token of number {most:,}, the model knows {rows:,}",
            hint="put the model's own tokenizer beside it",
        )


def _trainer(
    network: Any,
    tokenizer: Any,
    data: TrainData,
    order: NDArray[np.int64],
    settings: TrainSettings,
    speed: TrainSpeed,
    places: Places,
    precision: str,
    sizes: tuple[int, int, int],
) -> Any:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    at_once, times, steps = sizes
    every = max(steps // 10, 10) if speed.checkpoint_every is None else speed.checkpoint_every
    if tokenizer.pad_token is None and tokenizer.eos_token is None:
        raise ConfigError("the tokenizer has neither a padding nor an end token", hint="name one in its settings")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL sets by an old name what transformers has renamed
        arguments = SFTConfig(
            output_dir=str(places.checkpoints),
            per_device_train_batch_size=at_once,
            gradient_accumulation_steps=times,
            num_train_epochs=1,  # the order holds all epochs
            train_sampling_strategy="sequential",
            dataset_kwargs={"skip_prepare_dataset": True},
            max_length=None,
            learning_rate=settings.learning_rate,
            lr_scheduler_type=settings.schedule if settings.schedule != "constant" else "constant_with_warmup",
            warmup_steps=math.ceil(settings.warmup * steps),
            weight_decay=0.0,
            max_grad_norm=1.0,
            optim="adamw_torch",
            bf16=precision == "bf16",
            use_cpu=speed.device == "cpu",
            gradient_checkpointing=speed.gradient_checkpointing,
            seed=settings.seed,
            logging_steps=1,
            logging_nan_inf_filter=False,
            save_strategy="steps" if every else "no",
            save_steps=every or steps,
            save_total_limit=_KEPT,
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=precision == "bf16",
        )
    samples = Dataset.from_dict({"input_ids": data.ids, "labels": data.labels}).select(order)
    adapter = None
    if settings.lora:
        from peft import LoraConfig

        adapter = LoraConfig(
            r=settings.lora,
            lora_alpha=settings.lora_alpha or 2 * settings.lora,
            lora_dropout=_LORA_DROPOUT,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
    trainer = SFTTrainer(
        network, args=arguments, train_dataset=samples, processing_class=tokenizer, peft_config=adapter
    )
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    return trainer


class _Watch:
    """What looks on at a training: progress, checkpoints that are whole, Ctrl-C, a loss that is no number."""

    def __init__(self, done: int) -> None:
        self.interrupted = False
        self.advance: Callable[[int], None] = lambda _: None
        self.done = done
        self.callback: Any = None

    @contextlib.contextmanager
    def hearing(self) -> Iterator[None]:
        """Ctrl-C is heard at the end of a step; the second one at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def heard(number: int, frame: Any) -> None:
            self.interrupted = True
            signal.signal(signal.SIGINT, before)

        before = signal.signal(signal.SIGINT, heard)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def _watch(talk: Talk, steps: int, done: int) -> _Watch:
    from transformers import TrainerCallback

    watch = _Watch(done)

    class Callback(TrainerCallback):  # type: ignore[misc]  # transformers is not there where types are checked
        def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            watch.advance(watch.done)

        def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            watch.advance(1)
            if watch.interrupted:
                control.should_save = control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
            loss = (logs or {}).get("loss")
            if loss is not None and not math.isfinite(loss):
                raise DataError(
                    f"the loss at step {state.global_step:,} is {loss}",
                    hint="lower the learning rate, or `--precision fp32`; what was trained before is kept",
                )

        def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            if is_first():
                (Path(args.output_dir) / f"checkpoint-{state.global_step}" / _WHOLE).touch()

    watch.callback = Callback()
    return watch


def _last_checkpoint(folder: Path) -> Path | None:
    """The last one that was written whole: a kill may leave a part of one."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{_WHOLE}")]
    return max(whole, key=_step_of, default=None)


def _step_of(checkpoint: Path | None) -> int:
    return 0 if checkpoint is None else int(checkpoint.name.rsplit("-", 1)[1])


def _is_of_memory(said: str) -> bool:
    """Whether an error's words are those of torch's allocator on a CPU, which has no error of its own."""
    return "allocate memory" in said or "not enough memory" in said


@contextlib.contextmanager
def _told_of_memory(torch: Any, at_once: int) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        if not isinstance(error, torch.OutOfMemoryError) and not _is_of_memory(said):
            raise
        lower = [f"`--device-batch {at_once // 2}`"] if at_once > 1 else []
        lower += ["`--gradient-checkpointing`", "a lower `--max-tokens`", "`--lora 16`"]
        hint = f"try {', '.join(lower)}; what was trained is kept"
        raise OutOfMemoryError(f"memory ran out: {said}", hint=hint) from None


def _save(
    torch: Any, trainer: Any, tokenizer: Any, model: BaseModel, settings: TrainSettings, precision: str, places: Places
) -> None:
    """The whole model, tokenizer beside it; an adapter is kept, too, and merged into the weights it was made for."""
    if (template := served_template(settings.template, tokenizer)) is not None:
        tokenizer.chat_template = template
    trained = places.adapter if settings.lora else places.model
    trainer.save_model(str(trained))
    if not is_first():
        return
    # Written by the trainer: its own settings (with paths of this machine), and a page about nothing.
    for name in ("training_args.bin", "README.md"):
        (trained / name).unlink(missing_ok=True)
    if settings.lora:
        from peft import PeftModel
        from transformers import AutoModelForCausalLM

        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        base = AutoModelForCausalLM.from_pretrained(str(model.folder), local_files_only=True, dtype=kind)
        PeftModel.from_pretrained(base, str(trained)).merge_and_unload().save_pretrained(str(places.model))
        tokenizer.save_pretrained(str(places.model))


def _curve(history: list[dict[str, Any]], data: TrainData, order: NDArray[np.int64], batch: int) -> pl.DataFrame:
    """A row a step: what was read so far, the learning rate, the mean loss of its learned tokens, in nats."""
    import polars as pl

    logged = [line for line in history if "loss" in line]
    steps = np.array([line["step"] for line in logged], np.int64)
    samples = np.minimum(steps * batch, len(order))
    tokens = np.cumsum(data.tokens[order])[samples - 1]
    return pl.DataFrame(
        {
            "step": steps,
            "epoch": samples / len(data.ids),
            "samples": samples,
            "tokens": tokens,
            "learning_rate": [float(line["learning_rate"]) for line in logged],
            "loss": [float(line["loss"]) for line in logged],
            "gradient_norm": [float(line["grad_norm"]) for line in logged],
        }
    )


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "trl", "accelerate", "peft")}
