"""Any tuned model against its base model or another one, as a web page that loads nothing.

The page's style and script are in files beside this module.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ptft.analysis.model_pairs import ModelPairs
from ptft.analysis.scores import METHOD
from ptft.analysis.tuned_models import CHOSEN
from ptft.language.words import Words
from ptft.report.embedded_json import packed_data
from ptft.report.web_page import web_page

# Brewer's PuOr, as the figure `cross_evaluation` has it: orange is lost, purple gained.
COLOURS = (
    "7f3b08 b35806 e08214 fdb863 fee0b6 f7f7f7 d8daeb b2abd2 8073ac 542788 2d004b"  # fmt: skip
)
# Columns of a score in the page; the first five are numbers of what is chosen.
COLUMNS = (
    "checkpoint", "method", "task", "dataset", "format", "metric", "shots", "n", "seeds", "base",
    "tuned", "difference", "low", "high", "gained", "lost",
)  # fmt: skip
PAIR_COLUMNS = ("first", "second", "ci_low", "ci_high", "paired", "wins", "losses")
# Of a score, and of a difference: a hundredth of a point.
DIGITS = 4


def comparison_page(
    found: ModelPairs, hidden: Sequence[str], level: float, words: Words, language: str = "en"
) -> str:
    """The whole HTML page: a matrix of tasks and datasets for the chosen comparison.

    Args:
        found: comparisons to choose from, their pairs with ``ptft.analysis.model_pairs``.
        hidden: datasets whose labels seem to be hidden: their scores get no colour.
        level: of the intervals.
        words: of the page.
        language: its code.
    """
    style, script = (
        Path(__file__).with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".css", ".js")
    )
    body = f"<p>{html.escape(words('no tuned model was evaluated'))}</p>"
    if len(found.tuned):
        data = json.dumps(_data(found, hidden, level, words))
        body = f"{_frame(words)}\n{packed_data(data, script)}"
    return web_page(words("Compare models"), style, body, language)


def _frame(words: Words) -> str:
    """HTML that the script fills in."""
    about = words(
        "Score of the chosen tuned model less that of the model it is compared with, in points "
        "(1 = 0.01). Point at a cell, tap it, or move with the arrow keys to read more."
    )
    choices = {
        "checkpoint": words("Checkpoint"),
        "method": words("Method"),
        "format": words("Format"),
        "other": words("Compared with"),
    }
    selects = "\n".join(
        f'<label>{html.escape(label)}<select id="{name}"></select></label>'
        for name, label in choices.items()
    )
    gradient = ", ".join(f"#{colour}" for colour in COLOURS.split())
    return f"""<p class="about">{html.escape(about)}</p>
<div class="choices">
{selects}
</div>
<div class="scale"><span id="low"></span>
<i style="background:linear-gradient(90deg,{gradient})"></i>
<span id="high"></span><span>{html.escape(words("points"))}</span></div>
<div class="wrap"><table id="matrix" role="grid" aria-labelledby="title">
<thead id="heads"></thead><tbody id="rows"></tbody></table></div>
<div id="details" role="status"></div>"""


def _data(found: ModelPairs, hidden: Sequence[str], level: float, words: Words) -> dict[str, Any]:
    """Data for the script: names once, scores as rows of ``COLUMNS``."""
    tuned = found.tuned
    checkpoints = tuned.select("index", "checkpoint", "tokens").unique().sort("index")
    methods = tuned.select(METHOD).unique().sort(METHOD, nulls_last=False)
    tasks, datasets = _in_order(tuned)
    numbered = tuned.with_columns(
        _number("checkpoint", checkpoints["checkpoint"]),
        _number("task", [task for task in tasks], "train_task"),
        _number("dataset", [dataset for _, dataset in datasets]),
        pl.col("metric").map_elements(words.metric, pl.String),
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
        "methods": [_method_name(row, words) for row in methods.iter_rows(named=True)],
        "formats": tuned["format"].unique(maintain_order=True).to_list(),
        "tasks": [words.task(task) for task in tasks],
        "families": {family: words.family(family) for family, _ in datasets},
        "datasets": [
            {"family": family, "name": words.dataset(name), "hidden": name in hidden}
            for family, name in datasets
        ],
        "columns": COLUMNS,
        "scores": _rounded(rows),
        "pairs": _rounded(found.pairs.select(PAIR_COLUMNS)) if len(found.pairs) else [],
        "limits": limits,
        "colours": [list(bytes.fromhex(colour)) for colour in COLOURS.split()],
        "words": _words(level, words),
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


def _method_name(row: dict, words: Words) -> str:
    """Method, setting, and derivation with its strength."""
    setting = words("chosen") if row["setting"] == CHOSEN else row["setting"]
    derived = row["derived"] and f"{row['derived']} {row['strength']:g}"
    return ", ".join(filter(None, (row["method"], setting, derived)))


def _rounded(table: pl.DataFrame) -> list[list]:
    return [list(row) for row in table.with_columns(pl.col(pl.Float64).round(DIGITS)).iter_rows()]


def _words(level: float, words: Words) -> dict[str, str]:
    """Texts of the script, which fills in {names}."""
    interval = words("{points} points ({level} % interval {low} to {high})")
    return {
        "base": words("Base model of the same checkpoint"),
        "checkpoints": words("the same method at another checkpoint"),
        "methods": words("another method at the same checkpoint"),
        "tokens": words("{checkpoint} ({tokens} tokens)"),
        "tunedOn": words("tuned on"),
        "cell": words("tuned on {task}, tested on {dataset}"),
        "missing": words("not evaluated"),
        "change": interval.replace("{level}", f"{100 * level:g}"),
        "changeOnly": words("{points} points"),
        "scores": words("{metric} × 100, shots: {shots}. Chosen: {tuned}. {other}: {against}."),
        "examples": words(
            "Of {n} examples {wins} score higher (wins), {losses} lower (losses), {ties} the same "
            "(ties)."
        ),
        "seeds": " " + words("Means over the training seeds."),
        "noExamples": words("No per-example results: wins and losses are not known."),
        "hidden": words("Labels seem to be hidden; not a score."),
    }
