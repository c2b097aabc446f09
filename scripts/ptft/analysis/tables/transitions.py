"""Learned and forgotten examples: what fine-tuning turns right, and what it turns wrong."""

from __future__ import annotations

import numpy as np
import polars as pl

from ptft.analysis.cell_scores import GAINED
from ptft.analysis.draws import Derived
from ptft.analysis.estimates import Estimates, SeedPart, with_interval
from ptft.analysis.scores import ARM, CHECKPOINT, GROUP, Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import adjust_p_values, sign_test


def transitions(scores: Scores, settings: Settings) -> pl.DataFrame:
    """Shares of examples that score higher (gained) and lower (lost) after fine-tuning.

    For right-or-wrong scores these are the examples turned right and turned wrong, and ``p`` is
    the exact McNemar test of the two (1947); for ROUGE-L it is the sign test. ``p_adjusted`` is
    adjusted over the whole table (Benjamini and Hochberg, 1995). Both are about the examples: with
    several training seeds the shares are means over these seeds, tested as if they were one run's,
    and say nothing of another seed (table `gains` does).

    ``learned`` and ``forgotten`` are these shares less ``guessed``, what answering at random moves
    either way: b c (1 - c), with c the chance of a random answer and b the share of examples that
    both models guess. A model of accuracy a that knows some answers and guesses the others guesses
    (1 - a) / (1 - c), all at most (the correction for guessing of tests). What the worse model
    knows the better one is taken to know, too, so that b is the lesser of the two, and the product
    c min(1 - c, 1 - max(a_base, a_tuned)). Guesses turn as many answers right as wrong: where fewer
    are gained or lost, that is ``guessed``. So it is the most that guessing explains, and
    learned - forgotten = net. The idea of shares without guesses is that of Harmon et al. (2025,
    arXiv 2510.17776). Intervals are from the same resamples. All are null where there are no
    choices, as for ROUGE-L.

    One row per (checkpoint, arm, dataset); empty where no per-example results are known.
    """
    view = scores.main_view(settings.format, settings.shots)
    pairs = view.pairs().filter(pl.col("gained").is_not_null())
    pairs = pairs.sort(*ARM, "domain", "dataset", "index")
    table = pairs.select(
        *CHECKPOINT, *ARM, "domain", "family", "dataset", "kind", "n", "gained",
        "lost", (pl.col("gained") - pl.col("lost")).alias("net"),
    )  # fmt: skip
    gained, lost = ((table[name] * table["n"]).to_numpy() for name in ("gained", "lost"))
    p = pl.Series("p", sign_test(np.rint(gained), np.rint(lost)), dtype=pl.Float64)
    table = table.with_columns(p, pl.Series("p_adjusted", adjust_p_values(p.to_numpy())))
    return _without_guesses(table, view, pairs, settings.level, scores.against_base.get(GAINED))


def moved_by_guessing(
    gained: np.ndarray, base: np.ndarray, tuned: np.ndarray, chance: np.ndarray
) -> np.ndarray:
    """The most of the shares gained and lost that answering at random moves: ``guessed`` above.

    Args:
        gained: share of the examples turned right.
        base, tuned: accuracies, which say with it how many are turned wrong.
        chance: of a random answer being right. NaN gives NaN. All broadcast.
    """
    random = chance * np.minimum(1 - chance, 1 - np.maximum(base, tuned))
    return np.clip(np.minimum(gained, gained - (tuned - base)), 0, random)


def _without_guesses(
    table: pl.DataFrame, view: Scores, pairs: pl.DataFrame, level: float, turned: Scores | None
) -> pl.DataFrame:
    """Add guessed, learned and forgotten.

    Args:
        turned: what ``gained`` is made of; None where that was not kept: there are no intervals.
    """
    chance = pairs["chance"].cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]
    base, rows = pairs["base"].to_numpy()[:, None], pairs["row"].to_numpy()
    base_rows = pairs["base_row"].to_numpy()
    gained_draws, gained_by_seed = _gained(view, pairs, turned)

    def parts(
        gained: np.ndarray, tuned: np.ndarray, base: np.ndarray, chance: np.ndarray = chance
    ) -> tuple[np.ndarray, ...]:
        guessed = moved_by_guessing(gained, base, tuned, chance.astype(tuned.dtype))
        return guessed, gained - guessed, gained - (tuned - base) - guessed

    def drawn(part: int) -> Derived:
        return Derived(
            gained_draws.shape,
            lambda at: parts(
                gained_draws[at], view.draws[rows[at]], view.draws[base_rows[at]], chance[at]
            )[part],
        )

    gained, tuned = (pairs[name].to_numpy()[:, None] for name in ("gained", "value"))
    values = parts(gained, tuned, base)
    by_seed = parts(gained_by_seed, view.by_seed[rows], base)
    for at, name in enumerate(("guessed", "learned", "forgotten")):
        estimates = Estimates(values[at][:, 0], drawn(at), SeedPart.of(by_seed[at]))
        table = table.with_columns(pl.Series(name, estimates.values, pl.Float64).fill_nan(None))
        if name != "guessed":
            table = with_interval(table, estimates, level, f"{name}_")
    return table


def _gained(view: Scores, pairs: pl.DataFrame, turned: Scores | None) -> tuple[Derived, np.ndarray]:
    """Draws (N, R) and scores by seed (N, S) of the shares gained; NaN where they are not known."""
    shape = (len(pairs), view.draws.shape[1])
    by_seed = np.full((len(pairs), view.by_seed.shape[1]), np.nan)
    if turned is None:
        return Derived(shape, lambda at: np.full((len(at), shape[1]), np.nan, np.float32)), by_seed
    found = pairs.select(GROUP).join(
        turned.cells, on=GROUP, how="left", nulls_equal=True, maintain_order="left"
    )
    known = found["row"].is_not_null().to_numpy()
    rows = found["row"].fill_null(0).to_numpy()
    by_seed[known] = turned.by_seed[rows[known]]
    counted = turned.among(found.filter(pl.col("row").is_not_null())).draws

    def draws(at: np.ndarray) -> np.ndarray:
        made = np.full((len(at), shape[1]), np.nan, np.float32)
        made[known[at]] = counted[rows[at][known[at]]]
        return made

    return Derived(shape, draws), by_seed
