"""Types of a model file (config/models): sources of checkpoints and their place in pre-training."""

import dataclasses
import math
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ptft.errors import present
from ptft.pocket.settings import PretrainSettings, rate_factor
from ptft.study.types import Count, Name, Repository, Seed, Strict, StrictSettings


def _names_a_step(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if "step" not in groups:
        raise ValueError(f"{pattern!r} has no group (?P<step>...)")
    return pattern


STEP_NAME = re.compile(r"step(0|[1-9][0-9]*)")
BranchPattern = Annotated[str, AfterValidator(_names_a_step)]


class CheckpointInfo(Strict):
    """Where in pre-training a checkpoint is."""

    step: int | None = None
    """optimizer step"""
    tokens: int | None = None
    """tokens seen"""


class PocketSource(Strict):
    """The pocket model: a made-up world, its corpus and a small model pre-trained on it here."""

    kind: Literal["pocket"]
    """computed here"""
    world_seed: Seed = 0
    """seed of the made-up world"""
    pretraining: StrictSettings[PretrainSettings]
    """how the model is built and trained"""

    def checkpoints(self) -> dict[str, CheckpointInfo]:
        """One checkpoint per saved step, named as on the Hub."""
        tokens_per_step = self.pretraining.batch_size * self.pretraining.sequence_length
        return {
            f"step{step}": CheckpointInfo(step=step, tokens=step * tokens_per_step)
            for step in self.pretraining.steps
        }

    def info(self, name: str) -> CheckpointInfo | None:
        """Where a checkpoint is; None if there is none of the name."""
        return self.checkpoints().get(name)

    def before(self, name: str) -> str | None:
        """The checkpoint from which pre-training continues to this one; None for the first."""
        names = list(self.checkpoints())
        place = names.index(name)
        return names[place - 1] if place else None

    def learning_rate(self, step: int) -> float:
        """Of the last update before a step, for the matrices."""
        return self.pretraining.learning_rate * rate_factor(self.pretraining, step - 1)

    def pretraining_slice(self, name: str) -> dict:
        """What determines a checkpoint: the settings, without the steps of the others."""
        return dataclasses.asdict(self.pretraining) | {"steps": [self.checkpoints()[name].step]}


class FolderSource(Strict):
    """Checkpoints that are already on disk: one Hugging Face model folder each."""

    kind: Literal["folder"]
    """already on disk"""
    path: str
    """folder with one folder per checkpoint, relative to the working directory"""
    listed: Annotated[dict[Name, CheckpointInfo], Field(alias="checkpoints", min_length=1)]
    """name of a folder -> where in pre-training it is"""

    def checkpoints(self) -> dict[str, CheckpointInfo]:
        """The checkpoints that the file lists."""
        return dict(self.listed)

    def info(self, name: str) -> CheckpointInfo | None:
        """Where a checkpoint is; None if there is none of the name."""
        return self.listed.get(name)


class HubCheckpoint(CheckpointInfo):
    """A checkpoint on the Hub that its step alone does not identify."""

    branch: str | None = None
    """branch, tag or commit; default: that of the step, or the checkpoint's name"""
    repository: Repository | None = None
    """repository, if not the model's; then the default revision is its main branch"""


class HubSource(Strict):
    """Checkpoints on the Hub: by step, looked up among the repository's branches, or by name."""

    kind: Literal["hub"]
    """fetched from the Hugging Face Hub"""
    repository: Repository
    """OWNER/NAME"""
    branches: BranchPattern | None = None
    """regular expression of branches that hold checkpoints, with a group `step` and, if the
    names have it, a group `tokens` (in billions)"""
    tokens_per_step: Count | None = None
    """tokens per optimizer step, if constant"""
    listed: Annotated[dict[Name, HubCheckpoint], Field(alias="checkpoints")] = {}
    """checkpoints not named `step` and a number (main), or with more details"""
    allow_pickle: bool = False
    """use .bin weights if there are no safetensors; reading them can run foreign code"""

    def checkpoints(self) -> dict[str, HubCheckpoint]:
        """The checkpoints that the file lists; the Hub may have more."""
        return dict(self.listed)

    def info(self, name: str) -> HubCheckpoint | None:
        """What is known of a checkpoint without asking the Hub; None if it can't be looked up."""
        if name in self.listed:
            return self.listed[name]
        found = STEP_NAME.fullmatch(name)
        if self.branches is None or found is None:
            return None
        step = int(found[1])
        tokens = step * self.tokens_per_step if self.tokens_per_step else None
        return HubCheckpoint(step=step, tokens=tokens)

    def reference(self, name: str) -> dict:
        """What is looked up on the Hub for a checkpoint."""
        info = present(self.info(name), f"checkpoint {name}")
        by_step = info.branch is None and self.branches and STEP_NAME.fullmatch(name)
        return {
            "repository": info.repository or self.repository,
            "branches": self.branches,
            "branch": None if by_step else info.branch or ("main" if info.repository else name),
            "step": info.step,
            "tokens": info.tokens,
            "allow_pickle": self.allow_pickle,
        }


class Shape(Strict):
    """Sizes of a model's parts, in the words of its config.json."""

    num_hidden_layers: Count
    """blocks"""
    hidden_size: Count
    """width of the residual stream"""
    intermediate_size: Count
    """width of a block's inner layer"""
    num_attention_heads: Count
    """query heads"""
    num_key_value_heads: Count
    """key and value heads"""
    vocab_size: Count
    """rows of the embedding matrix"""
    tie_word_embeddings: bool
    """whether the output layer shares the embedding matrix"""

    @property
    def key_share(self) -> float:
        """Width of the keys, relative to that of the queries."""
        return self.num_key_value_heads / self.num_attention_heads

    @property
    def outside(self) -> int:
        """Weights outside of the blocks: embedding and output layer."""
        return self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)


Rate = Annotated[float, Field(ge=0)]


class RateSchedule(Strict):
    """Learning rate over pre-training: linear warm-up, then decay."""

    peak: Annotated[float, Field(gt=0)]
    """highest rate, at the end of warm-up"""
    warmup: Annotated[int, Field(ge=0)] = 0
    """steps of warm-up"""
    start: Rate = 0.0
    """rate at step 0"""
    steps: Count
    """step at which it reaches ``end``"""
    shape: Literal["cosine", "linear"]
    """shape of the decay"""
    end: Rate = 0.0
    """final rate"""
    least: Rate = 0.0
    """lower bound of the decay, if above ``end``"""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.warmup >= self.steps:
            raise ValueError(
                f"warmup is {self.warmup}, expected fewer than the {self.steps} steps of the whole"
            )
        for name in ("start", "end", "least"):
            if getattr(self, name) > self.peak:
                raise ValueError(
                    f"{name} is {getattr(self, name):g}, expected at most the peak, {self.peak:g}"
                )
        return self

    def at(self, step: int) -> float:
        """The rate after this many steps."""
        if step < self.warmup:
            return self.start + (self.peak - self.start) * step / self.warmup
        gone = min(1.0, (step - self.warmup) / (self.steps - self.warmup))
        left = 1 - gone if self.shape == "linear" else (1 + math.cos(math.pi * gone)) / 2
        return max(self.least, self.end + (self.peak - self.end) * left)


class Model(Strict):
    """A file of config/models: a model, where it comes from, its checkpoints."""

    description: str = ""
    """description in words"""
    parameters: Count | None = None
    """number of weights, for estimates of time, memory and disk; default: small"""
    shape: Shape | None = None
    """sizes of its parts, for estimates of GPU memory; default: count only weights"""
    pretraining_lr: RateSchedule | None = None
    """learning rate of its pre-training, shown for each checkpoint"""
    source: Annotated[PocketSource | FolderSource | HubSource, Field(discriminator="kind")]
    """where its checkpoints come from"""

    @model_validator(mode="after")
    def _told_once(self) -> Self:
        if self.pretraining_lr and isinstance(self.source, PocketSource):
            raise ValueError(
                "pretraining_lr is told by source.pretraining of a pocket model; drop it"
            )
        return self

    def learning_rate(self, step: int | None) -> float | None:
        """Learning rate of pre-training at a step; None if unknown."""
        if step is None:
            return None
        if isinstance(self.source, PocketSource):
            return self.source.learning_rate(step)
        return self.pretraining_lr.at(step) if self.pretraining_lr else None

    @property
    def weights(self) -> int | None:
        """Number of weights; None if unknown."""
        if self.parameters is None and isinstance(self.source, PocketSource):
            return self.source.pretraining.weights
        return self.parameters
