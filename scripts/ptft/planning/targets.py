"""Targets on Snakemake's command line: unknown ones are refused, naming similar ones."""

import difflib
import os
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from ptft.errors import StudyError
from ptft.paths import Results
from ptft.study import FinishedStudy, Grid


def require_targets(workflow, grid: Grid | FinishedStudy) -> None:
    """Refuse a target that is neither a rule nor a file of the study.

    Args:
        workflow: Snakemake's, with all rules read.
        grid: of the study.

    Raises:
        StudyError: naming similar targets, or how to ask for a cell.
    """
    if "snakemake" not in sys.argv[0]:
        return  # called by another program, whose arguments are its own
    from snakemake.cli import get_argument_parser

    asked, _ = get_argument_parser().parse_known_args()
    rules = {rule.name: rule for rule in workflow.rules}
    stages = [name for name, rule in rules.items() if not rule.has_wildcards()]
    made = [str(file) for name in stages for file in rules[name].output]
    for target in [*asked.targets, *asked.until, *asked.omit_from, *asked.forcerun]:
        if target in rules:
            continue
        if isinstance(grid, Grid):
            refuse_cell(target, grid)
        if os.path.exists(target):
            continue
        if not any(rule.is_producer(os.path.relpath(target)) for rule in workflow.rules):
            records = scored_models(grid) if isinstance(grid, Grid) else ()
            raise StudyError(
                f"{target!r} is neither a rule nor a file of this study; "
                f"{nearest(target, [*stages, *made, *records])}"
            )


def scored_models(grid: Grid) -> Iterator[str]:
    """The records of all scored models, which are what Snakemake knows of an evaluation."""
    results = Results(grid.name)
    for checkpoint, arm in grid.models():
        if not arm.parent:
            yield results.published_cells(checkpoint, arm.name)


def refuse_cell(target: str, grid: Grid) -> None:
    """Refuse a cell as a target: Snakemake knows records of scored models, not their cells.

    Raises:
        StudyError: the target is in the folder of the cells.
    """
    results = Results(grid.name)
    path = Path(os.path.relpath(target))
    if not path.is_relative_to(results.evaluations):
        return
    checkpoint, name = [*path.relative_to(results.evaluations).parts, "", ""][:2]
    arm = grid.arms.get(name)
    record = results.published_cells(checkpoint, arm.parent or name if arm else name)
    known = list(scored_models(grid))
    ask = record if record in known else nearest(record, known)
    raise StudyError(
        f"{target!r} is not a target: one job scores all cells of a model and is asked for by "
        f"their record ({ask}), all jobs by `evaluation`"
    )


def nearest(target: str, known: Collection[str]) -> str:
    """Names similar to an unknown one, or where to find them all."""
    close = difflib.get_close_matches(target, list(dict.fromkeys(known)), n=3)
    return (
        f"nearest: {', '.join(close)}" if close else "snakemake --list-target-rules shows the rules"
    )
