"""Types of a family file (config/families): prompt formats, scoring, datasets, tasks."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ptft.prompts import template_fields
from ptft.rows import split_name
from ptft.study.types import Count, Name, Part, Repository, Strict
from ptft.transforms import TRANSFORMS

Kind = Literal["classification", "multiple_choice", "generation", "chat"]
Transform = Literal[tuple(TRANSFORMS)]
MAIN_METRIC = {"classification": "accuracy", "multiple_choice": "acc_norm", "generation": "rougeL"}


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
    """that holds it"""
    values: dict[bool | int | str, str] | None = None
    """value of the column -> label of the family"""
    above: float | None = None
    """a score above this is the second of ``names``, any other the first"""
    names: Annotated[list[str], Field(min_length=2, max_length=2)] | None = None
    """the labels up to ``above`` and over it"""

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
    """that tells the right choice"""
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
    """whose value decides"""
    values: dict[bool | int | str, str]
    """value of the column -> text"""


class PickedField(Strict):
    """A template field whose text stands in one of several columns: which, another column says."""

    column: str
    """that says which"""
    columns: dict[bool | int | str, str]
    """value of ``column`` -> the column that is taken"""


class TransformedField(Strict):
    """A template field whose text is a column's, rewritten."""

    column: str
    """whose text is taken"""
    transform: Transform
    """name of the rewrite, a function of scripts/ptft/transforms.py"""


class Dataset(Strict):
    """A dataset of a family: where it comes from and which columns fill the template.

    A column may be a path: ``choices.text`` (inside a struct), ``answers.0`` (inside a list).
    """

    repository: Repository | None = None
    """on the Hub, or in the study's `root` in the Hub's layout"""
    config: Name = "default"
    """of the repository, as the Hub names it"""
    revision: Name | None = None
    """branch, tag or commit of the repository; its main branch where not given"""
    files: Annotated[dict[Part, str], Field(min_length=1)] | None = None
    """instead of a repository: split -> JSONL, CSV or parquet file, or a pattern of them"""
    splits: Splits
    """which split is used for what"""
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
    max_new_tokens: Count | None = None
    """generation: longest answer, where not the family's"""
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
    """of this family, with a train split"""
    in_domain: list[Part] = []
    """test sets of the task's own; none where nothing is like it (instruction tuning)"""


class Family(Strict):
    """A file of config/families: prompt formats, scoring, datasets and tasks."""

    description: str = ""
    """what its tasks are, in words"""
    kind: Kind
    """how its datasets are scored"""
    labels: Annotated[list[str], Field(min_length=2)] | None = None
    """classification: the words to choose from"""
    formats: dict[Part, str] = {}
    """name -> template with {fields}"""
    max_new_tokens: Count = 60
    """generation: longest answer"""
    stop: list[str] = ["\n"]
    """generation ends before any of these"""
    datasets: Annotated[dict[Part, Dataset], Field(min_length=1)]
    """name -> where its rows are and which columns are used"""
    tasks: dict[Part, Task] = {}
    """name -> what is fine-tuned on"""

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
