"""Cells: one score of a model on a dataset, in a format, with a number of shots.

What is asked of a model, the key under which a finished cell is kept, and the prompts that it
means: scoring, the audit and `show_prompts` take them from here. Importing this imports no torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired

from typing_extensions import TypedDict

from ptft.evaluation.metrics import NamedMetric, metric_hash
from ptft.models.folder import hash_files
from ptft.paths import cell_file, cell_name
from ptft.prompts.templates import select_shots

if TYPE_CHECKING:
    from ptft.models.loading import Target
    from ptft.prompts.encoding import Prompt

# Kinds of datasets, and the further ways of scoring that a plan may ask for beside the main one.
KINDS = {
    "classification": ("whole_label", "constrained", "free"),
    "multiple_choice": ("pmi",),
    "generation": (),
    "text": (),
    "harness": (),
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
CHAT_FORMAT = "chat"
"""the prompt format that is set by the chat template of the model's tokenizer"""
TEXT_FORMAT = "default"
"""what stands for the prompt format in the cells of text, which has no prompts"""
TASK_KEY = ("task", "lm_eval", "version", "digest", "changes", "shots", "members", "aggregated")
"""of a harness task, what decides its cells beside the documents that were prepared"""


def generates(kind: str, also: Collection[str], task: HarnessTask | None = None) -> bool:
    """Whether scoring a dataset of this kind, in these further ways too, takes generation.

    Args:
        task: of kind harness.
    """
    if task is not None:
        return task.get("output") == "generate_until"
    return kind == "generation" or "free" in also and "free" in KINDS[kind]


def scored_split(spec: HarnessTask) -> str:
    """The split of a harness task whose documents are scored."""
    return spec["splits"].get("test") or spec["splits"]["validation"]


def metric_name(metric: str, filtered: str) -> str:
    """Name of a metric of a harness task: as in the harness's results, but without ``,none``."""
    return metric if filtered == "none" else f"{metric},{filtered}"


@dataclass(frozen=True)
class CellRequest:
    """A request for one score: all that determines it, except model and data.

    Attributes:
        kind: one of ``KINDS``.
        labels: the label words of a classification, else None.
        also: further ways of scoring, each an extra column of accuracies (see ``KINDS``).
        max_new_tokens, stop: of a generation.
        generation_backend: what generates in place of the engine's usual way; None for that.
        metric: the main one, whose scores are the cell's; None for that of the kind.
        window, stride: of text, in tokens (see ``ptft.prompts.tokens``).
        chat: whether the tokenizer's chat template sets the prompt.
        metrics: further ones of a generation, each a ``NamedMetric`` as JSON.
        task: of lm-evaluation-harness, a ``HarnessTask`` as JSON; None for datasets of our own.
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
    shots_seed: int = 0
    generation_backend: str | None = None
    metric: str | None = None
    window: int | None = None
    stride: int | None = None
    metrics: tuple[str, ...] = ()
    chat: bool = False
    task: str | None = None

    @property
    def harness(self) -> HarnessTask | None:
        """The harness's task that it scores."""
        return None if self.task is None else json.loads(self.task)

    @property
    def members(self) -> list[str]:
        """Names of the cells that a group of the harness is made of; none of any other cell."""
        listed = (self.harness or {}).get("members", [])
        return [cell_name(dataset, self.format, shots) for dataset, shots in listed]

    @property
    def drawn(self) -> bool:
        """Whether its shots are drawn from a pool; those of the harness's tasks it draws itself."""
        return self.shots > 0 and self.task is None

    @property
    def name(self) -> str:
        """Its name among the cells of a model."""
        return cell_name(self.dataset, self.format, self.shots)

    @property
    def file(self) -> str:
        """Name of its file."""
        return cell_file(self.dataset, self.format, self.shots)


class HarnessTask(TypedDict, total=False):
    """A task or group of lm-evaluation-harness (``ptft.hub.harness``)."""

    __pydantic_config__ = {"extra": "forbid"}

    task: str
    """its name"""
    lm_eval: str
    """version of the harness"""
    version: str
    """of the task"""
    digest: str
    """of its configuration and code"""
    built_in: bool
    """whether its folder is below the harness's tasks"""
    folder: str
    """of its YAML file"""
    changes: dict[str, Any]
    """settings that a group changes"""
    output: str
    """type of its requests"""
    main: str
    """its main metric"""
    shots: int | None
    """examples in its prompts"""
    max_new_tokens: int
    splits: dict[str, str]
    """use -> split of its dataset"""
    repository: str
    config: str
    files: dict[str, list[str]]
    """split -> files of rows, instead of a repository"""
    builder: str
    """of `datasets`, for the files"""
    root: str
    """folder in the Hub's layout that holds the repository"""
    limit: int | None
    """documents, the first ones; None for all"""
    members: list[tuple[str, int]]
    """of a group: datasets and their shots"""
    aggregated: dict[str, bool]
    """of a group: metric -> whether members count by their size"""


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
    window: NotRequired[int]
    stride: NotRequired[int]
    metrics: NotRequired[list[NamedMetric]]
    task: NotRequired[HarnessTask]


class DerivedPlan(TypedDict):
    """How weights are derived from a model's, without training."""

    __pydantic_config__ = {"extra": "forbid"}

    derivation: str
    version: int
    strength: float
    seed: int
    members: NotRequired[list[str]]
    density: NotRequired[float]


class EvaluationPlan(TypedDict):
    """The scores asked of one checkpoint and arm, and of the arms derived from it."""

    __pydantic_config__ = {"extra": "forbid"}

    scoring_version: int
    shots_seed: int
    datasets: dict[str, Scoring]
    generation_backend: NotRequired[str]
    dtype: NotRequired[str]
    derived: NotRequired[dict[str, DerivedPlan]]


def cells_of_plan(plan: EvaluationPlan) -> list[CellRequest]:
    """Every cell of an evaluation plan, datasets in the plan's order."""
    cells = []
    for name, dataset in plan["datasets"].items():
        kind, also, task = dataset["kind"], tuple(dataset.get("also", ())), dataset.get("task")
        generating = generates(kind, also, task)
        same: dict[str, Any] = {
            "dataset": name,
            "kind": kind,
            "labels": tuple(labels) if (labels := dataset.get("labels")) else None,
            "also": also,
            "stop": tuple(dataset.get("stop", ())),
            "shots_seed": plan["shots_seed"],
            "generation_backend": plan.get("generation_backend") if generating else None,
            "metrics": tuple(json.dumps(m, sort_keys=True) for m in dataset.get("metrics", ())),
            "task": json.dumps(task, sort_keys=True) if task else None,
        }
        same |= {key: dataset.get(key) for key in ("max_new_tokens", "metric", "window", "stride")}
        for (format_name, template), shots in product(dataset["formats"].items(), dataset["shots"]):
            chat = kind != "text" and format_name == CHAT_FORMAT
            cell = {"format": format_name, "template": template, "shots": shots, "chat": chat}
            cells.append(CellRequest(**same, **cell))
    return cells


def require_backend(name: str | None) -> None:
    """Refuse a generation backend that cannot run here; None always can.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    if name == "vllm" and find_spec("vllm") is None:
        raise ModuleNotFoundError(
            "evaluate.generation_backend: found vllm, which is not installed here; leave the key "
            "out to generate with transformers, or install it: pip install -e '.[vllm]'"
        )


def cell_key(
    cell: CellRequest,
    model_hash: str,
    data: Path,
    scoring_version: int,
    target: Target,
    base_hash: str | None = None,
) -> str:
    """Name of a cell's file in the store: a hash of all that determines its content.

    The names of format and dataset stay out: they do not change a score, so a renamed format
    is not computed again. Neither do the shots change a cell without any.

    Args:
        base_hash: of the model that a tuned one is compared with; it counts for text alone.
    """
    parts = asdict(cell)
    del parts["dataset"], parts["format"], parts["metrics"], parts["task"]
    if cell.harness:
        # Where rows are read from decides nothing: what was prepared of them counts.
        parts["task"] = {key: cell.harness.get(key) for key in TASK_KEY}
    if cell.metrics:
        parts["metrics"] = [
            metric | {"folder": metric_hash(metric)} for metric in map(json.loads, cell.metrics)
        ]
    for part in ("generation_backend", "window", "stride"):
        if parts[part] is None:
            del parts[part]
    if not cell.chat:
        del parts["chat"]
    if cell.kind == "text" and base_hash is not None:
        parts["base"] = base_hash
    splits = ["test", "shots"] if cell.drawn else ["test"]
    if not cell.drawn:
        del parts["shots_seed"]
    parts |= {
        "model": model_hash,
        "data": _hash_splits(data / cell.dataset, *splits),
        "scoring_version": scoring_version,
        **asdict(target),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def _hash_splits(folder: Path, *splits: str) -> str:
    return hash_files([folder / f"{split}.jsonl" for split in splits])


def cell_shots(cell: CellRequest, pool: Sequence[Mapping]) -> Sequence[Mapping]:
    """The shots of a cell, drawn from a pool.

    Raises:
        ValueError: the pool holds too few.
    """
    return select_shots(pool, cell.shots, cell.shots_seed, balanced=cell.kind != "generation")


def cell_prompts(
    tokenizer,
    cell: CellRequest,
    shots: Sequence[Mapping],
    examples: Sequence[Mapping],
    max_length: int,
) -> list[Prompt]:
    """The prompts of a cell's examples, cut to the model's context where they have to be.

    Raises:
        ValueError: an example does not fit even so.
    """
    from ptft.prompts.encoding import encode_examples  # imports numpy, the Snakefile this module

    reserve = cell.max_new_tokens or 0 if generates(cell.kind, cell.also) else 0
    return encode_examples(
        tokenizer,
        cell.template,
        shots,
        examples,
        lambda row: _continuations(cell, row),
        max_length,
        reserve,
        cell.chat,
    )


def _continuations(cell: CellRequest, row: Mapping) -> Sequence[str]:
    """Texts that are scored behind a context; the first sub-tokens of labels come beside them."""
    if cell.kind == "multiple_choice":
        return row["choices"]
    whole = {"whole_label", "constrained"} & set(cell.also)
    return cell.labels or () if whole else ()
