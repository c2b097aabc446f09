"""The types of a study: what may stand in config/*.yaml, config/models/ and config/families/.

Every key is known and typed; the JSON schemas in workflow/schemas are generated from here.
"""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from ptft.analysis.settings import Settings as AnalysisSettings
from ptft.methods import METHODS
from ptft.pocket.settings import PretrainSettings
from ptft.prompts import template_fields
from ptft.rows import split_name
from ptft.study.settings import strict_settings
from ptft.transforms import TRANSFORMS

# Names become parts of paths and of command lines, so they hold nothing that a shell reads.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
# Names that appear as one part of an arm (method.task.seed) or of a cell's file name.
PART = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
Name = Annotated[str, Field(pattern=NAME)]
Part = Annotated[str, Field(pattern=PART)]
Repository = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*$")
]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0)]
Shots = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]

Kind = Literal["classification", "multiple_choice", "generation", "chat"]
Transform = Literal[tuple(TRANSFORMS)]
MAIN_METRIC = {"classification": "accuracy", "multiple_choice": "acc_norm", "generation": "rougeL"}


def _names_a_step(pattern: str) -> str:
    try:
        groups = re.compile(pattern).groupindex
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    if "step" not in groups:
        raise ValueError(f"{pattern!r} has no group (?P<step>...)")
    return pattern


STEP_NAME = re.compile(r"step(0|[1-9][0-9]*)")
BranchPattern = Annotated[str, AfterValidator(_names_a_step)]


class Strict(BaseModel):
    """Unknown keys and values of the wrong type are errors."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class CheckpointInfo(Strict):
    """Where in pre-training a checkpoint stands."""

    step: int | None = None
    """optimizer step"""
    tokens: int | None = None
    """tokens seen"""


class PocketSource(Strict):
    """The embedded stand-in: a world, a corpus and a small model pre-trained on it here."""

    kind: Literal["pocket"]
    world_seed: Seed = 0
    pretraining: strict_settings(PretrainSettings)

    def checkpoints(self) -> dict[str, CheckpointInfo]:
        """One checkpoint a saved step, named as on the Hub."""
        tokens_per_step = self.pretraining.batch_size * self.pretraining.sequence_length
        return {
            f"step{step}": CheckpointInfo(step=step, tokens=step * tokens_per_step)
            for step in self.pretraining.steps
        }

    def info(self, name: str) -> CheckpointInfo | None:
        """Where a checkpoint stands; None if there is none of the name."""
        return self.checkpoints().get(name)


class FolderSource(Strict):
    """Checkpoints that are already on disk: one Hugging Face model folder each."""

    kind: Literal["folder"]
    path: str
    """folder that holds one folder a checkpoint, relative to the working directory"""
    listed: Annotated[dict[Name, CheckpointInfo], Field(alias="checkpoints", min_length=1)]

    def checkpoints(self) -> dict[str, CheckpointInfo]:
        """The checkpoints that the file lists."""
        return dict(self.listed)

    def info(self, name: str) -> CheckpointInfo | None:
        """Where a checkpoint stands; None if there is none of the name."""
        return self.listed.get(name)


class HubCheckpoint(CheckpointInfo):
    """A checkpoint on the Hub that is not found by its step alone."""

    branch: str | None = None
    """branch, tag or commit; where not given, that of the step, or the checkpoint's name"""
    repository: Repository | None = None
    """where not the model's; then its main branch, if none is given"""


class HubSource(Strict):
    """Checkpoints on the Hub: by step, looked up among the repository's branches, or by name."""

    kind: Literal["hub"]
    repository: Repository
    branches: BranchPattern | None = None
    """regular expression of branches that hold checkpoints, with a group `step` and, if the
    names have it, a group `tokens` (in billions)"""
    tokens_per_step: Count | None = None
    """tokens of one optimizer step, where it never changed"""
    listed: Annotated[dict[Name, HubCheckpoint], Field(alias="checkpoints")] = {}
    """checkpoints whose name is not `step` and a number (main), or of which more is known"""
    allow_pickle: bool = False
    """take .bin weights where there are no safetensors: reading them can run foreign code"""

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
        info = self.info(name)
        by_step = info.branch is None and self.branches and STEP_NAME.fullmatch(name)
        return {
            "repository": info.repository or self.repository,
            "branches": self.branches,
            "branch": None if by_step else info.branch or ("main" if info.repository else name),
            "step": info.step,
            "tokens": info.tokens,
            "allow_pickle": self.allow_pickle,
        }


class Model(Strict):
    """A file of config/models: a model, where it comes from, its checkpoints."""

    description: str = ""
    parameters: Count | None = None
    """number of weights, for estimates of time, memory and disk; small where not given"""
    source: Annotated[PocketSource | FolderSource | HubSource, Field(discriminator="kind")]


class Splits(Strict):
    """Splits of a dataset by their use, in the notation of `datasets` (``train[:64]``)."""

    train: str | None = None
    """what a task is fine-tuned on"""
    shots: str | None = None
    """what few-shot examples are drawn from; never evaluated; default: the train split"""
    test: str | None = None
    """what is evaluated"""


class Label(Strict):
    """Where a classification label stands and how it is named."""

    column: str
    values: dict[bool | int | str, str] | None = None
    """value of the column -> label of the family"""
    above: float | None = None
    """a score above this is the second of ``names``, any other the first"""
    names: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "Label":
        if (self.values is None) == (self.above is None) or (self.above is None) != (
            self.names is None
        ):
            raise ValueError("give either `values`, or `above` and `names`")
        return self


class Answer(Strict):
    """Where the right choice of a multiple-choice question stands."""

    column: str | None = None
    values: dict[bool | int | str, int] | None = None
    """value of the column -> index of the choice, from 0; without it, the value is the index"""
    among: str | None = None
    """column with the list of names (A, B, ...) of which the answer is one"""
    index: int | None = None
    """the right choice always stands here"""

    @model_validator(mode="after")
    def _one_way(self) -> "Answer":
        if (self.column is None) == (self.index is None):
            raise ValueError("give either `column` or `index`")
        if self.values is not None and self.among is not None:
            raise ValueError("give `values` or `among`, not both")
        return self


class MappedField(Strict):
    """A template field whose text depends on the value of a column."""

    column: str
    values: dict[bool | int | str, str]


class PickedField(Strict):
    """A template field whose text stands in one of several columns: which, another column says."""

    column: str
    columns: dict[bool | int | str, str]
    """value of ``column`` -> the column that is taken"""


class TransformedField(Strict):
    """A template field whose text is a column's, rewritten."""

    column: str
    transform: Transform


class Dataset(Strict):
    """A dataset of a family: where it comes from and which columns fill the template.

    A column may be a path: ``choices.text`` (inside a struct), ``answers.0`` (inside a list).
    """

    repository: Repository | None = None
    """on the Hub, or in the study's `root` in the Hub's layout"""
    config: Name = "default"
    revision: Name | None = None
    """branch, tag or commit of the repository; its main branch where not given"""
    files: Annotated[dict[Part, str], Field(min_length=1)] | None = None
    """instead of a repository: split -> JSONL, CSV or parquet file, or a pattern of them"""
    splits: Splits
    fields: dict[Part, str | MappedField | PickedField | TransformedField] = {}
    """template field -> column"""
    formats: Annotated[dict[Part, str], Field(min_length=1)] | None = None
    """name -> template, where the family's do not fit this dataset"""
    label: Label | None = None
    """classification: the gold label"""
    labels: Annotated[list[str], Field(min_length=2)] | None = None
    """classification: the labels to choose from, where not all of the family's"""
    target: str | None = None
    """generation: column of the gold text"""
    choices: str | list[str] | None = None
    """multiple choice: a column with the list of choices, or one column a choice"""
    choice_texts: Annotated[list[str], Field(min_length=2)] | None = None
    """multiple choice: choices that are the same for all rows"""
    choice_transform: Transform | None = None
    """multiple choice: how each choice is rewritten"""
    choice_template: str | None = None
    """multiple choice: text of a choice, from {choice} and the fields"""
    answer: Answer | None = None
    """multiple choice: the right one"""
    messages: str | None = None
    """chat: column with the turns, each a role and a content"""

    @property
    def source(self) -> str:
        """Where the dataset comes from, in words."""
        if self.files is not None:
            return ", ".join(self.files.values())
        return f"{self.repository} ({self.config})"

    @model_validator(mode="after")
    def _one_source(self) -> "Dataset":
        if (self.repository is None) == (self.files is None):
            raise ValueError("give either `repository` or `files`")
        if "all" in (self.files or {}):
            raise ValueError("files.all: `all` means every split together; name it otherwise")
        if self.files is not None:
            for use, expression in self.splits.model_dump(exclude_none=True).items():
                _known(f"splits.{use}", [split_name(expression)], self.files, "split of `files`")
        return self


class Task(Strict):
    """A fine-tuning task: the train split of a dataset, and the sets that count as its own."""

    dataset: Part
    in_domain: list[Part] = []
    """test sets of the task's own; none where nothing is like it (instruction tuning)"""


class Family(Strict):
    """A file of config/families: prompt formats, scoring, datasets and tasks."""

    description: str = ""
    kind: Kind
    labels: Annotated[list[str], Field(min_length=2)] | None = None
    formats: dict[Part, str] = {}
    """name -> template with {fields}"""
    max_new_tokens: Count = 60
    stop: list[str] = ["\n"]
    """generation ends before any of these"""
    datasets: Annotated[dict[Part, Dataset], Field(min_length=1)]
    tasks: dict[Part, Task] = {}

    def templates(self, dataset: str) -> dict[str, str]:
        """The prompt formats of a dataset: its own, or those of the family."""
        return self.datasets[dataset].formats or self.formats

    @model_validator(mode="after")
    def _consistent(self) -> "Family":
        if (self.kind == "classification") != (self.labels is not None):
            raise ValueError("`labels` belong to a family of kind classification, and only there")
        if (self.kind == "chat") != (not self.formats):
            raise ValueError("`formats` are needed, but for kind chat, which has none")
        for name, dataset in self.datasets.items():
            self._check_gold(name, dataset)
            self._check_fields(name, dataset)
        for name, task in self.tasks.items():
            _known(f"tasks.{name}", [task.dataset, *task.in_domain], self.datasets, "dataset")
            if self.datasets[task.dataset].splits.train is None:
                raise ValueError(f"tasks.{name}: dataset {task.dataset!r} has no splits.train")
        return self

    def _check_gold(self, name: str, dataset: Dataset) -> None:
        has_choices = (dataset.choices is None) != (dataset.choice_texts is None)
        found = {
            "classification": dataset.label is not None,
            "generation": dataset.target is not None,
            "chat": dataset.messages is not None,
            "multiple_choice": dataset.answer is not None and has_choices,
        }
        wanted = {
            "classification": "label",
            "generation": "target",
            "chat": "messages",
            "multiple_choice": "answer, and choices or choice_texts",
        }
        if [kind for kind, given in found.items() if given] != [self.kind]:
            raise ValueError(f"datasets.{name}: a {self.kind} dataset needs {wanted[self.kind]}")
        if dataset.label is not None:
            named = dataset.label.names or list(dataset.label.values.values())
            _known(f"datasets.{name}.label", named, dataset.labels or self.labels, "label")
        _known(f"datasets.{name}.labels", dataset.labels or [], self.labels or [], "label")

    def _check_fields(self, name: str, dataset: Dataset) -> None:
        place = f"datasets.{name}.formats" if dataset.formats else "formats"
        for style, template in self.templates(name).items():
            for field in template_fields(template):
                if field not in dataset.fields:
                    raise ValueError(
                        f"{place}.{style} asks for the field {{{field}}}, which "
                        f"datasets.{name}.fields does not have ({', '.join(dataset.fields)})"
                    )


def _known(where: str, names, allowed, what: str) -> None:
    for name in names:
        if name not in allowed:
            raise ValueError(f"{where}: unknown {what} {name!r} (known: {', '.join(allowed)})")


class Data(Strict):
    """How many examples are used."""

    seed: Seed = 42
    train: Count | None = None
    """examples a task is fine-tuned on; all where not given"""
    train_of: dict[Part, Count] = {}
    """dataset -> examples, where not as many as ``train``"""
    shots: Count = 64
    """examples from which shots are drawn"""
    test: Count | None = None
    """examples that are scored; all where not given"""


class Evaluation(Strict):
    """What every arm is evaluated on: datasets x formats x shots."""

    datasets: Annotated[list[Part], Field(min_length=1)]
    formats: Annotated[list[Part], Field(min_length=1)]
    """a dataset is scored in those of these formats that its family has"""
    shots: Shots
    family_shots: dict[Part, Shots] = {}
    """family -> shots, where not as the others (multiple choice is scored without, as a rule)"""
    shots_seed: Seed = 0


class Bootstrap(Strict):
    """Resampling of examples for the intervals."""

    resamples: Annotated[int, Field(ge=100)] = 3000
    seed: Seed = 0


class Compute(Strict):
    """What one fine-tuning or evaluation job takes."""

    threads: Count = 1
    gpus: Annotated[int, Field(ge=0)] = 0


class Report(Strict):
    """How figures and report look."""

    language: Literal["en", "ja"] = "en"
    axis: Literal["index", "tokens"] = "index"
    """checkpoints evenly spaced, or on a log scale of pre-training tokens"""


class MethodGroup(Strict):
    """Arms of one method: tasks x seeds, with settings that a task may change."""

    tasks: Annotated[dict[Part, dict[str, object]], Field(min_length=1)]
    """task -> settings that differ for it"""
    seeds: Annotated[list[Seed], Field(min_length=1)] = [0]


def _group(method: str, settings: type) -> type[Strict]:
    return create_model(
        f"{method.title()}Group",
        __base__=MethodGroup,
        __doc__=MethodGroup.__doc__,
        settings=(strict_settings(settings), settings()),
    )


Finetune = create_model(
    "Finetune",
    __base__=Strict,
    __doc__="Fine-tuning methods of a study, each with its settings and tasks.",
    **{method: (_group(method, settings) | None, None) for method, settings in METHODS.items()},
)


class Study(Strict):
    """A file of config/: one grid."""

    study: Name
    description: str = ""
    model: Name
    checkpoints: Annotated[list[Name], Field(min_length=1)]
    root: str | None = None
    """folder in the Hub's layout from which datasets are read; fetched where not given"""
    train_format: Part = "default"
    """format in which tasks are fine-tuned"""
    finetune: Finetune = Finetune()
    evaluate: Evaluation
    data: Data = Data()
    bootstrap: Bootstrap = Bootstrap()
    analysis: strict_settings(AnalysisSettings) = AnalysisSettings()
    compute: Compute = Compute()
    report: Report = Report()


SCHEMAS = {"study": Study, "model": Model, "family": Family}
