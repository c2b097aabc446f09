"""The front page of a comparison of studies (reStructuredText)."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from ptft.analysis.studies import QUANTITIES, TEST_LEVEL, differing
from ptft.language.words import Words, short_number
from ptft.report.rst import bullets, csv_table, folded, heading, number, p_value, picture, plain


def compared_page(
    title: str,
    description: str,
    tables: Mapping[str, pl.DataFrame],
    pictures: Mapping[str, bytes],
    words: Words,
) -> str:
    """The whole page: what is compared, then one section per quantity with its figure.

    Args:
        title: name of the comparison.
        description: of the comparison, one paragraph.
        tables: `cells` of all studies together, `compared`, `differences`.
        pictures: quantity -> SVG of its figure.
    """
    parts = [heading(plain(title), "="), plain(description), _studies(tables, words)]
    for quantity, name in QUANTITIES.items():
        rows = tables["differences"].filter(pl.col("quantity") == quantity)
        parts += [
            heading(words(name), "-"),
            *bullets(_findings(rows, quantity, words)),
            picture(pictures[quantity], words(name)),
            *folded(words("Numbers and tables"), [_last(rows, tables["compared"], words)]),
        ]
    parts += [heading(words("How to read the numbers"), "-"), words(HOW_TO_READ)]
    return "\n\n".join(part for part in parts if part) + "\n"


HOW_TO_READ = (
    "Checkpoints whose tokens are within 10 % of one another are compared. The test "
    "(Cochran's Q) asks whether all models could have the same true value; it accounts for "
    "the number of examples, treats models as independent, and is adjusted over the table. It "
    "does not say why models differ: size, data and seed of pre-training may all differ. Runs "
    "that differ only in the seed show how much of it is chance."
)


def _studies(tables: Mapping[str, pl.DataFrame], words: Words) -> str:
    """What each study contributes."""
    rows = []
    for (study, model), cells in tables["cells"].group_by("study", "model", maintain_order=True):
        tokens = [short_number(seen) for seen in (cells["tokens"].min(), cells["tokens"].max())]
        tuned = cells.filter(pl.col("train_task").is_not_null())
        models = len(tuned.select("checkpoint", "arm").unique())
        count = cells["checkpoint"].n_unique()
        rows.append([plain(study), plain(model), str(count), "–".join(tokens), str(models)])
    heads = ("study", "model", "checkpoints", "pre-training tokens", "tuned models")
    return csv_table([words(head) for head in heads], rows)


def _findings(rows: pl.DataFrame, quantity: str, words: Words) -> list[str]:
    """At how many points models differ, and where they differ most."""
    if rows.is_empty():
        return [words("No two studies have these scores at the same tokens.")]
    differ, tested = differing(rows, quantity)
    told = words("The models differ at {k} of {n} points they can be compared at")
    said = [told.format(k=differ, n=tested) + words(".")]
    sure = rows.filter(pl.col("p_adjusted") < TEST_LEVEL)
    if len(sure):
        most = sure.sort(pl.col("highest") - pl.col("lowest"), descending=True).row(0, named=True)
        told = words(
            "The largest difference that examples do not explain: {curve} at {tokens} tokens, from "
            "{low} ({low_study}) to {high} ({high_study}), p {p}."
        )
        said.append(
            told.format(
                curve=_curve(most, words),
                tokens=short_number(most["aligned"]),
                low=number(most["lowest"]),
                low_study=plain(most["lowest_study"]),
                high=number(most["highest"]),
                high_study=plain(most["highest_study"]),
                p=p_value(most["p_adjusted"]),
            )
        )
    return said


def _last(rows: pl.DataFrame, compared: pl.DataFrame, words: Words) -> str:
    """All studies' values at the last point of each curve that several of them have."""
    studies = compared["study"].unique(maintain_order=True).to_list()
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
                _curve(row, words),
                short_number(row["aligned"]),
                *(number(values[study]) if study in values else "–" for study in studies),
                "–" if row["p_adjusted"] is None else p_value(row["p_adjusted"]).lstrip("= "),
            ]
        )
    heads = [words("curve"), words("pre-training tokens"), *map(plain, studies), "p"]
    return csv_table(heads, lines)


def _curve(row: Mapping[str, object], words: Words) -> str:
    """Description of a curve."""
    if row["quantity"] == "kept":
        start, end = str(row["dataset"]).split(">")
        said = f"{words('tuned on ' + start)} → {words('tested on ' + end)}"
    else:
        said = words.dataset(str(row["dataset"]))
        if row["train_task"] is not None:
            said = f"{words.task(str(row['train_task']))} → {said}"
    return plain(said + (f" ({row['method']})" if row["method"] else ""))
