"""Tasks of lm-evaluation-harness on our engine: its own code makes the requests and the metrics.

A task is built over rows that were fetched before, so that no job asks a network. Preparing it
writes its documents with their requests, which are checked, shown and hashed like the examples of
other datasets; scoring builds the same requests again and answers them.
"""

from __future__ import annotations

import contextlib
import json
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nltk
import numpy as np
import polars as pl
from lm_eval import evaluator
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.tasks import TaskManager
from typing_extensions import TypedDict

from ptft import paths
from ptft.data.rows import split_files
from ptft.evaluation.cells import CellRequest, HarnessTask, metric_name, scored_split
from ptft.evaluation.harness_model import EngineLM, HarnessError, unwatched
from ptft.evaluation.metrics import jackknife
from ptft.evaluation.results import CellResults, linearised
from ptft.files import read_all, write_examples

if TYPE_CHECKING:  # torch and transformers, without which tasks are prepared
    from ptft.inference.engine import Engine, OnProgress

SEEDS = {"python": 0, "numpy": 1234, "shots": 1234}
"""of the harness's own calls"""
COMMON = ("example_id", "prediction", "gold", "logprobs", "prompt_tokens", "truncated")
"""columns that a group takes over from its members"""


class TaskSlice(TypedDict):
    """All that decides the documents of a task (``ptft.study.slices.task_slice``)."""

    __pydantic_config__ = {"extra": "forbid"}

    version: int
    task: HarnessTask


# Tasks --------------------------------------------------------------------------------------------


def load_task(spec: HarnessTask) -> ConfigurableTask:
    """The harness's own task, over rows that are on disk.

    What it downloads by nltk goes into a folder of this working directory: prepare it once where
    there is a network, score it anywhere.

    Raises:
        HarnessError: it can't be built.
    """
    needs = Path(paths.HARNESS_NEEDS)
    with contextlib.suppress(OSError):
        needs.mkdir(parents=True, exist_ok=True)
    if str(needs.absolute()) not in nltk.data.path:
        nltk.data.path.insert(0, str(needs.absolute()))
    random.seed(SEEDS["python"])
    np.random.seed(SEEDS["numpy"])
    shots = spec["shots"] or 0
    own = {
        **spec["changes"],
        **({} if shots else _without_shots(spec)),
        "num_fewshot": shots,
        "custom_dataset": lambda **_: _rows(spec, bool(shots)),
        "dataset_kwargs": None,
    }
    try:
        asked = {"group": "asked", "task": [{**own, "task": spec["task"]}]}
        task = _manager(_folder(spec)).load(asked)["tasks"][spec["task"]]
    except Exception as error:  # of whatever the task's files and code do
        raise HarnessError(
            f"task {spec['task']}: can't be built: {type(error).__name__}: {error}"
        ) from error
    task.set_fewshot_seed(SEEDS["shots"])
    return task


def _folder(spec: HarnessTask) -> str:
    import lm_eval.tasks

    own = Path(lm_eval.tasks.__file__).parent
    return str((own / spec["folder"]) if spec["built_in"] else Path(spec["folder"]).absolute())


@cache
def _manager(folder: str) -> TaskManager:
    """Of one folder: the whole index takes seconds."""
    return TaskManager(include_path=folder, include_defaults=False)


def _without_shots(spec: HarnessTask) -> dict[str, None]:
    """Without shots only the rows that are scored are wanted."""
    unread = {"train": "training_split", "shots": "fewshot_split"}
    if "test" in spec["splits"]:
        unread["validation"] = "validation_split"
    scored = scored_split(spec)
    return {key: None for use, key in unread.items() if spec["splits"].get(use, scored) != scored}


def _rows(spec: HarnessTask, shots: bool) -> Any:
    """The splits of a task as its dataset.

    Args:
        shots: whether examples are shown in prompts, from whatever split.
    """
    import datasets
    from pyarrow import parquet

    wanted = list(spec["splits"].values()) if shots else [scored_split(spec)]
    if "files" in spec:
        with tempfile.TemporaryDirectory() as cache_dir:
            read = datasets.load_dataset(
                spec["builder"],
                data_files=spec["files"],
                cache_dir=cache_dir,
                keep_in_memory=True,
            )
        return read
    files = split_files(Path(spec["root"]), dict(spec))
    tables = {name: parquet.read_table(files[name]) for name in dict.fromkeys(wanted)}
    return datasets.DatasetDict(
        {name: datasets.Dataset(datasets.table.InMemoryTable(t)) for name, t in tables.items()}
    )


def prepare_task(spec: HarnessTask, name: str, output: Path, audit: Path) -> None:
    """Write the documents of a task, each with the requests that it makes, and what was found.

    The task is asked for its metrics of empty answers, too: what fails, or downloads something,
    does so here and not in a job of hours.

    Args:
        name: of the dataset, for example ids.
        output, audit: as ``ptft.data.prepare.prepare_split`` writes them.

    Raises:
        HarnessError: it can't be built, or gives no main metric.
    """
    task = load_task(spec)
    samples = samples_of(task, _Silent(), spec["limit"], chat=False)
    first = next(iter(samples.values()))
    metrics = {metric_name(key, one) for one in samples for key in samples[one][0]["metrics"]}
    if spec["main"] not in metrics:
        raise HarnessError(
            f"task {spec['task']}: gives {', '.join(sorted(metrics))}, expected {spec['main']}"
        )
    rows = [{"example_id": f"{name}-{one['doc_id']}", **_example(task, one)} for one in first]
    _write(rows, len(task.eval_docs), scored_split(spec), output, audit)


def prepare_group(members: Sequence[Path], output: Path, audit: Path) -> None:
    """Write the documents of a group's members, which make no further requests."""
    rows = [
        {key: value for key, value in row.items() if key != "requests"}
        for file in members
        for row in read_all(file)
    ]
    _write(rows, len(rows), "test", output, audit)


def _write(rows: list[dict], total: int, split: str, output: Path, audit: Path) -> None:
    write_examples(rows, output)
    asked = {json.dumps([row["fields"], row.get("choices")]) for row in rows}
    found = {
        "split": split,
        "rows": total,
        "kept": total,
        "drawn": len(rows),
        "dropped": {},
        "gold": {},
        "duplicates": len(rows) - len(asked),
        "empty_fields": sum(not row["fields"]["prompt"] for row in rows),
        "warnings": [],
    }
    audit.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")


def _example(task: ConfigurableTask, sample: Mapping[str, Any]) -> dict[str, Any]:
    """A document: its first prompt, its gold answer, and all of its requests."""
    prompt, gold = sample["arguments"][0][0], _gold(task, sample)
    choices = _choices(task, sample) if isinstance(gold, int) else None
    return {
        "fields": {"prompt": prompt},
        "gold": gold,
        **({"choices": choices} if choices else {}),
        "requests": [
            [None if context == prompt else context, *rest]
            for context, *rest in sample["arguments"]
        ],
    }


def _choices(task: ConfigurableTask, sample: Mapping[str, Any]) -> list[str]:
    return [str(choice) for choice in task.doc_to_choice(sample["doc"])]


def _gold(task: ConfigurableTask, sample: Mapping[str, Any]) -> int | str:
    """The number of the right choice, where a task has such; else the target as text."""
    target = sample["target"]
    if task.OUTPUT_TYPE == "multiple_choice":
        target = task.doc_to_text(sample["doc"]) if task.multiple_input else target
        choices = _choices(task, sample)
        if isinstance(target, str) and target in choices:
            target = choices.index(target)
        if isinstance(target, int) and 0 <= target < len(choices):
            return target
    return "" if task.OUTPUT_TYPE == "loglikelihood_rolling" else str(target)


class _Silent(LM):
    """Gives the least likely and shortest answers, without a model."""

    def loglikelihood(self, requests: list) -> list[tuple[float, bool]]:
        return [(-1.0, False)] * len(requests)

    def loglikelihood_rolling(self, requests: list) -> list[float]:
        return [-1.0] * len(requests)

    def generate_until(self, requests: list) -> list[str]:
        return [""] * len(requests)


# Cells --------------------------------------------------------------------------------------------


def score_task(
    engine: Engine,
    cell: CellRequest,
    rows: Sequence[Mapping[str, Any]],
    progress: OnProgress = unwatched,
) -> CellResults:
    """Score the documents of a task.

    Args:
        rows: the first documents, as they were prepared.

    Raises:
        HarnessError: the task has other documents than were prepared, or can't be scored.
    """
    spec = cell.harness
    assert spec is not None
    if cell.chat and not engine.loaded.tokenizer.chat_template:
        raise HarnessError(
            "evaluate.formats: found chat, but the model's tokenizer has no chat template; leave "
            "the format out, or take an instruction-tuned model"
        )
    task = load_task(spec)
    model = EngineLM(engine, progress, len(rows))
    samples = samples_of(task, model, len(rows), cell.chat)
    first = next(iter(samples.values()))
    if not cell.chat:
        for row, one in zip(rows, first, strict=True):
            if row["fields"]["prompt"] != one["arguments"][0][0]:
                raise HarnessError(
                    f"{row['example_id']} has another prompt than was prepared: delete its "
                    "folder of datasets, and call snakemake again"
                )
    extra = _metrics(task, samples)
    if spec["main"] not in extra:
        raise HarnessError(f"task {spec['task']}: {spec['main']} is no finite number")
    logprobs = [_logprobs(task, one) for one in first]
    return CellResults(
        example_id=[row["example_id"] for row in rows],
        predicted=[_said(task, one, spec["main"]) for one in first],
        gold=[None if task.OUTPUT_TYPE == "loglikelihood_rolling" else row["gold"] for row in rows],
        logprobs=logprobs,
        prompt_tokens=[model.prompt_tokens[one["doc_id"]] for one in first],
        truncated=[one["doc_id"] in model.truncated for one in first],
        extra=extra,
    )


def samples_of(
    task: ConfigurableTask, model: LM, limit: int | None, chat: bool
) -> dict[str, list[dict[str, Any]]]:
    """Filter -> what the harness notes of each document, in order.

    Raises:
        HarnessError: whatever goes wrong in its code or the task's.
    """
    try:
        found = evaluator.evaluate(
            model,
            {"tasks": {task.task_name: task}, "groups": {}, "group_map": {}},
            limit=limit,
            bootstrap_iters=0,
            apply_chat_template=chat,
            fewshot_as_multiturn=chat,
        )
    except (FloatingPointError, MemoryError, HarnessError):
        raise
    except Exception as error:
        raise HarnessError(f"task {task.task_name}: {type(error).__name__}: {error}") from error
    noted: dict[str, list[dict[str, Any]]] = {}
    for sample in found["samples"][task.task_name]:
        noted.setdefault(sample["filter"], []).append(sample)
    return {name: sorted(each, key=lambda one: one["doc_id"]) for name, each in noted.items()}


def _metrics(
    task: ConfigurableTask, samples: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, list[float]]:
    """Of each metric one value per document, whose mean is what the harness computes."""
    found = {}
    for filtered, noted in samples.items():
        for metric in dict.fromkeys(name for one in noted for name in one["metrics"]):
            items = [one[metric] if metric in one["metrics"] else None for one in noted]
            with contextlib.suppress(TypeError, ValueError, ArithmeticError):
                values = _values(task.aggregation().get(metric), items)
                if np.isfinite(values).all():
                    found[metric_name(metric, filtered)] = values
    return found


def _values(aggregated: Callable[[list], float] | None, items: Sequence[Any]) -> list[float]:
    """A metric's value of each document.

    A mean over those documents that have one is a ratio of sums; what is no mean (F1, perplexity,
    BLEU) has the jackknife's values.
    """
    from lm_eval.api.metrics import mean

    known = [at for at, item in enumerate(items) if item is not None]
    if aggregated is None or aggregated is mean:
        values = [0.0 if item is None else float(item) for item in items]
        if len(known) == len(items):
            return values
        return linearised(values, [float(item is not None) for item in items])

    def compute(kept: Sequence[int]) -> float:
        return float(aggregated([items[at] for at in kept if items[at] is not None]))

    return jackknife(len(items), compute)


def _logprobs(task: ConfigurableTask, sample: Mapping[str, Any]) -> list[float] | None:
    """Log-likelihoods of the choices; None where there are none to choose from."""
    if task.OUTPUT_TYPE != "multiple_choice":
        return None
    return [answers[0][0] for answers in sample["resps"]][: len(_choices(task, sample))]


def _said(task: ConfigurableTask, sample: Mapping[str, Any], main: str) -> int | str | None:
    """The model's answer: the choice that the main metric takes, or a text."""
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return None
    if task.OUTPUT_TYPE == "multiple_choice":
        logprobs = np.array(_logprobs(task, sample))
        lengths = [len(choice) or 1 for choice in _choices(task, sample)]
        return int(np.argmax(logprobs / lengths if main.startswith("acc_norm") else logprobs))
    answer = sample["resps"][0][0]
    return answer if isinstance(answer, str) else str(answer[1])


def group_frame(cell: CellRequest, members: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The cell of a group from those of its members: its mean is the harness's.

    Where members count alike, whatever their size, a document's value is the group's mean and its
    distance to its member's, stretched so that the mean has the error of a mean of means.
    """
    spec = cell.harness
    assert spec is not None
    total = sum(map(len, members))
    columns = {}
    for name, by_size in spec["aggregated"].items():
        if not all(name in frame.columns for frame in members):
            continue
        values = [frame[name].to_numpy() for frame in members]
        if not by_size:
            means = [value.mean() for value in values]
            values = [
                np.mean(means) + (value - mean) * total / (len(members) * len(value))
                for value, mean in zip(values, means, strict=True)
            ]
        columns[name] = np.concatenate(values)
    if spec["main"] not in columns:
        raise HarnessError(f"group {spec['task']}: not all members have {spec['main']}")
    common = pl.concat([frame.select(COMMON) for frame in members])
    return common.with_columns(
        pl.Series("score", columns[spec["main"]]),
        *(pl.Series(name, values) for name, values in columns.items()),
    )
