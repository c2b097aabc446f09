"""The page of several studies side by side: one section per quantity, with its figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ptft import language
from ptft.analysis.studies import QUANTITIES, TEST_LEVEL, differing
from ptft.language import label
from ptft.report import rendering
from ptft.report.rendering import arm_name, p_value, points


def studies_page(
    title: str, description: str, tables: Mapping[str, pl.DataFrame], figures: Path
) -> str:
    """The whole page, in the language in use.

    Args:
        title: name of the comparison.
        description: of the comparison, one paragraph.
        tables: `cells` of all studies together, `compared`, `differences`.
        figures: folder of QUANTITY.svg.
    """
    heads = ("study", "model", "checkpoints", "pre-training tokens", "tuned models")
    return rendering.render(
        "studies.jinja",
        title=title,
        description=description,
        heads_of_studies=[(label(head), False) for head in heads],
        studies=list(_studies(tables["cells"])),
        quantities=[_section(quantity, tables, figures) for quantity in QUANTITIES],
    )


def _studies(cells: pl.DataFrame) -> list[list[str]]:
    """What each study contributes."""
    rows = []
    for (study, model), own in cells.group_by("study", "model", maintain_order=True):
        tokens = [
            language.short_number(seen) for seen in (own["tokens"].min(), own["tokens"].max())
        ]
        tuned = own.filter(pl.col("train_task").is_not_null())
        models = len(tuned.select("checkpoint", "arm").unique())
        count = own["checkpoint"].n_unique()
        rows.append([study, model, str(count), "–".join(tokens), str(models)])
    return rows


def _section(quantity: str, tables: Mapping[str, pl.DataFrame], figures: Path) -> dict[str, Any]:
    """At how many points models differ, where they differ most, and the last points."""
    rows = tables["differences"].filter(pl.col("quantity") == quantity)
    title = label(QUANTITIES[quantity])
    svg, asked = rendering.inline_svg(figures / f"{quantity}.svg", quantity, title)
    differ, tested = differing(rows, quantity) if len(rows) else (0, None)
    sure = rows.filter(pl.col("p_adjusted") < TEST_LEVEL)
    most = None
    if len(sure):
        most = sure.sort(pl.col("highest") - pl.col("lowest"), descending=True).row(0, named=True)
        most = {**most, "curve": _curve(most)}
    studies = tables["compared"]["study"].unique(maintain_order=True).to_list()
    heads = [label("curve"), label("pre-training tokens"), *studies, "p"]
    return {
        "name": quantity,
        "title": title,
        "differ": differ,
        "tested": tested,
        "most": most,
        "figure": {"name": quantity, "title": title, "svg": svg, "asked": asked, "data": []},
        "heads": [(head, at > 1) for at, head in enumerate(heads)],
        "rows": list(_last(rows, tables["compared"], studies)),
    }


def _last(rows: pl.DataFrame, compared: pl.DataFrame, studies: list[str]) -> list[list[str]]:
    """All studies' values at the last point of each curve that several of them have."""
    keys = ["quantity", "method", "train_task", "dataset", "format", "shots"]
    last = rows.sort("aligned").unique(keys, keep="last", maintain_order=True).sort(keys)
    lines = []
    for row in last.iter_rows(named=True):
        at = compared.filter(
            pl.col("aligned") == row["aligned"],
            *(pl.col(key).eq_missing(pl.lit(row[key])) for key in keys),
        ).sort("tokens")
        values = dict(at.select("study", "value").iter_rows())
        lines.append(
            [
                _curve(row),
                language.short_number(row["aligned"]),
                *(points(values.get(study)) for study in studies),
                p_value(row["p_adjusted"]),
            ]
        )
    return lines


def _curve(row: Mapping[str, Any]) -> str:
    """Description of a curve."""
    if row["quantity"] == "kept":
        start, end = row["dataset"].split(">")
        said = f"{label('tuned on ' + start)} → {label('tested on ' + end)}"
    else:
        said = language.dataset(row["dataset"])
        if row["train_task"] is not None:
            said = f"{language.task(row['train_task'])} → {said}"
    return said + (f" ({arm_name(row)})" if row["method"] else "")
