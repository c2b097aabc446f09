"""Fine-tuned models with their settings, and the setting of a sweep that validation chooses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from typing_extensions import TypedDict

from ptft.analysis.cell_scores import schema
from ptft.analysis.scores import Scores
from ptft.files import closed
from ptft.models.folder import TRAINING_SUMMARY

CHOSEN = "(chosen)"
"""as a setting: the one that validation chooses, at each checkpoint, method and task"""
CHOICE = ["checkpoint", "method", "train_task"]
SCHEMA = schema(
    *("checkpoint", "step", "tokens", "pretraining_lr", "arm", "method", "train_task", "setting"),
    *("seed", "after", "lr", "n_updates"),
    after=pl.String,
    n_updates=pl.Int64,
)
# Column -> its name in a model's own record.
ENDS = {"train_loss": "loss"} | {
    name: name
    for name in ("validation_loss", "validation_exact", "start_loss", "constant_loss", "final_loss")
}
FIXED = {
    **SCHEMA,
    **dict.fromkeys(ENDS, pl.Float64),
    "training": pl.String,
    **dict.fromkeys(("learned", "chosen", "at_edge"), pl.Boolean),
}
"""columns of the table but for the settings that methods sweep"""
LEARNED, BEHIND = "learned", "behind"
"""verdicts on a training; others say why it did not learn (``ptft.training.records.verdict``)"""


@closed
class ArmsSlice(TypedDict):
    """Facts of the models before they are trained (``arms_slice``)."""

    checkpoints: dict[str, dict[str, Any]]
    arms: dict[str, dict[str, Any]]
    sweeps: dict[str, dict[str, list]]


def arms(study: Mapping[str, Any], models: Path, kept: Path | None = None) -> pl.DataFrame:
    """Every fine-tuned model, its settings, and how its training ended.

    One row per checkpoint and fine-tuned arm: pretraining_lr, the learning rate of pre-training at
    the checkpoint, if the model's file gives it; lr (of fine-tuning) and a column for each other
    setting that a method sweeps; after, the arm that it goes on from, in a chain; n_updates, how
    many were made; train_loss of the last one; validation_loss and validation_exact (share of held-
    out completions that are exactly right) if the study holds examples out. Null if a model's
    record is gone.

    ``training`` says whether it learned, by its own examples alone: start_loss and final_loss on
    them, before and after, and constant_loss, that of the best answer that ignores its input.
    `learned`, or why not: `not moved`, `no lower` than at the start, hardly below the `constant`
    answer, or `behind`: nearer to the constant answer (or to the start) than to the best of its
    other seeds. ``learned``: whether it is the first.

    ``chosen`` is true for the setting with the lowest validation loss, averaged over seeds, among
    those of its checkpoint, method and task; of equal ones, the first in the study's file. It is
    null if nothing is swept or a validation loss is missing. ``at_edge``: the chosen value of a
    swept number is the lowest or the highest of its range, so a better one may lie beyond.

    Args:
        study: the slice.
        models: folder of tuned models as `CHECKPOINT/ARM/training.json`.
        kept: folder of deleted models' records, in the same layout.
    """
    rows = list(_rows(study, models, kept))
    swept = dict.fromkeys(key for sweep in study["sweeps"].values() for key in sweep)
    columns = dict.fromkeys([*SCHEMA, *swept, *ENDS, "training"])
    table = pl.DataFrame(
        {name: [row.get(name) for row in rows] for name in columns},
        schema_overrides={name: FIXED[name] for name in columns if name in FIXED},
        strict=False,
    ).with_columns(training=_training())
    table = table.with_columns(learned=pl.col("training") == LEARNED)
    edges = [_at_edge(row, study["arms"][row["arm"]]["changes"], study["sweeps"]) for row in rows]
    edge = pl.Series("edge", edges, pl.Boolean)
    chosen = table.join(
        _chosen(_from_checkpoints(table)),
        on=[*CHOICE, "setting"],
        how="left",
        nulls_equal=True,
        maintain_order="left",
    )
    # Where nothing could be chosen, false would be an answer.
    at_edge = pl.when(pl.col("chosen").is_not_null()).then(pl.col("chosen") & edge)
    return chosen.with_columns(at_edge.alias("at_edge"))


def chosen_settings(table: pl.DataFrame) -> pl.DataFrame:
    """The setting that validation chooses, one row per checkpoint, method and task.

    A method without a choice at some place is left out: a mean over tasks, or a curve over
    checkpoints, would mix chosen settings with others.
    """
    table = _from_checkpoints(table)
    whole = ~pl.col("chosen").is_null().any().over("method")
    return table.filter(whole & pl.col("chosen")).select(*CHOICE, "setting").unique()


def _from_checkpoints(table: pl.DataFrame) -> pl.DataFrame:
    """Models without those that go on from another: no setting is chosen among these."""
    return table.filter(pl.col("after").is_null()) if "after" in table.columns else table


def with_chosen(scores: Scores, table: pl.DataFrame) -> Scores:
    """Scores, with those at chosen settings repeated as setting ``CHOSEN``.

    So every table made from them has each fixed setting, and the one that validation chooses at
    each checkpoint.
    """
    found = scores.cells.join(
        chosen_settings(table),
        on=[*CHOICE, "setting"],
        how="semi",
        nulls_equal=True,  # settings as they are may be chosen
        maintain_order="left",
    )
    rows = found["row"].to_numpy()
    count = len(scores.draws)
    again = found.with_columns(
        pl.lit(CHOSEN).alias("setting"),
        # Chosen settings may differ in what they sweep, and are one curve.
        pl.lit(None, pl.String).alias("swept"),
        pl.Series("row", np.arange(count, count + len(rows)), scores.cells.schema["row"]),
    )
    return Scores(
        pl.concat([scores.cells, again]),
        np.concatenate([scores.draws, scores.draws[rows]]),
        np.concatenate([scores.by_seed, scores.by_seed[rows]]),
        with_chosen(scores.texts, table) if scores.texts else None,
        table,
        scores.seeds,
    )


def shown(table: pl.DataFrame, trained: pl.DataFrame | None) -> pl.DataFrame:
    """Rows of a table for the paper's figures and findings: one setting per method.

    It is the one chosen by validation or, without validation, the first in the study's file.
    Derived arms are left out.

    Args:
        table: of ``ptft.analysis.tables``.
        trained: the table `arms`; None if the study has none (released scores).
    """
    if "setting" not in table.columns:
        return table
    table = table.filter(pl.col("derived").is_null())
    if trained is None:
        return table
    methods = shown_settings(trained)
    others = table.select("method", "setting").unique()
    others = others.filter(~pl.col("method").is_in(methods["method"].to_list()).fill_null(False))
    kept = pl.concat([methods, others.cast(methods.schema)])
    return table.join(
        kept, on=["method", "setting"], how="semi", nulls_equal=True, maintain_order="left"
    )


def shown_settings(trained: pl.DataFrame) -> pl.DataFrame:
    """The setting of each method that :func:`shown` keeps; null if nothing is swept."""
    chosen = chosen_settings(trained)["method"].unique().to_list()
    first = trained.group_by("method", maintain_order=True).agg(pl.col("setting").first())
    setting = pl.when(pl.col("method").is_in(chosen)).then(pl.lit(CHOSEN)).otherwise("setting")
    return first.with_columns(setting.alias("setting"))


def _rows(study: Mapping[str, Any], models: Path, kept: Path | None) -> Iterator[dict[str, Any]]:
    for checkpoint, info in study["checkpoints"].items():
        for arm, about in study["arms"].items():
            if checkpoint not in about.get("checkpoints", study["checkpoints"]):
                continue
            noted = _record(f"{checkpoint}/{arm}", models, kept)
            yield {
                "checkpoint": checkpoint,
                "step": info["step"],
                "tokens": info["tokens"],
                "pretraining_lr": info.get("pretraining_lr"),
                "arm": arm,
                **{name: about[name] for name in ("method", "train_task", "setting", "seed")},
                "after": about.get("after"),
                **about["settings"],
                **{name: noted.get(key) for name, key in ENDS.items()},
                "n_updates": noted.get("steps"),
                "training": noted.get("verdict"),
            }


def _record(model: str, models: Path, kept: Path | None) -> dict[str, Any]:
    """A model's training record; empty if it is gone."""
    for folder in (models, kept):
        if folder is not None and (file := folder / model / TRAINING_SUMMARY).exists():
            return json.loads(file.read_text())
    return {}


def _training() -> pl.Expr:
    """The verdict on a training, in the light of its other seeds."""
    final = pl.col("final_loss")
    ceiling = pl.min_horizontal("start_loss", "constant_loss")
    best = final.min().over(*CHOICE, "setting")  # its own, if it is the best
    behind = (pl.col("training") == LEARNED) & (final > (best + ceiling) / 2)
    return pl.when(behind).then(pl.lit(BEHIND)).otherwise(pl.col("training"))


def learned_seeds(table: pl.DataFrame) -> pl.DataFrame:
    """How many seeds learned, one row per checkpoint, method, task and setting, chosen ones twice.

    Columns ``CHOICE``, setting, trained (how many records say whether they learned), learned, and
    seeds (a list of those that learned).
    """
    by = [*CHOICE, "setting"]
    counts = table.group_by(by, maintain_order=True).agg(
        trained=pl.col("learned").count().cast(pl.Int64),
        learned=pl.col("learned").sum().cast(pl.Int64),
        seeds=pl.col("seed").filter("learned"),
    )
    return and_chosen(counts, table)


def and_chosen(rows: pl.DataFrame, table: pl.DataFrame) -> pl.DataFrame:
    """Rows with a setting, those at settings that validation chooses once more as ``CHOSEN``."""
    on = [*CHOICE, "setting"]
    chosen = rows.join(
        chosen_settings(table), on=on, how="semi", nulls_equal=True, maintain_order="left"
    )
    return pl.concat([rows, chosen.with_columns(setting=pl.lit(CHOSEN))])


def _at_edge(
    row: Mapping[str, Any], changes: list[str], sweeps: Mapping[str, Mapping[str, list]]
) -> bool:
    """Whether a swept number of an arm is the lowest or the highest of several."""
    ranges = {key: sweeps[row["method"]][key] for key in changes}
    return any(
        len(values) > 1 and row[key] in (min(values), max(values))
        for key, values in ranges.items()
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    )


def _chosen(table: pl.DataFrame) -> pl.DataFrame:
    """Whether a setting is chosen, one row per checkpoint, method, task and setting."""
    loss = pl.col("validation_loss")
    known = pl.when(~loss.is_null().any()).then(loss.fill_nan(np.inf).mean())
    means = table.group_by(*CHOICE, "setting", maintain_order=True).agg(known.alias("loss"))
    place, best = pl.int_range(pl.len()).over(CHOICE), pl.col("loss").arg_min().over(CHOICE)
    possible = (pl.len().over(CHOICE) > 1) & ~pl.col("loss").is_null().any().over(CHOICE)
    return means.select(*CHOICE, "setting", pl.when(possible).then(place == best).alias("chosen"))
