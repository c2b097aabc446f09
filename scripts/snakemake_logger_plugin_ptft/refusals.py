"""Snakemake's refusals, with the way out that its message lacks."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ptft.errors import StudyError, require_readable
from ptft.paths import Results

if TYPE_CHECKING:
    from ptft.study.grid import Grid

NO_YAML = ("Config file is not valid", "Config file must be given")
STAGES = ("checkpoints", "datasets", "finetuning", "evaluation", "tables", "figures", "export")
"""rules that name all of a stage"""
LISTED = "`snakemake --list-target-rules` shows the rules"
NO_RULE = re.compile(r"No rule to produce (\S+)")


def mended(text: str, grid: Grid | None) -> str:
    """The text of an error; of a study that is no YAML, and of an unknown target, with more.

    Args:
        text: Snakemake's own.
        grid: None where nothing is scored, or no study was read.
    """
    if any(words in text for words in NO_YAML):
        return "\n".join(unreadable()) or text
    if grid is not None and (found := NO_RULE.search(text)):
        return f"{found[1]!r} {nearest(found[1], grid)}"
    return text


def unreadable() -> Iterator[str]:
    """Mistakes, with file and line, in the YAML files that the command names."""
    for word in sys.argv[1:]:
        file = Path(word)
        if file.suffix in (".yaml", ".yml", ".json") and file.is_file():
            try:
                require_readable([file])
            except StudyError as error:
                yield str(error)


def nearest(target: str, grid: Grid) -> str:
    """A guess at the meaning of a target that no rule makes.

    A cell is none: Snakemake knows records of scored models, not their cells.
    """
    results, path = Results(grid.name), Path(os.path.relpath(target))
    records = [
        results.scored_model(checkpoint, arm.name)
        for checkpoint, arm in grid.models()
        if not arm.parent
    ]
    if path.is_relative_to(results.evaluations):
        checkpoint, name = [*path.relative_to(results.evaluations).parts, "", ""][:2]
        arm = grid.arms.get(name)
        record = results.scored_model(checkpoint, arm.parent or name if arm else name)
        of = record if record in records else f"one of {results.scored_models}"
        return (
            "is not a target: one job scores all cells of a model and is asked for by their "
            f"record ({of}), all jobs by `evaluation`"
        )
    known = [*records, results.report, results.table("cells"), *STAGES]
    close = difflib.get_close_matches(target, known, n=3)
    way = f"nearest: {', '.join(close)}" if close else LISTED
    return f"is neither a rule nor a file of this study; {way}"
