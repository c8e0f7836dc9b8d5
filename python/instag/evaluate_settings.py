"""What decides an evaluation, and what decides only how fast it goes and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

from instag.bootstrap import RESAMPLES
from instag.errors import ConfigError
from instag.judge_prompts import MODES, PAIRWISE, SINGLE
from instag.limiter import MOST
from instag.network import is_url, redact
from instag.templates import TEMPLATES


@dataclass(frozen=True)
class EvaluateSettings:
    """What decides an evaluation; at least one of `mt_bench` and `holdout` is what it is made on.

    `mt_bench` is a file of questions, `holdout` a folder or file of `instag split`. Who is judged is `model` (asked at
    an endpoint), `model_folder`, the answers of a file, or else the run's own `train/model`; `template` is how a local
    model is talked to (default: as it was trained). `judge` grades, or with `mode` `pairwise` compares with the answers
    of the file `against`, each `repeats` times; `judgments_file` has judgments that stand already. Limits of tokens are
    FastChat's.
    """

    mt_bench: str | None = None
    holdout: str | None = None
    model: str | None = None
    model_folder: str | None = None
    template: str | None = None
    answers_file: str | None = None
    judge: str | None = None
    judge_prompts: str | None = None
    references: str | None = None
    judgments_file: str | None = None
    mode: str = SINGLE
    against: str | None = None
    people: str | None = None
    repeats: int = 3
    max_tokens: int = 1024
    judge_max_tokens: int = 2048
    heldout_tokens: int = 2048  # of a conversation, at most; fewer where the model takes fewer
    resamples: int = RESAMPLES
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mt_bench is None and self.holdout is None:
            raise ConfigError(
                "there is nothing to evaluate on",
                hint="`--mt-bench QUESTIONS` with a judge, or `--holdout FOLDER` of `instag split`, which needs none",
            )
        for name, known in (("mode", MODES), ("template", (None, *TEMPLATES))):
            if (value := getattr(self, name)) not in known:
                hint = f"one of {', '.join(one for one in known if one)}"
                raise ConfigError(f"`{name}` is {value!r}, which is none", hint=hint)
        for name in ("repeats", "max_tokens", "judge_max_tokens", "heldout_tokens", "resamples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, must be at least 1")
        if self.seed < 0:
            raise ConfigError(f"`seed` is {self.seed}, must be at least 0")
        self._check_sources()

    def _check_sources(self) -> None:
        """Refuses what does not go together, or would be passed over."""
        of_mt_bench = ("judge", "judge_prompts", "references", "answers_file", "judgments_file", "against", "people")
        if self.mt_bench is None and (given := [name for name in of_mt_bench if getattr(self, name) is not None]):
            raise ConfigError(f"`{given[0]}` is for MT-Bench", hint="name its questions: `--mt-bench QUESTIONS`")
        if self.mt_bench is None:
            return
        if self.judgments_file is None and self.judge is None:
            raise ConfigError(
                "no judge is named",
                hint="`--judge MODEL`, or `--judgments-file FILE` with judgments that stand already",
            )
        if self.judgments_file is not None:
            for name in ("judge", "judge_prompts", "references", "answers_file", "against", "model_folder"):
                if getattr(self, name) is not None and not (name == "model_folder" and self.holdout):
                    raise ConfigError(f"`judgments_file` has judgments that stand already, so `{name}` decides nothing")
            if self.mode == PAIRWISE:
                raise ConfigError("`judgments_file` has judgments of single answers, so `mode` can't be `pairwise`")
        if (self.mode == PAIRWISE) != (self.against is not None):
            raise ConfigError(
                "`mode` `pairwise` and `against` belong together",
                hint="`--mode pairwise --against ANSWERS.jsonl`: whose answers ours are compared with",
            )
        if self.people is not None and self.mode != PAIRWISE:
            raise ConfigError("`people` chose between two answers", hint="compare the same two: `--mode pairwise`")
        if self.model is not None and self.model_folder is not None and self.judgments_file is None:
            raise ConfigError("`model` and `model_folder` are two models", hint="name one of them")
        if self.answers_file is not None and self.model is not None:
            raise ConfigError("`answers_file` has answers that stand already, so `model` is not asked", hint="drop one")


@dataclass(frozen=True)
class EvaluateSpeed:
    """Where the model and the judge are, how fast they are asked, what that may cost; nothing here decides a result.

    Of keys only the names of files are ever kept. `retry_unread` asks once more for judgments that could not be read.
    """

    base_url: str | None = None
    key_file: str | None = None
    judge_base_url: str | None = None
    judge_key_file: str | None = None
    answers: str | None = None
    concurrency: int = MOST
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout_s: float = 300.0
    max_attempts: int = 6
    max_failure_rate: float = 0.05
    budget_usd: float | None = None
    prices: str | None = None
    retry_unread: bool = False
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("base_url", "judge_base_url"):
            if (url := getattr(self, name)) is not None and not is_url(url):
                raise ConfigError(
                    f"`{name}` is `{redact(url)}`, which is no URL of an endpoint",
                    hint="it looks like `http://localhost:8000/v1`",
                )
        for name in ("concurrency", "max_attempts"):
            if getattr(self, name) < 1:
                raise ConfigError(f"`{name}` is {getattr(self, name)}, must be at least 1")
        for name in ("requests_per_minute", "tokens_per_minute", "timeout_s", "budget_usd"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ConfigError(f"`{name}` is {value}, must be a number above 0")
        if not 0 <= self.max_failure_rate <= 1:
            raise ConfigError(f"`max_failure_rate` is {self.max_failure_rate}, must be a share")
        if self.device not in ("auto", "cpu"):
            raise ConfigError(f"`device` is {self.device!r}, which is none", hint="one of auto, cpu")
