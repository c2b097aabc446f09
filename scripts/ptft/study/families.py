"""Types of a family file (config/families): prompt formats, scoring, datasets, tasks."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from ptft.data.rows import check_split, split_name
from ptft.errors import PlacedError
from ptft.evaluation.cells import MAIN_METRIC, TEXT_FORMAT
from ptft.prompts.templates import CHOICE
from ptft.study.columns import Answer, FieldSource, Label, Transform, TransformedField, check_texts
from ptft.study.family_checks import GOLD, NEEDED, PROMPTLESS, known_fields, require_known
from ptft.study.types import ONCE, Count, Name, Part, Repository, Strict

Kind = Literal["classification", "multiple_choice", "generation", "chat", "text"]
Split = Annotated[str, AfterValidator(check_split)]
Title = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^\S(.*\S)?$")]
Stop = Annotated[str, Field(min_length=1)]
Window = Annotated[int, Field(ge=2)]
WINDOW = 1024
"""tokens, where neither a dataset of text nor its family says how many"""


class Splits(Strict):
    """Splits of a dataset by their use, in the notation of `datasets` (``train[:64]``)."""

    train: Split | None = None
    """what a task is fine-tuned on"""
    shots: Split | None = None
    """what few-shot examples are drawn from; never evaluated; default: the train split"""
    test: Split | None = None
    """what is evaluated"""


class Dataset(Strict):
    """A dataset of a family: where it comes from and which columns fill the template.

    A column may be a path: ``choices.text`` (inside a struct), ``answers.0`` (inside a list).
    """

    title: Title | None = None
    """name in figures and report; default: the name itself"""
    repository: Repository | None = None
    """on the Hub, or in the study's `root` in the Hub's layout"""
    config: Name = "default"
    """configuration of the repository, as the Hub names it"""
    revision: Name | None = None
    """branch, tag or commit of the repository; default: its main branch"""
    files: Annotated[dict[Part, str], Field(min_length=1)] | None = None
    """instead of a repository: split -> JSONL, CSV or parquet file, or a pattern of them"""
    splits: Splits
    """which split is used for what"""
    fields: dict[Part, FieldSource] = {}
    """template field -> column"""
    formats: Annotated[dict[Part, str], Field(min_length=1)] | None = None
    """name -> template, if the family's do not fit this dataset"""
    label: Label | None = None
    """classification: the gold label"""
    labels: Annotated[list[str], Field(min_length=2), *ONCE] | None = None
    """classification: the labels to choose from, if not all of the family's"""
    target: str | None = None
    """generation: column of the gold text"""
    max_new_tokens: Count | None = None
    """generation: longest answer in tokens, if not the family's"""
    stop: list[Stop] | None = None
    """generation: strings that end the answer, if not the family's"""
    choices: str | list[str] | None = None
    """multiple choice: a column with the list of choices, or one column per choice"""
    choice_texts: Annotated[list[str], Field(min_length=2), *ONCE] | None = None
    """multiple choice: choices that are the same for all rows"""
    choice_transform: Transform | None = None
    """multiple choice: how each choice is rewritten"""
    choice_template: str | None = None
    """multiple choice: text of a choice, from {choice} and the fields"""
    continuation: FieldSource | None = None
    """multiple choice: text to score after each choice, which is then part of the context"""
    metric: Literal["acc", "acc_norm"] | None = None
    """multiple choice: the main metric, by log-likelihood, in total or per character"""
    answer: Answer | None = None
    """multiple choice: the right one"""
    messages: str | None = None
    """chat: column with the turns, each a role and a content"""
    text: FieldSource | None = None
    """text: column of a document"""
    window: Window | None = None
    """text: tokens that the model reads at once, if not the family's"""
    stride: Count | None = None
    """text: tokens that each window scores, if not the family's"""

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
            raise PlacedError(("files", "all"), "`all` is all splits together; take another name")
        if self.files is not None:
            for use, expression in self.splits.model_dump(exclude_none=True).items():
                require_known(
                    ("splits", use), [split_name(expression)], self.files, "split of `files`"
                )
        return self

    @model_validator(mode="after")
    def _as_many_texts(self) -> "Dataset":
        if self.choice_transform is not None:
            check_texts(("choice_transform",), self.choice_transform, 1)
        sources: dict[tuple[str, ...], FieldSource | None] = {
            **{("fields", name): source for name, source in self.fields.items()},
            ("continuation",): self.continuation,
            ("text",): self.text,
        }
        for loc, source in sources.items():
            if isinstance(source, TransformedField):
                several = isinstance(source.column, list)
                count = len(source.column) if several else 1
                check_texts((*loc, "column"), source.transform, count)
        return self


class Task(Strict):
    """A fine-tuning task: the train split of a dataset, and the sets that count as its own."""

    dataset: Part
    """dataset of this family, with a train split"""
    title: Title | None = None
    """name in figures and report; default: the title of its dataset"""
    in_domain: Annotated[list[Part], *ONCE] = []
    """the task's own test sets; none if no dataset is similar (instruction tuning)"""


class Family(Strict):
    """A file of config/families: prompt formats, scoring, datasets and tasks."""

    title: Title | None = None
    """name in figures and report; default: the name itself"""
    description: str = ""
    """description of its tasks"""
    kind: Kind
    """how its datasets are scored"""
    labels: Annotated[list[str], Field(min_length=2), *ONCE] | None = None
    """classification: the labels to choose from"""
    formats: dict[Part, str] = {}
    """name -> template with {fields}"""
    max_new_tokens: Count = 60
    """generation: longest answer in tokens"""
    stop: list[Stop] = ["\n"]
    """generation: strings that end the answer"""
    window: Window | None = None
    """text: tokens that the model reads at once; default 1024; at most its context"""
    stride: Count | None = None
    """text: tokens that each window scores, the others being context only; default:
    the window"""
    datasets: Annotated[dict[Part, Dataset], Field(min_length=1)]
    """name -> where its rows are and which columns are used"""
    tasks: dict[Part, Task] = {}
    """name -> fine-tuning task"""

    def templates(self, dataset: str) -> dict[str, str]:
        """The prompt formats of a dataset: its own, or those of the family.

        That of text holds nothing: it has no prompts.
        """
        if self.kind == "text":
            return {TEXT_FORMAT: ""}
        return self.datasets[dataset].formats or self.formats

    def metric(self, dataset: str) -> str:
        """The main metric of a dataset: its own, or that of the kind."""
        return self.datasets[dataset].metric or MAIN_METRIC[self.kind]

    def stops(self, dataset: str) -> list[str]:
        """What a generation ends before: the dataset's own, or the family's."""
        own = self.datasets[dataset].stop
        return self.stop if own is None else own

    def windows(self, dataset: str) -> tuple[int, int]:
        """Window and stride, in tokens, of a dataset of text."""
        own = self.datasets[dataset]
        window = own.window or self.window or WINDOW
        return window, own.stride or self.stride or window

    @model_validator(mode="after")
    def _consistent(self) -> "Family":
        if (self.kind == "classification") != (self.labels is not None):
            raise PlacedError(
                ("labels",), f"needed only in a family of kind classification; kind: {self.kind}"
            )
        if (self.kind in PROMPTLESS) != (not self.formats):
            kinds = " and ".join(PROMPTLESS)
            raise PlacedError(("formats",), f"needed except for kinds {kinds}; kind: {self.kind}")
        self._check_text()
        for name, dataset in self.datasets.items():
            self._check_gold(("datasets", name), dataset)
            if self.kind not in PROMPTLESS:
                self._check_templates(("datasets", name), dataset)
        for name, task in self.tasks.items():
            loc = ("tasks", name)
            require_known((*loc, "dataset"), [task.dataset], self.datasets, "dataset")
            require_known((*loc, "in_domain"), task.in_domain, self.datasets, "dataset")
            if self.datasets[task.dataset].splits.train is None:
                raise PlacedError((*loc, "dataset"), f"{task.dataset!r} has no splits.train")
        return self

    def _check_text(self) -> None:
        """Only text is read in windows; it has no prompts, and nothing is fine-tuned on it."""
        if self.kind != "text":
            for key in {"window", "stride"} & self.model_fields_set:
                raise PlacedError((key,), f"not for a family of kind {self.kind}")
            return
        for name in self.tasks:
            raise PlacedError(("tasks", name), "nothing is fine-tuned on text; remove the task")
        for name, dataset in self.datasets.items():
            loc = ("datasets", name)
            for key in {"formats", "fields"} & dataset.model_fields_set:
                raise PlacedError((*loc, key), "not for a dataset of kind text: it has no prompts")
            if dataset.splits.shots is not None:
                raise PlacedError((*loc, "splits", "shots"), "text has no prompts to show shots in")
            window, stride = self.windows(name)
            if stride > window:
                place = (*loc, "stride") if dataset.stride else ("stride",)
                raise PlacedError(
                    place,
                    f"found {stride}, expected at most the window of dataset {name!r}, {window} "
                    "tokens: those between two windows would not be scored",
                )

    def _check_gold(self, loc: tuple, dataset: Dataset) -> None:
        """A dataset says where the gold answer is in the way of its kind, and in no other."""
        for key in dataset.model_fields_set & {key for keys in GOLD.values() for key in keys}:
            if key not in GOLD[self.kind]:
                raise PlacedError((*loc, key), f"not for a dataset of kind {self.kind}")
        for key in NEEDED[self.kind]:
            if getattr(dataset, key) is None:
                raise PlacedError(loc, f"`{key}` is missing; kind {self.kind} needs it")
        if self.kind == "multiple_choice" and (dataset.choices is None) == (
            dataset.choice_texts is None
        ):
            raise PlacedError(loc, "give either `choices` or `choice_texts`")
        require_known((*loc, "labels"), dataset.labels or [], self.labels or [], "label")
        if dataset.label is not None:
            key = "names" if dataset.label.names else "values"
            named = dataset.label.names or list((dataset.label.values or {}).values())
            require_known((*loc, "label", key), named, dataset.labels or self.labels or [], "label")

    def _check_templates(self, loc: tuple, dataset: Dataset) -> None:
        own = (*loc, "formats") if dataset.formats else ("formats",)
        allowed = [*dataset.fields, *([CHOICE] if dataset.continuation is not None else [])]
        for format_name, template in self.templates(loc[-1]).items():
            found = known_fields((*own, format_name), template, allowed, f"{'.'.join(loc)}.fields")
            if dataset.continuation is not None and CHOICE not in found:
                raise PlacedError(
                    (*own, format_name), f"has no {{{CHOICE}}} to score a continuation of"
                )
            # The choices of a row can make the difference, as in minimal pairs.
            if not found and dataset.choices is None:
                raise PlacedError(
                    (*own, format_name), "has no {field}: all prompts would be the same"
                )
        if dataset.choice_template is not None:
            known = [CHOICE, *dataset.fields]
            place = (*loc, "choice_template")
            if CHOICE not in known_fields(
                place, dataset.choice_template, known, "choice and fields"
            ):
                raise PlacedError(place, "has no {choice}: all choices would be the same")


class Extension(Strict):
    """A file beside a study that adds to a family of the workflow and changes nothing of it."""

    SECTIONS: ClassVar[tuple[str, ...]] = ("formats", "datasets", "tasks")

    extends: Part
    """the family that is added to: a file of config/families, without .yaml"""
    formats: dict[Part, str] = {}
    """name -> template with {fields}, for all datasets of the family"""
    datasets: dict[Part, Dataset] = {}
    """name -> where its rows are and what in them is used"""
    tasks: dict[Part, Task] = {}
    """name -> fine-tuning task"""
