"""Conditions of a sentence of the report: prompt format, shots, training seeds."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from ptft.analysis.tuned_models import CHOSEN
from ptft.language.translation import Translate
from ptft.report.rst import listed


class Conditions:
    """Format and shots of the prompts that datasets were scored with, in words.

    Args:
        scores: rows with dataset, format, shots and truncated (share of prompts cut to fit the
            context), of one format and one number of shots per dataset.
        translate: into the report's language.
    """

    def __init__(self, scores: pl.DataFrame, translate: Translate) -> None:
        self._scores, self._say = scores, translate

    def of(self, datasets: Iterable[str]) -> str:
        """Format and shots of these datasets, in words."""
        rows = self._scores.filter(pl.col("dataset").is_in(list(datasets)))
        return self._say("format {formats}, {shots}").format(
            formats=listed(rows["format"].unique().sort().to_list()),
            shots=shots_said(rows, self._say),
        )


def shots_said(rows: pl.DataFrame, translate: Translate) -> str:
    """Every number of shots of scores, with a note where prompts were cut to fewer.

    Args:
        rows: with shots and truncated, the share of a score's prompts cut to fit the context;
            with shots, the prompts that lost some.
    """
    found = rows.group_by("shots").agg(pl.col("truncated").mean()).sort("shots")
    said = translate(", ").join(number_of_shots(*row, translate) for row in found.iter_rows())
    return translate("shots: {shots}").format(shots=said or "–")


def number_of_shots(shots: int, truncated: float | None, translate: Translate) -> str:
    """The number of shots asked for, with a note if prompts were cut to fewer."""
    if not shots or not truncated:
        return str(shots)
    if truncated == 1:
        return translate("fewer than {shots} (all prompts were cut)").format(shots=shots)
    return translate("{shots} (fewer in {share} % of the prompts)").format(
        shots=shots, share=f"{100 * truncated:.2g}"
    )


def seeds_said(seeds: int, translate: Translate) -> str:
    """How many training seeds a statement is based on."""
    return translate("one seed") if seeds == 1 else translate("{n} seeds").format(n=seeds)


def arm_said(row: dict, translate: Translate) -> str:
    """Method, setting, derivation and seeds of a row of a table."""
    parts = [row["method"], setting_said(row.get("setting"), translate)]
    if row.get("derived"):
        parts.append(f"{row['derived']} {row['strength']:g}")
    return translate(", ").join([*filter(None, parts), seeds_said(row["n_seeds"], translate)])


def setting_said(setting: str | None, translate: Translate) -> str:
    """A swept setting, which may differ between checkpoints and tasks."""
    return translate("chosen by validation") if setting == CHOSEN else setting or ""
