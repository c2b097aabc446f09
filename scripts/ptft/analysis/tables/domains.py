"""In-domain against out-of-domain change."""

from __future__ import annotations

import polars as pl

from ptft.analysis.estimates import Changes, aggregate, flag_holes
from ptft.analysis.scores import CHECKPOINT, METHOD, Scores
from ptft.analysis.settings import Settings


def domains(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Mean gain of a task's models on its own test sets and on the rest of its family.

    One row per (task, method, domain, checkpoint), domain `in`, `out` or `cross`: gain = mean over
    the datasets of that domain of tuned minus base, its interval, and the datasets averaged over.
    ``complete`` is false where a dataset that other checkpoints have is missing.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs()
    line = ["train_task", *METHOD, "domain"]
    by = [*line, *CHECKPOINT]
    table = aggregate(pairs, "gain", Changes.of(view, pairs), by, settings.level)
    return flag_holes(table, line).sort(*line, "index")
