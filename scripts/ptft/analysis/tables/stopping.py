"""When pre-training could have stopped, as far as a fine-tuning task is concerned."""

from __future__ import annotations

import polars as pl

from ptft.analysis.scores import ARM, Scores
from ptft.analysis.settings import Settings

CURVE = [*ARM, "dataset"]
# A margin that is a larger share of the last score than this can't tell a loss from none.
LARGE_MARGIN = 0.2


def stopping(scores: Scores, settings: Settings) -> pl.DataFrame:
    """For every task, the checkpoint from which more pre-training adds at most the margin.

    One row per (arm, dataset of its own test sets): the stop by the scores as they are, the
    earliest checkpoint from which on no score is more than the margin below the last one, and the
    share of the tokens that it saves, null where a checkpoint's count is not known (`main` often).
    The stop that holds with confidence is the claim `stop` of table `claims`. ``too_low``: the
    margin is more than a fifth of the last score, so such a row gives no verdict.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().filter(domain="in").sort(*CURVE, "index")
    margin, stop = settings.stop_margin, as_good_from_here(settings.stop_margin)
    curves = pairs.group_by(CURVE, maintain_order=True).agg(
        pl.col("metric", "format", "shots").first(),
        n_seeds=pl.col("n_seeds").min(),
        margin=pl.lit(margin, pl.Float64),
        n_checkpoints=pl.len().cast(pl.Int64),
        last_checkpoint=pl.col("checkpoint").last(),
        last_score=pl.col("value").last(),
        too_low=margin > LARGE_MARGIN * pl.col("value").last(),
        stop_checkpoint=pl.col("checkpoint").filter(stop).first(),
        stop_index=pl.col("index").filter(stop).first(),
        stop_score=pl.col("value").filter(stop).first(),
        stop_share_saved=share_saved(
            pl.col("tokens").filter(stop).first(), pl.col("tokens").last()
        ),
    )
    return curves.filter(pl.col("n_checkpoints") > 1)


def as_good_from_here(margin: float) -> pl.Expr:
    """Whether no score (``value``) from here on is more than the margin below the last one."""
    near = pl.col("value") >= pl.col("value").last() - margin
    return near.cast(pl.Int8).reverse().cum_min().reverse() == 1


def share_saved(stop: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """The share of the tokens that an earlier stop saves."""
    return pl.when(whole > 0).then((whole - stop) / whole)
