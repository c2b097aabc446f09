"""The page on which any tuned model is compared with its base model or another one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ptft import language
from ptft.analysis.model_pairs import ModelPairs, model_pairs
from ptft.analysis.scores import METHOD, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables.learning import hidden_labels
from ptft.analysis.tuned_models import CHOSEN, with_chosen
from ptft.files import read_slice
from ptft.language import label, use_wording
from ptft.report import rendering

# Brewer's PuOr, as the figure `cross_evaluation` has it: orange is lost, purple gained.
COLOURS = (
    "7f3b08 b35806 e08214 fdb863 fee0b6 f7f7f7 d8daeb b2abd2 8073ac 542788 2d004b"  # fmt: skip
)
# Columns of a score in the page; the first five are numbers of what is chosen.
COLUMNS = (
    "checkpoint", "method", "task", "dataset", "format", "metric", "shots", "n", "seeds", "base",
    "tuned", "difference", "low", "high", "gained", "lost",
)  # fmt: skip
PAIR_COLUMNS = ("first", "second", "ci_low", "ci_high")
# Of a score, and of a difference: a hundredth of a point.
DIGITS = 4


def compare_models(
    cells: Path,
    replicates: Path,
    suspicious: Path,
    settings: Path,
    wording: Path,
    output: Path,
    arms: Path | None = None,
) -> None:
    """Write the page on which any two models are compared.

    Args:
        cells: cells.parquet
        replicates: their paired draws
        suspicious: suspicious.parquet
        settings: of the analysis, JSON file
        wording: language and titles, JSON file
        output: the page, HTML
        arms: arms.parquet, for what validation chooses
    """
    chosen = read_slice(settings, Settings)
    use_wording(wording)
    table = pl.read_parquet(cells)
    scores = Scores.build(table, pl.scan_parquet(replicates))
    trained = pl.read_parquet(arms) if arms else None
    if trained is not None:
        scores = with_chosen(scores, trained)
    found = model_pairs(scores, chosen)
    page = comparison_page(found, hidden_labels(pl.read_parquet(suspicious)), chosen.level)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")


def comparison_page(found: ModelPairs, hidden: Sequence[str], level: float) -> str:
    """The whole HTML page: a matrix of tasks and datasets for the chosen comparison.

    Args:
        found: comparisons to choose from.
        hidden: datasets whose labels seem to be hidden: their scores get no colour.
        level: of the intervals.
    """
    empty = not len(found.tuned)
    return rendering.render(
        "comparison.jinja",
        empty=empty,
        gradient=", ".join(f"#{colour}" for colour in COLOURS.split()),
        packed="" if empty else rendering.packed(json.dumps(_data(found, hidden, level))),
    )


def _data(found: ModelPairs, hidden: Sequence[str], level: float) -> dict[str, Any]:
    """Data for the script: names once, scores as rows of ``COLUMNS``."""
    tuned = found.tuned
    checkpoints = tuned.select("index", "checkpoint", "tokens").unique().sort("index")
    methods = tuned.select(METHOD).unique().sort(METHOD, nulls_last=False)
    tasks, datasets = _in_order(tuned)
    numbered = tuned.with_columns(
        _number("checkpoint", checkpoints["checkpoint"]),
        _number("task", [task for task in tasks], "train_task"),
        _number("dataset", [dataset for _, dataset in datasets]),
        pl.col("metric").map_elements(language.metric, pl.String),
        seeds="n_seeds", low="ci_low", high="ci_high",
    ).join(
        methods.rename({"method": "name"}).with_row_index("number").rename({"name": "method"}),
        on=METHOD, nulls_equal=True, maintain_order="left",
    ).with_columns(method="number")  # fmt: skip
    rows = numbered.sort("model").select(COLUMNS)
    largest = tuned.filter(~pl.col("dataset").is_in(list(hidden)))
    limits = {
        name: max(0.01, largest.filter(pl.col("format") == name)["difference"].abs().max() or 0)
        for name in tuned["format"].unique()
    }
    return {
        "checkpoints": [
            {"name": name, "tokens": tokens} for _, name, tokens in checkpoints.iter_rows()
        ],
        "methods": [_method_name(row) for row in methods.iter_rows(named=True)],
        "formats": tuned["format"].unique(maintain_order=True).to_list(),
        "tasks": [language.task(task) for task in tasks],
        "families": {family: language.family(family) for family, _ in datasets},
        "datasets": [
            {"family": family, "name": language.dataset(name), "hidden": name in hidden}
            for family, name in datasets
        ],
        "columns": COLUMNS,
        "scores": _rounded(rows),
        "pairs": _rounded(found.pairs.select(PAIR_COLUMNS)) if len(found.pairs) else [],
        "limits": limits,
        "colours": [list(bytes.fromhex(colour)) for colour in COLOURS.split()],
        "words": _words(level),
    }


def _in_order(tuned: pl.DataFrame) -> tuple[list[str], list[tuple[str, str]]]:
    """Tasks, and (family, dataset), the tasks' families first, as in figure `cross_evaluation`."""
    own = tuned.filter(pl.col("domain") == "in").select("family", "train_task").unique()
    own = own.sort("family", "train_task").unique("train_task", maintain_order=True)
    others = sorted(set(tuned["train_task"]) - set(own["train_task"]))
    order = {family: at for at, family in enumerate(dict.fromkeys(own["family"]))}
    known = tuned.select("family", "dataset").unique().rows()
    columns = sorted(known, key=lambda pair: (order.get(pair[0], len(order)), *pair))
    return [*own["train_task"], *others], columns


def _number(name: str, values: Iterable[str], column: str | None = None) -> pl.Expr:
    """A column as indices into ``values``."""
    places = {value: at for at, value in enumerate(values)}
    return pl.col(column or name).replace_strict(places, return_dtype=pl.Int64).alias(name)


def _method_name(row: dict) -> str:
    """Method, setting, and derivation with its strength."""
    setting = label("chosen") if row["setting"] == CHOSEN else row["setting"]
    derived = row["derived"] and f"{row['derived']} {row['strength']:g}"
    return ", ".join(filter(None, (row["method"], setting, derived)))


def _rounded(table: pl.DataFrame) -> list[list]:
    return [list(row) for row in table.with_columns(pl.col(pl.Float64).round(DIGITS)).iter_rows()]


def _words(level: float) -> dict[str, str]:
    """Texts of the script, which fills in {names}."""
    interval = label("{points} points ({level} % interval {low} to {high})")
    return {
        "base": label("Base model of the same checkpoint"),
        "checkpoints": label("the same method at another checkpoint"),
        "methods": label("another method at the same checkpoint"),
        "tokens": label("{checkpoint} ({tokens} tokens)"),
        "tunedOn": label("tuned on"),
        "cell": label("tuned on {task}, tested on {dataset}"),
        "missing": label("not evaluated"),
        "change": interval.replace("{level}", f"{100 * level:g}"),
        "changeOnly": label("{points} points"),
        "scores": label("{metric} × 100, shots: {shots}. Chosen: {tuned}. {other}: {against}."),
        "examples": label(
            "Of {n} examples {wins} score higher (wins), {losses} lower (losses), {ties} the same "
            "(ties)."
        ),
        "seeds": " " + label("Means over the training seeds."),
        "noExamples": label("No per-example results: wins and losses are not known."),
        "hidden": label("Labels seem to be hidden; not a score."),
    }
