"""Learned and forgotten examples: what fine-tuning turns right, and what it turns wrong."""

from __future__ import annotations

import polars as pl

from ptft.analysis.scores import ARM, CHECKPOINT, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import adjust_p_values, sign_test


def transitions(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Shares of examples that score higher (gained) and lower (lost) after fine-tuning.

    For right-or-wrong scores these are the examples turned right and turned wrong, and ``p`` is
    the exact McNemar test of the two (1947); for ROUGE-L it is the sign test. ``p_adjusted`` is
    adjusted over the whole table (Benjamini and Hochberg, 1995). Both are about the examples: with
    several training seeds the shares are means over these seeds, tested as if they were one run's,
    and say nothing of another seed (table `gains` does).

    One row a (checkpoint, arm, dataset); empty where no per-example results are known.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().filter(pl.col("gained").is_not_null())
    pairs = pairs.sort(*ARM, "domain", "dataset", "index")
    table = pairs.select(
        *CHECKPOINT, *ARM, "domain", "family", "dataset", "kind", "n", "gained",
        "lost", (pl.col("gained") - pl.col("lost")).alias("net"),
    )  # fmt: skip
    p_values = [
        sign_test(round(gained * n), round(lost * n))
        for gained, lost, n in table.select("gained", "lost", "n").iter_rows()
    ]
    p = pl.Series("p", p_values, dtype=pl.Float64)
    return table.with_columns(p, pl.Series("p_adjusted", adjust_p_values(p.to_numpy())))
