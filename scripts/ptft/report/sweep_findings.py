"""Sentences on swept settings: which exist, which were chosen, which are at an edge."""

from __future__ import annotations

import polars as pl

from ptft.analysis.tuned_models import CHOSEN, shown_settings
from ptft.language.translation import Translate
from ptft.report.rst import listed, literal


def sweep_findings(arms: pl.DataFrame, translate: Translate) -> list[str]:
    """One sentence per swept method, and one on choices at the edge of the sweep."""
    sentences = []
    as_is = translate("as it is")
    for method, setting in shown_settings(arms).iter_rows():
        own = arms.filter(pl.col("method") == method)["setting"].unique(maintain_order=True)
        settings = own.fill_null(as_is)
        if own.null_count() == len(own):
            continue
        if setting == CHOSEN:
            which = translate(
                "statements below are about the setting that validation chooses at each "
                "checkpoint and task"
            )
        else:
            which = translate(
                "statements below are about {setting}, the first, because some settings have "
                "no validation loss"
            ).format(setting=literal(setting or as_is))
        sentences.append(
            translate(
                "{method} is swept over {n} settings ({settings}): {which}; the tables have each "
                "of them."
            ).format(
                method=literal(method),
                n=len(settings),
                settings=listed(settings.to_list()),
                which=which,
            )
        )
    edges = arms.filter("at_edge").unique(
        ["checkpoint", "method", "train_task"], maintain_order=True
    )
    if len(edges):
        models = arms.filter("chosen").unique(["checkpoint", "method", "train_task"])
        sentences.append(
            translate(
                "{n} of {all} choices are at an edge of the sweep, so a better setting may "
                "exist beyond it: {names}."
            ).format(
                n=len(edges),
                all=len(models),
                names=", ".join(
                    f"{row['method']} {literal(row['train_task'])} {row['checkpoint']} "
                    f"({row['setting'] or as_is})"
                    for row in edges.iter_rows(named=True)
                ),
            )
        )
    return sentences
