"""Which single examples a report shows: learned, forgotten, or changed by something else.

A score counts as changed from ``MARGIN`` on: an answer becomes right or wrong, or a generation's
ROUGE-L changes that much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import polars as pl

from ptft.analysis.scores import KEY, checkpoint_index, with_shots
from ptft.analysis.settings import Settings
from ptft.paths import cell_path

REFERENCE = "full"
"""method that remedies are compared with"""


@dataclass(frozen=True)
class Compared:
    """The tuned models of a checkpoint and task: the shown one, and others."""

    checkpoint: str
    task: str
    shown: str
    remedies: list[str]
    """arms that are compared with it; empty if it is not full fine-tuning"""


def compared_models(cells: pl.DataFrame, arms: pl.DataFrame) -> list[Compared]:
    """The models of each checkpoint and task, with the first training seed of their method.

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
        if trained.is_empty():
            continue
        of_method = trained.filter(pl.col("method") == trained["method"][0])
        shown = of_method.sort(~pl.col("chosen").fill_null(False), maintain_order=True).row(0)
        shown_arm, method = shown[of_method.columns.index("arm")], of_method["method"][0]
        others = [arm for arm in models["arm"] if arm != shown_arm]
        found.append(Compared(checkpoint, task, shown_arm, others if method == REFERENCE else []))
    return found


COLUMNS = ["example_id", "prediction", "gold", "score", "logprobs", "truncated"]


@dataclass(frozen=True)
class Answers:
    """A model's answers to the n examples of a cell.

    Attributes:
        frame: ``COLUMNS`` of the cell's file, one row per example.
        labels: of a classification, in the order of its log-probabilities; else None.
    """

    frame: pl.DataFrame
    labels: Sequence[str] | None = None

    @property
    def scores(self) -> np.ndarray:
        """(n,) main metric; NaN where there is no answer."""
        return self.frame["score"].cast(pl.Float64).fill_null(np.nan).to_numpy()

    @property
    def gold_logprobs(self) -> np.ndarray:
        """(n,) log-probability of the gold answer; NaN for a generation."""
        gold = pl.col("gold")  # a label by its place, a choice by its number
        if self.labels:
            places = {name: at for at, name in enumerate(self.labels)}
            place = gold.replace_strict(places, default=None, return_dtype=pl.Int64)
        else:
            place = gold.cast(pl.Int64, strict=False)
        known = pl.col("logprobs").cast(pl.List(pl.Float64)).list.get(place, null_on_oob=True)
        return self.frame.select(known.fill_null(np.nan)).to_series().to_numpy()

    def ordered(self, ids: pl.Series) -> Answers:
        """The answers to these examples; null where there is none."""
        frame = ids.to_frame("example_id")
        if not frame["example_id"].equals(self.frame["example_id"]):
            frame = frame.join(self.frame, on="example_id", how="left", maintain_order="left")
            return Answers(frame, self.labels)
        return self

    def rows(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Some of the answers, with gold_logprob and prediction_logprob (None for a text)."""
        rows = self.frame[list(places)].to_dicts()
        for row in rows:
            for column in ("gold", "prediction"):
                row[f"{column}_logprob"] = self._logprob(row, column)
        return rows

    def _logprob(self, row: Mapping[str, Any], column: str) -> float | None:
        if row["logprobs"] is None:
            return None
        place = self.labels.index(row[column]) if self.labels else int(row[column])
        return row["logprobs"][place]


Reader = Callable[[str, str, str], Answers | None]
"""(checkpoint, arm, format) -> the cell's answers; None if there are none"""


def cells_reader(
    cells: pl.DataFrame, evaluations: Path, labels: Mapping[str, Sequence[str] | None]
) -> Callable[[str, int], Reader]:
    """A function (dataset, shots) -> Reader of the table's cells in a folder of evaluations.

    Args:
        labels: of every dataset; None if it is no classification.
    """
    known = set(cells.filter("main").select(KEY).iter_rows())

    def of(dataset: str, shots: int) -> Reader:
        def read(checkpoint: str, arm: str, format_name: str) -> Answers | None:
            cell = (checkpoint, arm, dataset, format_name, shots)
            if cell not in known:
                return None
            file = cell_path(evaluations, *cell)
            return Answers(pl.read_parquet(file, columns=COLUMNS), labels[dataset])

        return read

    return of


MARGIN = 0.3
"""smallest change of a score that counts; right and wrong are 1 and 0"""
DRAWN = 10
"""examples of each group, task and dataset"""
LEARNED, FORGOTTEN, FORMAT, REMEDY, LARGEST = GROUPS = (
    "learned",
    "forgotten",
    "format",
    "remedy",
    "largest",
)


@dataclass(frozen=True)
class Pick:
    """An example, and how models answered it.

    Attributes:
        group: one of ``GROUPS``.
        answers: (arm, format, answer), first the base model's; an answer is a row of
            ``Answers.rows``.
    """

    group: str
    task: str
    checkpoint: str
    dataset: str
    example_id: str
    answers: tuple[tuple[str, str, dict[str, Any]], ...]


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
    samples: dict[str, Sample]
    """dataset -> the same examples, as every model answered them"""


@dataclass
class Sample:
    """``DRAWN`` examples of a dataset, drawn at random, and how every model answered them.

    Attributes:
        read: of the dataset's cells; what is read through the sample is noted in it.
        format: of the answers that are noted.
        seed: of the draw.
        ids: of the examples.
        answers: (checkpoint, arm) -> one row of ``Answers.rows`` per example.
    """

    read: Reader
    format: str
    seed: str
    ids: list[str] = field(default_factory=list)
    answers: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)

    def __call__(self, checkpoint: str, arm: str, format_name: str) -> Answers | None:
        """A cell's answers."""
        answers = self.read(checkpoint, arm, format_name)
        if answers is not None and format_name == self.format:
            self.ids = self.ids or shuffled(answers, self.seed)[:DRAWN]
            places = {example: at for at, example in enumerate(answers.frame["example_id"])}
            if all(example in places for example in self.ids):
                found = answers.rows([places[example] for example in self.ids])
                self.answers[checkpoint, arm] = found
        return answers


def shuffled(answers: Answers, seed: str) -> list[str]:
    """Ids of the examples in a random order that depends only on them and the seed."""
    ids = sorted(answers.frame["example_id"])
    Random(seed).shuffle(ids)
    return ids


Row = tuple[str, float, list[dict[str, Any]]]
"""an example, its change, and each model's answer"""


@dataclass(frozen=True)
class Stratum:
    """Examples of one group that the same models answered, in the order of drawing.

    Attributes:
        models: arm and format of each model.
        rows: the first examples.
        count: of all examples.
    """

    group: str
    task: str
    checkpoint: str
    models: tuple[tuple[str, str], ...]
    rows: list[Row]
    count: int


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
    picks: list[Pick] = []
    counts: dict[tuple[str, str, str, str], int] = {}
    samples: dict[str, Sample] = {}
    for dataset, shots in shots_of.items():
        here = main.filter((pl.col("dataset") == dataset) & (pl.col("shots") == shots))
        formats = [settings.format, *sorted(set(here["format"]) - {settings.format})]
        order = f"{seed}:{dataset}"
        sample = samples[dataset] = Sample(reader(dataset, shots), settings.format, order)
        found = list(strata(models, formats, sample, order))
        picks += _picked(found, dataset, seed)
        for stratum in found:
            key = (stratum.group, stratum.task, stratum.checkpoint, dataset)
            counts[key] = counts.get(key, 0) + stratum.count
    checkpoints = list(dict.fromkeys(model.checkpoint for model in models))
    return Picked(picks, counts, shots_of, checkpoints, samples)


def strata(
    models: Sequence[Compared], formats: Sequence[str], read: Reader, seed: str
) -> Iterator[Stratum]:
    """The groups of one dataset at each checkpoint and task.

    Args:
        formats: the main one, and those that it is compared with.
        seed: of the order of drawing, which depends on the examples' ids alone.
    """
    ids: pl.Series | None = None
    main, bases = formats[0], {}
    for model in models:
        if model.checkpoint not in bases:
            bases = {model.checkpoint: read(model.checkpoint, "base", main)}
        base, tuned = bases[model.checkpoint], read(model.checkpoint, model.shown, main)
        if base is None or tuned is None:
            continue
        if ids is None:
            ids = pl.Series(shuffled(base, seed))
        pair = {("base", main): base.ordered(ids), (model.shown, main): tuned.ordered(ids)}
        yield from _between_two(model, pair)
        others = [(FORMAT, model.shown, name) for name in formats[1:]]
        others += [(REMEDY, arm, main) for arm in model.remedies]
        for group, *other in others:
            answers = read(model.checkpoint, *other)
            if answers is not None:
                yield _among_three(group, model, pair | {tuple(other): answers.ordered(ids)})


def _between_two(model: Compared, pair: Mapping[tuple, Answers]) -> Iterator[Stratum]:
    """Examples that fine-tuning changed, with answers of base and tuned model."""
    base, tuned = pair.values()
    rise = tuned.scores - base.scores
    for group, changed in ((LEARNED, rise >= MARGIN), (FORGOTTEN, rise <= -MARGIN)):
        yield _stratum(group, model, pair, np.flatnonzero(changed), rise)
    before = base.gold_logprobs
    with np.errstate(invalid="ignore"):  # both may be -inf
        logprob = tuned.gold_logprobs - before
    # Where there are no log-probabilities at all, the answers are generated.
    change = rise if np.isnan(before).all() else logprob
    moved = np.flatnonzero(np.isfinite(change) & (change != 0))
    ordered = moved[np.argsort(-np.abs(change[moved]), kind="stable")]
    yield _stratum(LARGEST, model, pair, ordered, change)


def _among_three(group: str, model: Compared, three: Mapping[tuple, Answers]) -> Stratum:
    """Examples that another format or method changed: base, tuned, and the other answer."""
    base, tuned, other = (answers.scores for answers in three.values())
    change = other - tuned
    changed = np.abs(change) >= MARGIN
    if group == REMEDY:  # of what the base model knew one keeps, the other loses
        lost = (base - tuned >= MARGIN) != (base - other >= MARGIN)
        changed = lost & np.isfinite(base + tuned + other)
    return _stratum(group, model, three, np.flatnonzero(changed), change)


def _stratum(
    group: str,
    model: Compared,
    read: Mapping[tuple, Answers],
    found: np.ndarray,
    change: np.ndarray,
) -> Stratum:
    first = found[: 2 * DRAWN]  # as many again as others may have taken before
    answers = zip(*(each.rows(first.tolist()) for each in read.values()), strict=True)
    rows = [
        (each[0]["example_id"], float(change[place]), list(each))
        for place, each in zip(first, answers, strict=True)
    ]
    return Stratum(group, model.task, model.checkpoint, tuple(read), rows, len(found))


def _picked(found: Sequence[Stratum], dataset: str, seed: int) -> Iterator[Pick]:
    """``DRAWN`` of each group and task, each example once."""
    grouped: dict[tuple[str, str], list[Stratum]] = {}
    for stratum in found:
        grouped.setdefault((stratum.task, stratum.group), []).append(stratum)
    for (task, group), members in grouped.items():
        if group == LARGEST:
            taken = largest(members)
        else:
            taken = take_turns(members, Random(f"{seed}:{dataset}:{task}:{group}"))
        for example, (stratum, answers) in taken.items():
            told = tuple(
                (*model, each) for model, each in zip(stratum.models, answers, strict=True)
            )
            yield Pick(group, task, stratum.checkpoint, dataset, example, told)


Taken = dict[str, tuple[Stratum, list[dict[str, Any]]]]
"""example -> its stratum and answers"""


def largest(members: Sequence[Stratum]) -> Taken:
    """The examples with the largest changes."""
    rows = [(stratum, row) for stratum in members for row in stratum.rows]
    rows.sort(key=lambda pair: -abs(pair[1][1]))
    first: Taken = {}
    for stratum, (example, _, answers) in rows:
        first.setdefault(example, (stratum, answers))
    return dict(list(first.items())[:DRAWN])


def take_turns(members: Sequence[Stratum], random: Random) -> Taken:
    """Different examples; checkpoints, formats and methods take turns in a random order."""
    waiting = [(stratum, iter(stratum.rows)) for stratum in members]
    random.shuffle(waiting)
    taken: Taken = {}
    while waiting and len(taken) < DRAWN:
        for turn in list(waiting):
            stratum, rows = turn
            row = next((row for row in rows if row[0] not in taken), None)
            if row is None:
                waiting.remove(turn)
            elif len(taken) < DRAWN:
                taken[row[0]] = (stratum, row[2])
    return taken
