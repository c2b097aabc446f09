"""Types of a family file (config/families): prompt formats, scoring, datasets, tasks.

Three parts: how columns become labels, right choices and template fields; the datasets and the
family; checks of the names in it.
"""

from collections.abc import Collection, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from ptft.data.mapping import TRANSFORMS
from ptft.data.rows import check_split, split_name
from ptft.errors import PlacedError, suggest
from ptft.evaluation.cells import MAIN_METRIC, TEXT_FORMAT
from ptft.prompts.templates import CHOICE, template_fields
from ptft.study.types import ONCE, Count, Name, Part, Repository, Strict

if TYPE_CHECKING:
    Transform = str
else:
    Transform = Literal[tuple(TRANSFORMS)]

Kind = Literal["classification", "multiple_choice", "generation", "chat", "text"]
Split = Annotated[str, AfterValidator(check_split)]
Title = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^\S(.*\S)?$")]
Stop = Annotated[str, Field(min_length=1)]
Window = Annotated[int, Field(ge=2)]
WINDOW = 1024
"""tokens, where neither a dataset of text nor its family says how many"""
PROMPTLESS = ("chat", "text")
"""kinds without prompt formats"""
# Keys of a dataset that say what its gold answers are, by kind; and those it can't do without.
GOLD = {
    "classification": ("label", "labels", "max_new_tokens", "stop"),
    "multiple_choice": (
        *("answer", "choices", "choice_texts", "choice_transform", "choice_template"),
        *("continuation", "metric"),
    ),
    "generation": ("target", "max_new_tokens", "stop", "metrics"),
    "chat": ("messages",),
    "text": ("text", "window", "stride"),
}
# Columns of the scores of generations; metrics by name come beside them.
OWN_SCORES = {"score", "rouge1", "rouge2", "rougeL", "rougeLsum", "exact_match", "f1"}
NEEDED = {
    "classification": ("label",),
    "multiple_choice": ("answer",),
    "generation": ("target",),
    "chat": ("messages",),
    "text": ("text",),
}


# Columns ------------------------------------------------------------------------------------------


class Label(Strict):
    """Where a classification label is and how it is named."""

    column: str
    """column with the label"""
    values: dict[bool | int | str, str] | None = None
    """value of the column -> label of the family"""
    above: float | None = None
    """a value above this gets the second of ``names``, any other the first"""
    names: Annotated[list[str], Field(min_length=2, max_length=2), *ONCE] | None = None
    """labels for values up to ``above`` and above it"""

    @model_validator(mode="after")
    def _one_way(self) -> "Label":
        if (self.values is None) == (self.above is None) or (self.above is None) != (
            self.names is None
        ):
            raise ValueError("give either `values`, or `above` and `names`")
        return self


class Answer(Strict):
    """Where the right choice of a multiple-choice question is."""

    column: str | None = None
    """column with the right choice"""
    values: dict[bool | int | str, int] | None = None
    """value of the column -> index of the choice, from 0; without it, the value is the index"""
    among: str | None = None
    """column with the list of names (A, B, ...) of which the answer is one"""
    index: int | None = None
    """index of the right choice, if always the same"""

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
    """column whose value decides"""
    values: dict[bool | int | str, str]
    """value of the column -> text"""


class PickedField(Strict):
    """A template field whose text is in one of several columns; another column says which."""

    column: str
    """column that says which"""
    columns: dict[bool | int | str, str]
    """value of ``column`` -> the column to use"""


class TransformedField(Strict):
    """A template field whose text is computed from one or several columns."""

    column: str | Annotated[list[str], Field(min_length=1)]
    """column, or several for a transform of several texts"""
    transform: Transform
    """name of a function of scripts/ptft/data/mapping.py"""


def _source_kind(value: object) -> str:
    """Which of the ways to fill a field is meant, so that a mistake in it is explained by it."""
    if not isinstance(value, Mapping):
        return type(value).__name__ if isinstance(value, Strict) else "Column"
    if "transform" in value:
        return "TransformedField"
    return "PickedField" if "columns" in value else "MappedField"


FieldSource = Annotated[
    Annotated[str, Tag("Column")]
    | Annotated[MappedField, Tag("MappedField")]
    | Annotated[PickedField, Tag("PickedField")]
    | Annotated[TransformedField, Tag("TransformedField")],
    Discriminator(_source_kind),
]


def check_texts(loc: tuple, transform: str, found: int) -> None:
    """Refuse a transform that takes another number of texts."""
    wanted = len(signature(TRANSFORMS[transform]).parameters)
    if found != wanted:
        raise PlacedError(loc, f"transform {transform!r} takes {wanted} texts, found {found}")


# Datasets and families ----------------------------------------------------------------------------


class Splits(Strict):
    """Splits of a dataset by their use, in the notation of `datasets` (``train[:64]``)."""

    train: Split | None = None
    """what a task is fine-tuned on"""
    shots: Split | None = None
    """what few-shot examples are drawn from; never evaluated; default: the train split"""
    test: Split | None = None
    """what is evaluated"""


class Metric(Strict):
    """A metric of the package `evaluate`, beside the usual ones of generations."""

    name: Part
    """name of its module, and of its scores"""
    path: str | None = None
    """folder with NAME.py, relative to the working directory; default: fetched from the Hub"""
    repository: Repository | None = None
    """Space of the Hub that it is fetched from; default: evaluate-metric/NAME"""
    revision: Name = "main"
    """branch, tag or commit of the Space"""
    options: dict[str, Any] = {}
    """of its `compute`: {word_order: 2}"""
    score: str | None = None
    """which of its results counts; default: the one called as itself, `score`, or the only one"""
    per: Literal["example", "corpus"] = "example"
    """what it is computed of; that of a corpus (BLEU) has the corpus's value and the jackknife's
    interval"""

    @property
    def space(self) -> str:
        """The Space that it is fetched from."""
        return self.repository or f"evaluate-metric/{self.name}"


def _metric(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


NamedMetric = Annotated[Metric, BeforeValidator(_metric)]


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
    metrics: list[NamedMetric] | None = None
    """generation: further metrics of `evaluate`, if not the family's"""
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
    metrics: list[NamedMetric] = []
    """generation: further metrics of `evaluate`, by name (chrf) or with more details"""
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

    def kind_of(self, dataset: str) -> str:
        """The kind that analyses take a dataset for."""
        return self.kind

    def metric(self, dataset: str) -> str:
        """The main metric of a dataset: its own, or that of the kind."""
        return self.datasets[dataset].metric or MAIN_METRIC[self.kind]

    def stops(self, dataset: str) -> list[str]:
        """Strings that end a generation: the dataset's own, or the family's."""
        own = self.datasets[dataset].stop
        return self.stop if own is None else own

    def named_metrics(self, dataset: str) -> list[Metric]:
        """Metrics of `evaluate` that a dataset of generations is scored by, too."""
        own = self.datasets[dataset].metrics
        return self.metrics if own is None else own

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
        self._check_metrics()
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

    def _check_metrics(self) -> None:
        """Only generations have metrics of `evaluate`, each once, under names of their own."""
        if self.kind != "generation" and "metrics" in self.model_fields_set:
            raise PlacedError(("metrics",), f"not for a family of kind {self.kind}")
        listed = [(("datasets", name), dataset.metrics) for name, dataset in self.datasets.items()]
        for loc, metrics in [((), self.metrics), *listed]:
            names = [metric.name for metric in metrics or []]
            for number, name in enumerate(names):
                if name in OWN_SCORES or names.count(name) > 1:
                    reason = "is that of a usual score" if name in OWN_SCORES else "is named twice"
                    raise PlacedError(
                        (*loc, "metrics", number), f"{name!r} {reason}; take another name"
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


# Names --------------------------------------------------------------------------------------------


def known_fields(loc: tuple, template: str, known: Collection[str], source: str) -> list[str]:
    """Names of a template's fields, each of which must be known."""
    try:
        found = template_fields(template)
    except ValueError as error:
        message = (
            f"{template!r} is not a template ({error}); write a brace that is text as {{{{ or }}}}"
        )
        raise PlacedError(loc, message) from None
    for field in found:
        if field not in known:
            raise PlacedError(
                loc,
                f"asks for the field {{{field}}}, which {source} lacks; {suggest(field, known)}",
            )
    return found


def require_known(loc: tuple, names: Collection[str], allowed: Collection[str], what: str) -> None:
    """Each name must be known; ``what`` it is appears in the message."""
    for name in names:
        if name not in allowed:
            raise PlacedError(loc, f"unknown {what} {name!r}; {suggest(name, list(allowed))}")
