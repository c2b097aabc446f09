"""What a study has that not every one has; figures are planned by it."""

from __future__ import annotations

from ptft.study.grid import Grid

FULL = ("full", None, None)


def contents(grid: Grid) -> set[str]:
    """Those of `examples`, `formats`, `methods` and `texts` that a study has.

    `methods`: full fine-tuning on a task, and another method on it to compare, which another
    learning rate is not (``ptft.analysis.tables.remedies``).
    """
    methods: dict[str | None, set] = {}
    for arm in grid.arms.values():
        if arm.method is not None:
            swept = None if arm.swept == "lr" else arm.swept
            methods.setdefault(arm.task, set()).add((arm.method, swept, arm.derived))
    found = {
        "examples": True,
        "formats": any(len(grid.formats(dataset)) > 1 for dataset in grid.prompted),
        "methods": any(FULL in known and len(known) > 1 for known in methods.values()),
        "texts": any(map(grid.is_text, grid.datasets)),
    }
    return {name for name, there in found.items() if there}
