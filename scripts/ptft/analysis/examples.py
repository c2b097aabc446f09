"""Which single examples a report shows: learned, forgotten, or changed by the prompt format.

A score counts as changed from ``MARGIN`` on: an answer becomes right or wrong, or a generation's
ROUGE-L changes that much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import polars as pl

from ptft.analysis.scores import KEY, checkpoint_index, with_shots
from ptft.analysis.settings import Settings
from ptft.paths import cell_path

MARGIN = 0.3
"""smallest change of a score that counts; right and wrong are 1 and 0"""
DRAWN = 10
"""examples of each group, task and dataset"""
LEARNED, FORGOTTEN, FORMAT = GROUPS = ("learned", "forgotten", "format")
COLUMNS = ["example_id", "prediction", "gold", "score", "logprobs", "truncated"]
"""of a cell's file, that are read"""
Reader = Callable[[str, str, str], pl.DataFrame | None]
"""(checkpoint, arm, format) -> the cell's answers (:func:`with_logprobs`); None without any"""
Row = dict[str, Any]


@dataclass(frozen=True)
class Models:
    """The tuned models of a checkpoint and task, with the first training seed of their method."""

    checkpoint: str
    task: str
    shown: str
    arms: list[str]


def compared_models(cells: pl.DataFrame, arms: pl.DataFrame) -> list[Models]:
    """The models of each checkpoint and task.

    The study's first method for the task is shown, at the setting that validation chooses, or else
    the first in the study's file.

    Args:
        cells: the cells table.
        arms: table of fine-tuned models (``ptft.analysis.tuned_models``), in the study's order.
    """
    run = ["method", "train_task"]
    tuned = cells.filter(pl.col("method").is_not_null())
    tuned = tuned.select("checkpoint", "step", "tokens", "arm", *run, "seed", "derived").unique()
    if tuned.is_empty():
        return []
    written = arms.with_row_index("written").select("checkpoint", "arm", "written", "chosen")
    ordered = (
        tuned.with_columns(checkpoint_index(tuned))
        .filter(pl.col("seed").eq_missing(pl.col("seed").min().over(run)))
        .join(written, on=["checkpoint", "arm"], how="left")
        .sort("index", "written", "arm", nulls_last=True)
    )
    found = []
    for (checkpoint, task), models in ordered.group_by(
        "checkpoint", "train_task", maintain_order=True
    ):
        trained = models.filter(pl.col("derived").is_null())
        of_method = trained.filter(pl.col("method") == pl.col("method").first())
        shown = of_method.sort(~pl.col("chosen").fill_null(False), maintain_order=True)["arm"]
        if len(shown):
            found.append(Models(checkpoint, task, shown[0], models["arm"].to_list()))
    return found


def with_logprobs(answers: pl.DataFrame, labels: Sequence[str] | None = None) -> pl.DataFrame:
    """Answers with gold_logprob and prediction_logprob, null for a generation.

    Args:
        answers: ``COLUMNS`` of a cell's file, one row per example.
        labels: of a classification, in the order of its log-probabilities; else an answer is the
            number of a choice.
    """

    def logprob(answer: str) -> pl.Expr:
        place = pl.col(answer).cast(pl.Int64, strict=False)
        if labels:
            places = {name: at for at, name in enumerate(labels)}
            place = pl.col(answer).replace_strict(places, default=None, return_dtype=pl.Int64)
        known = pl.col("logprobs").cast(pl.List(pl.Float64))
        return known.list.get(place, null_on_oob=True).alias(f"{answer}_logprob")

    score = pl.col("score").cast(pl.Float64)
    return answers.with_columns(score, logprob("gold"), logprob("prediction"))


def cells_reader(
    cells: pl.DataFrame, evaluations: Path, labels: Mapping[str, Sequence[str] | None]
) -> Callable[[str, int], Reader]:
    """A function (dataset, shots) -> Reader of the table's cells in a folder of evaluations.

    Args:
        labels: of every dataset; None if it is no classification.
    """
    known = set(cells.filter("main").select(KEY).iter_rows())

    def of(dataset: str, shots: int) -> Reader:
        def read(checkpoint: str, arm: str, format_name: str) -> pl.DataFrame | None:
            cell = (checkpoint, arm, dataset, format_name, shots)
            if cell not in known:
                return None
            file = cell_path(evaluations, *cell)
            return with_logprobs(pl.read_parquet(file, columns=COLUMNS), labels[dataset])

        return read

    return of


@dataclass(frozen=True)
class Stratum:
    """Examples of one group that the same models answered, in the order of drawing.

    Attributes:
        models: arm and format of each model, first the base.
        rows: of the first examples, the answer of each model.
        count: of all examples.
    """

    group: str
    task: str
    checkpoint: str
    models: tuple[tuple[str, str], ...]
    rows: list[tuple[Row, ...]]
    count: int


@dataclass(frozen=True)
class Pick:
    """An example, and how models answered it: (arm, format, answer), first the base model's."""

    group: str
    task: str
    checkpoint: str
    dataset: str
    answers: tuple[tuple[str, str, Row], ...]

    @property
    def example_id(self) -> str:
        """Its id in the dataset."""
        return self.answers[0][2]["example_id"]


@dataclass(frozen=True)
class Picked:
    """Result of :func:`pick_examples`."""

    picks: list[Pick]
    """``DRAWN`` of each group, task and dataset, or all if fewer"""
    counts: dict[tuple[str, str, str, str], int]
    """(group, task, checkpoint, dataset) -> number of examples to draw from"""
    shots: dict[str, int]
    """dataset -> number of shots"""
    checkpoints: list[str]
    """earliest first"""
    format: str
    samples: dict[str, dict[tuple[str, str], list[Row]]]
    """dataset -> (checkpoint, arm) -> its answers, in ``format``, to the same ``DRAWN`` examples"""


def pick_examples(
    cells: pl.DataFrame,
    arms: pl.DataFrame,
    settings: Settings,
    reader: Callable[[str, int], Reader],
    seed: int,
) -> Picked:
    """Examples of every task and dataset that is scored by prompts.

    Args:
        cells, arms: tables of the study.
        settings: prompt format and number of shots, as in all analyses.
        reader: (dataset, shots) -> Reader of its cells.
        seed: of the draws.
    """
    main = cells.filter(pl.col("main") & (pl.col("kind") != "text"))
    view = with_shots(main.filter(pl.col("format") == settings.format), settings.shots, ["dataset"])
    shots_of = dict(view.select("dataset", "shots").unique().sort("dataset").iter_rows())
    models = compared_models(main, arms)
    checkpoints = list(dict.fromkeys(model.checkpoint for model in models))
    found = Picked([], {}, shots_of, checkpoints, settings.format, {})
    for dataset, shots in shots_of.items():
        here = main.filter((pl.col("dataset") == dataset) & (pl.col("shots") == shots))
        formats = [settings.format, *sorted(set(here["format"]) - {settings.format})]
        found.samples[dataset] = {}
        strata = list(
            _strata(models, formats, reader(dataset, shots), f"{seed}:{dataset}",
                    found.samples[dataset])
        )  # fmt: skip
        found.picks.extend(_picked(strata, dataset, seed))
        for stratum in strata:
            key = (stratum.group, stratum.task, stratum.checkpoint, dataset)
            found.counts[key] = found.counts.get(key, 0) + stratum.count
    return found


def _strata(
    models: Sequence[Models],
    formats: Sequence[str],
    read: Reader,
    seed: str,
    sample: dict[tuple[str, str], list[Row]],
) -> Iterator[Stratum]:
    """The groups of one dataset at each checkpoint and task.

    Args:
        formats: the main one, and those that it is compared with.
        seed: of the order of drawing, which depends on the examples' ids alone.
        sample: filled with answers of every model to the first examples in that order.
    """
    main, order = formats[0], None
    for checkpoint in dict.fromkeys(model.checkpoint for model in models):
        own = [model for model in models if model.checkpoint == checkpoint]
        answers: dict[str, pl.DataFrame] = {}
        for arm in dict.fromkeys(["base", *(arm for model in own for arm in model.arms)]):
            found = read(checkpoint, arm, main)
            if found is None:
                continue
            order = _shuffled(found, seed) if order is None else order
            answers[arm] = order.join(found, on="example_id", how="left", maintain_order="left")
            if not answers[arm]["score"].head(DRAWN).null_count():
                sample[checkpoint, arm] = answers[arm].head(DRAWN).to_dicts()
        for model in own:
            if order is None or not {"base", model.shown} <= answers.keys():
                continue
            pair = {(arm, main): answers[arm] for arm in ("base", model.shown)}
            rise = answers[model.shown]["score"] - answers["base"]["score"]
            yield _stratum(LEARNED, model, pair, rise >= MARGIN)
            yield _stratum(FORGOTTEN, model, pair, rise <= -MARGIN)
            for name in formats[1:]:
                if (other := read(checkpoint, model.shown, name)) is not None:
                    other = order.join(other, on="example_id", how="left", maintain_order="left")
                    change = (other["score"] - answers[model.shown]["score"]).abs() >= MARGIN
                    yield _stratum(FORMAT, model, pair | {(model.shown, name): other}, change)


def _shuffled(answers: pl.DataFrame, seed: str) -> pl.DataFrame:
    """Ids of the examples in a random order that depends only on them and the seed."""
    ids = sorted(answers["example_id"])
    Random(seed).shuffle(ids)
    return pl.DataFrame({"example_id": ids})


def _stratum(
    group: str, model: Models, answers: Mapping[tuple, pl.DataFrame], changed: pl.Series
) -> Stratum:
    found = changed.fill_null(False).arg_true()
    first = found.head(2 * DRAWN)  # as many again as others may have taken before
    rows = list(zip(*(frame[first].to_dicts() for frame in answers.values()), strict=True))
    return Stratum(group, model.task, model.checkpoint, tuple(answers), rows, len(found))


def _picked(found: Sequence[Stratum], dataset: str, seed: int) -> Iterator[Pick]:
    """``DRAWN`` of each group and task, each example once."""
    grouped: dict[tuple[str, str], list[Stratum]] = {}
    for stratum in found:
        grouped.setdefault((stratum.task, stratum.group), []).append(stratum)
    for (task, group), members in grouped.items():
        random = Random(f"{seed}:{dataset}:{task}:{group}")
        for stratum, answers in _take_turns(members, random):
            told = tuple((*model, row) for model, row in zip(stratum.models, answers, strict=True))
            yield Pick(group, task, stratum.checkpoint, dataset, told)


def _take_turns(
    members: Sequence[Stratum], random: Random
) -> Iterator[tuple[Stratum, tuple[Row, ...]]]:
    """Different examples; checkpoints and formats take turns in a random order."""
    waiting = [(stratum, iter(stratum.rows)) for stratum in members]
    random.shuffle(waiting)
    taken: set[str] = set()
    while waiting:
        for turn in list(waiting):
            stratum, rows = turn
            row = next((row for row in rows if row[0]["example_id"] not in taken), None)
            if row is None:
                waiting.remove(turn)
                continue
            taken.add(row[0]["example_id"])
            yield stratum, row
            if len(taken) == DRAWN:
                return
