"""Cells: one score of a model on a dataset, in a format, with a number of shots."""

from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from ptft.paths import cell_file, cell_name

# Kinds of datasets, and the further ways of scoring that a plan may ask for beside the main one.
KINDS = {
    "classification": ("whole_label", "constrained", "free"),
    "multiple_choice": ("pmi",),
    "generation": (),
    "text": (),
}
MAIN_METRIC = {
    "classification": "accuracy",
    "multiple_choice": "acc_norm",
    "generation": "rougeL",
    "text": "bits_per_byte",
}
"""of each kind, where a dataset names no other"""
OWN_WEIGHTS = ("vllm",)
"""generation backends that hold the model a second time"""
TEXT_FORMAT = "default"
"""what stands for the prompt format in the cells of text, which has no prompts"""


def generates(kind: str, also: Collection[str]) -> bool:
    """Whether scoring a dataset of this kind, in these further ways too, takes generation."""
    return kind == "generation" or "free" in also and "free" in KINDS[kind]


@dataclass(frozen=True)
class CellRequest:
    """What is asked of a model: all that determines the result, except model and data.

    Attributes:
        kind: one of ``KINDS``.
        labels: the label words of a classification, else None.
        also: further ways of scoring, each an extra column of accuracies (see ``KINDS``).
        max_new_tokens, stop: of a generation.
        max_examples: evaluate only the first test rows, up to this number; None for all.
        generation_backend: what generates in place of the engine's usual way; None for that.
        metric: the main one, whose scores are the cell's; None for that of the kind.
        window, stride: of text, in tokens (see ``ptft.prompts.tokens``).
    """

    dataset: str
    format: str
    shots: int
    kind: str
    template: str
    labels: tuple[str, ...] | None = None
    also: tuple[str, ...] = ()
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()
    max_examples: int | None = None
    shots_seed: int = 0
    generation_backend: str | None = None
    metric: str | None = None
    window: int | None = None
    stride: int | None = None

    @property
    def name(self) -> str:
        """Its name among the cells of a model."""
        return cell_name(self.dataset, self.format, self.shots)

    @property
    def file(self) -> str:
        """Name of its file."""
        return cell_file(self.dataset, self.format, self.shots)


class Scoring(TypedDict):
    """How a dataset is scored."""

    __pydantic_config__ = {"extra": "forbid"}

    kind: Literal[tuple(KINDS)]
    metric: NotRequired[str]
    labels: NotRequired[list[str] | None]
    also: NotRequired[list[str]]
    formats: dict[str, str]
    shots: list[int]
    max_new_tokens: NotRequired[int | None]
    stop: NotRequired[list[str]]
    max_examples: NotRequired[int | None]
    window: NotRequired[int]
    stride: NotRequired[int]


class DerivedPlan(TypedDict):
    """How weights are derived from a model's, without training."""

    __pydantic_config__ = {"extra": "forbid"}

    derivation: str
    version: int
    strength: float
    seed: int


class EvaluationPlan(TypedDict):
    """What is scored of one checkpoint and arm, and of the arms derived from it."""

    __pydantic_config__ = {"extra": "forbid"}

    scoring_version: int
    shots_seed: int
    datasets: dict[str, Scoring]
    generation_backend: NotRequired[str]
    derived: NotRequired[dict[str, DerivedPlan]]


def cells_of_plan(plan: EvaluationPlan) -> list[CellRequest]:
    """Every cell of an evaluation plan, datasets in the plan's order.

    Raises:
        ValueError: a dataset's kind is unknown, or lacks what its kind needs.
    """
    cells = []
    for name, dataset in plan["datasets"].items():
        kind = dataset["kind"]
        if kind not in KINDS:
            raise ValueError(f"dataset {name}: kind {kind!r} is not one of {', '.join(KINDS)}")
        if kind == "classification" and len(dataset.get("labels") or ()) < 2:
            raise ValueError(f"dataset {name}: a classification needs two labels or more")
        also = tuple(dataset.get("also") or ())
        if unknown := set(also) - set(KINDS[kind]):
            raise ValueError(
                f"dataset {name}: {kind} cannot also be scored by {', '.join(sorted(unknown))} "
                f"(known: {', '.join(KINDS[kind]) or 'none'})"
            )
        generating = generates(kind, also)
        if generating and not dataset.get("max_new_tokens"):
            raise ValueError(f"dataset {name}: a generation needs max_new_tokens")
        if kind == "text" and not (dataset.get("window") and dataset.get("stride")):
            raise ValueError(f"dataset {name}: text needs a window and a stride")
        for format_name, template in dataset["formats"].items():
            for shots in dataset["shots"]:
                cells.append(
                    CellRequest(
                        dataset=name,
                        format=format_name,
                        shots=shots,
                        kind=kind,
                        template=template,
                        labels=tuple(dataset["labels"]) if dataset.get("labels") else None,
                        also=also,
                        max_new_tokens=dataset.get("max_new_tokens"),
                        stop=tuple(dataset.get("stop") or ()),
                        max_examples=dataset.get("max_examples"),
                        shots_seed=plan["shots_seed"],
                        generation_backend=plan.get("generation_backend") if generating else None,
                        metric=dataset.get("metric"),
                        window=dataset.get("window"),
                        stride=dataset.get("stride"),
                    )
                )
    return cells


def require_backend(name: str | None) -> None:
    """Refuse a generation backend that cannot run here; None and ``cuda_graphs`` always can.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    if name == "vllm" and find_spec("vllm") is None:
        raise ModuleNotFoundError(
            "evaluate.generation_backend: found vllm, which is not installed here; leave the key "
            "out to generate with transformers, or install it: pip install -e '.[vllm]'"
        )
