"""Types of a model file (config/models): sources of checkpoints and their place in pre-training."""

import dataclasses
import math
import re
from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ptft.errors import SUBFOLDER, PlacedError, present
from ptft.hub.pins import GROUPS, place_in_name
from ptft.pocket.settings import LEARNING_RATE, PretrainSettings, rate_factor
from ptft.study.types import Count, Name, Part, Repository, Seed, Strict, StrictSettings

STEP_NAME = re.compile(r"(?:(?P<stage>[A-Za-z0-9_-]+)-)?step(?P<step>0|[1-9][0-9]*)")
"""`step1000`, or `stage2-step1000`: the names in a study of what a pattern finds on the Hub"""


def _names_a_place(pattern: str) -> str:
    """A pattern whose groups say where in pre-training a name is."""
    try:
        groups = set(re.compile(pattern).groupindex)
    except re.error as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if not groups & {"step", "tokens", "index"}:
        raise ValueError(
            f"{pattern!r} has none of the groups (?P<step>...), (?P<tokens>...), (?P<index>...)"
        )
    if "unit" in groups and "tokens" not in groups:
        raise ValueError(f"{pattern!r} has a group `unit`, but none of tokens that it would be of")
    if unknown := groups - set(GROUPS):
        raise ValueError(f"{pattern!r}: group {min(unknown)!r} is none of {', '.join(GROUPS)}")
    return pattern


NamePattern = Annotated[str, AfterValidator(_names_a_place)]
Subfolder = Annotated[str, Field(pattern=SUBFOLDER)]


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
        return LEARNING_RATE * rate_factor(self.pretraining, step - 1)

    def pretraining_slice(self, name: str) -> dict:
        """All that determines a checkpoint: the settings, without the steps of the others."""
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
    """A checkpoint on the Hub that its name alone does not identify."""

    branch: str | None = None
    """branch, tag or commit; default: that of the step, or the checkpoint's name"""
    repository: Repository | None = None
    """repository, if not the model's; then the default revision is its main branch"""
    subfolder: Subfolder | None = None
    """folder of the repository that holds it, if not its top"""


class Naming(Strict):
    """How a repository names checkpoints, and where in pre-training the names say that they are."""

    branches: NamePattern | None = None
    """regular expression of branches that hold checkpoints, with groups `step`, `tokens` (in
    billions, or in the unit of a group `unit`: K, M, B, T) or `index` (a count of checkpoints)"""
    subfolders: NamePattern | None = None
    """the same of folders that hold a checkpoint each, in one branch"""
    tokens_per_step: Count | None = None
    """tokens per optimizer step, if constant; more exact than tokens in a name"""
    tokens_per_index: Count | None = None
    """tokens between two checkpoints that are named by an index"""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.branches and self.subfolders:
            raise PlacedError(("subfolders",), "checkpoints are branches or folders; remove one")
        return self

    @property
    def pattern(self) -> str | None:
        """That of branches or folders; None where neither is given."""
        return self.branches or self.subfolders

    def by_step(self, step: int) -> CheckpointInfo | None:
        """Where the checkpoint of a step is; None if names do not tell steps."""
        if self.pattern is None or "step" not in re.compile(self.pattern).groupindex:
            return None
        return CheckpointInfo(step=step, tokens=_times(step, self.tokens_per_step))

    def by_name(self, name: str) -> CheckpointInfo | None:
        """Where a branch or folder is by its name; None if it does not match."""
        found = place_in_name(self.pattern, name)
        if found is None:
            return None
        step, rounded, index = found
        exact = _times(step, self.tokens_per_step) or _times(index, self.tokens_per_index)
        return CheckpointInfo(step=step, tokens=rounded if exact is None else exact)


class Stage(Naming):
    """A part of pre-training whose checkpoints are named in a way of their own."""

    repository: Repository | None = None
    """repository, if not the model's"""
    after: CheckpointInfo = CheckpointInfo()
    """step and tokens at which it begins, if its names count from there"""


class TokenizerSource(Strict):
    """Where a tokenizer is that does not lie beside the weights."""

    repository: Repository | None = None
    """default: the model's"""
    revision: Name = "main"
    """branch, tag or commit"""


@dataclasses.dataclass(frozen=True)
class NamedPlace:
    """Where a name leads to that a pattern explains."""

    stage: str | None
    naming: Naming
    info: HubCheckpoint
    named_step: int | None = None
    """step as the name on the Hub counts it; None where the name is that on the Hub"""


class HubSource(Naming):
    """Checkpoints on the Hub: by step, looked up among branches or folders, or by name."""

    kind: Literal["hub"]
    """fetched from the Hugging Face Hub"""
    repository: Repository
    """OWNER/NAME"""
    stages: dict[Part, Stage] = {}
    """name -> part of pre-training, in its order; instead of `branches`. Its checkpoints are named
    `NAME-stepN`, or as their branches"""
    listed: Annotated[dict[Name, HubCheckpoint], Field(alias="checkpoints")] = {}
    """checkpoints not named `step` and a number (main), or with more details"""
    tokenizer: TokenizerSource | None = None
    """where the tokenizer of all checkpoints is, if not beside the weights"""
    allow_pickle: bool = False
    """use .bin weights if there are no safetensors; reading them can run foreign code"""

    @model_validator(mode="after")
    def _stages_in_order(self) -> Self:
        if self.stages and self.pattern:
            key = "branches" if self.branches else "subfolders"
            raise PlacedError((key,), "each of the stages has its own; move it into one")
        begun = CheckpointInfo()
        for name, stage in self.stages.items():
            if stage.pattern is None:
                raise PlacedError(("stages", name), "`branches` or `subfolders` is missing")
            for key in ("step", "tokens"):
                before, here = getattr(begun, key) or 0, getattr(stage.after, key)
                if here is not None and here < before:
                    raise PlacedError(
                        ("stages", name, "after", key),
                        f"found {here:,}, but the stage before it begins after {before:,}; stages "
                        "are written in their order",
                    )
            begun = stage.after
        return self

    def checkpoints(self) -> dict[str, HubCheckpoint]:
        """The checkpoints that the file lists; the Hub may have more."""
        return dict(self.listed)

    def info(self, name: str) -> HubCheckpoint | None:
        """A checkpoint as far as it is known without the Hub; None if it can't be looked up."""
        if name in self.listed:
            return self.listed[name]
        found = self.place(name)
        return None if found is None else found.info

    def place(self, name: str) -> NamedPlace | None:
        """Where a checkpoint is that the file does not list; None if no pattern fits its name.

        Raises:
            ValueError: several stages have a branch of this name.
        """
        stages = self._namings
        asked = STEP_NAME.fullmatch(name)
        if asked and asked["stage"] in stages:
            naming, step = stages[asked["stage"]], int(asked["step"])
            if info := naming.by_step(step):
                return NamedPlace(asked["stage"], naming, _from_the_start(info, naming), step)
        fits = {stage: info for stage, each in stages.items() if (info := each.by_name(name))}
        if len(fits) > 1:
            raise ValueError(f"{name!r} fits the patterns of stages {' and '.join(map(str, fits))}")
        for stage, info in fits.items():
            return NamedPlace(stage, stages[stage], _from_the_start(info, stages[stage]))
        return None

    def patterns(self) -> list[str]:
        """How checkpoints can be named that the file does not list, in words."""
        found = []
        for name, naming in self._namings.items():
            if naming.pattern is not None:
                short = ["step1000" if name is None else f"{name}-step1000"]
                found += short if naming.by_step(1000) else []
                where = "branch" if naming.branches else "folder"
                found.append(f"as its {where}, {naming.pattern}")
        return found

    def overlap(self, place: NamedPlace, used: Collection[str | None]) -> str | None:
        """Why a checkpoint of a stage does not go with the others of a study; None if it does.

        Args:
            used: stages of all checkpoints of the study.
        """
        stage, names = self.stages.get(place.stage or ""), list(self.stages)
        if stage is None:
            return None
        for name in names[names.index(str(place.stage)) + 1 :]:
            after = self.stages[name].after
            for key, said in (("step", "step {:,}"), ("tokens", "{:,} tokens")):
                at, begun, own = (getattr(each, key) for each in (place.info, after, stage.after))
                if begun and at is not None and at > begun > (own or 0):
                    return (
                        f"it is at {said.format(at)}, and stage {name} begins after "
                        f"{said.format(begun)}: the two overlap; correct stages.{name}.after in "
                        "the model's file, or name an earlier checkpoint"
                    )
            if name in used and after == stage.after != CheckpointInfo():
                return (
                    f"stages {place.stage} and {name} begin at the same point, so they are "
                    "alternatives; name checkpoints of one of them"
                )
        return None

    def reference(self, name: str) -> dict:
        """The reference of a checkpoint, by which the Hub is asked (``ptft.hub.resolve``)."""
        info = present(self.info(name), f"checkpoint {name}")
        place = None if info.branch or info.subfolder else self.place(name)
        naming: Naming = place.naming if place else self
        stage = naming if isinstance(naming, Stage) else Stage()
        branch, subfolder = info.branch, info.subfolder
        if place is None:
            branch = branch or ("main" if info.repository or info.subfolder else name)
        elif place.named_step is None and naming.subfolders:
            subfolder = name
        elif place.named_step is None:
            branch = name
        return {
            "repository": info.repository or stage.repository or self.repository,
            "branches": naming.branches,
            "subfolders": naming.subfolders,
            "branch": branch,
            "subfolder": subfolder,
            "named_step": place.named_step if place else None,
            "step": info.step if place is None or info.step is not None else place.info.step,
            "tokens": info.tokens,
            "after": stage.after.model_dump(),
            "tokenizer": self._tokenizer(),
            "allow_pickle": self.allow_pickle,
        }

    @property
    def _namings(self) -> dict[str | None, Naming]:
        """Stage -> how its checkpoints are named; None where there are no stages."""
        return dict(self.stages.items()) if self.stages else {None: self}

    def _tokenizer(self) -> dict | None:
        if self.tokenizer is None:
            return None
        return {
            "repository": self.tokenizer.repository or self.repository,
            "revision": self.tokenizer.revision,
        }


def _from_the_start(info: CheckpointInfo, naming: Naming) -> HubCheckpoint:
    """Counted from the beginning of pre-training, where names count from a stage's."""
    after = naming.after if isinstance(naming, Stage) else CheckpointInfo()
    step = None if info.step is None else info.step + (after.step or 0)
    tokens = None if info.tokens is None else info.tokens + (after.tokens or 0)
    return HubCheckpoint(step=step, tokens=tokens)


def _times(count: int | None, tokens: int | None) -> int | None:
    return None if count is None or tokens is None else count * tokens


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
        return self.rows * (1 if self.tie_word_embeddings else 2)

    @property
    def rows(self) -> int:
        """Weights of the output layer."""
        return self.vocab_size * self.hidden_size


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
    variants: dict[Name, Repository] = {}
    """name of another model -> repository of its checkpoints, if all else is as said here (another
    seed of pre-training)"""

    @model_validator(mode="after")
    def _told_once(self) -> Self:
        if self.pretraining_lr and isinstance(self.source, PocketSource):
            raise ValueError(
                "pretraining_lr is told by source.pretraining of a pocket model; drop it"
            )
        return self

    @model_validator(mode="after")
    def _varied_on_the_hub(self) -> Self:
        if self.variants and not isinstance(self.source, HubSource):
            raise PlacedError(("variants",), "only checkpoints on the Hub have variants")
        return self

    def variant(self, name: str) -> Self:
        """The model of a variant."""
        assert isinstance(self.source, HubSource)
        source = self.source.model_copy(update={"repository": self.variants[name]})
        return self.model_copy(update={"source": source, "variants": {}})

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
