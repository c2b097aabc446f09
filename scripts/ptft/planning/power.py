"""Smallest difference of two scores that a study can show, from the sizes of its splits alone."""

import math
from statistics import NormalDist

from ptft.planning.workload import Workload

POWER = 0.8
"""share of studies that should find a true difference, as in the tables"""
CHANGED = 0.25
"""share of answers that are right with one model and wrong with the other: 0.5 for two independent
models that are right half of the time; 0.24 on other families in the pocket study"""


def smallest_difference(rows: int, level: float) -> float:
    """The smallest true difference of two models' accuracies that ``rows`` answers show.

    The normal quantiles of a two-sided test and of the power, added, times the standard error of a
    paired difference, sqrt(``CHANGED`` / rows), with one training seed.
    """
    normal = NormalDist()
    quantiles = normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(POWER)
    return quantiles * math.sqrt(CHANGED / rows)


def power_note(workload: Workload) -> str:
    """One line for the plan: what the study's smallest and largest test splits show."""
    grid = workload.grid
    sizes = [
        size
        for (dataset, split), size in workload.sizes.items()
        if split == "test" and not grid.is_text(dataset)
    ]
    if not sizes:
        return ""
    level = grid.study.analysis.level
    told = " to ".join(
        f"{smallest_difference(rows, level):.2g} at {rows:,}{'' if at else ' test rows'}"
        for at, rows in enumerate(dict.fromkeys(f(size.rows for size in sizes) for f in (min, max)))
    )
    assumed = "" if all(size.counted for size in sizes) else ", sizes assumed"
    return (
        f"smallest difference to be seen with {100 * POWER:.0f} % power: {told} (one seed, "
        f"{100 * CHANGED:.0f} % of the answers changed{assumed})"
    )
