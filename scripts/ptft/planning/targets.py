"""Targets on Snakemake's command line: what nobody can make is refused, with what is near it."""

import difflib
import os
import sys
from collections.abc import Collection, Iterable

from ptft.files.errors import StudyError


def require_targets(workflow, files: Iterable[str] = ()) -> None:
    """Refuse what the command line asks for and neither a rule nor a file of the study is.

    Args:
        workflow: Snakemake's, with all rules read.
        files: of the study, beside the outputs without wildcards; named where they are near.

    Raises:
        StudyError: naming what is nearest to it.
    """
    if "snakemake" not in sys.argv[0]:
        return  # called by another program, whose arguments are its own
    from snakemake.cli import get_argument_parser

    asked, _ = get_argument_parser().parse_known_args()
    rules = {rule.name: rule for rule in workflow.rules}
    stages = [name for name, rule in rules.items() if not rule.has_wildcards()]
    made = [str(file) for name in stages for file in rules[name].output]
    for target in [*asked.targets, *asked.until, *asked.omit_from, *asked.forcerun]:
        if target in rules or os.path.exists(target):
            continue
        if not any(rule.is_producer(os.path.relpath(target)) for rule in workflow.rules):
            raise StudyError(
                f"{target!r} is no rule and no file of this study; "
                f"{nearest(target, [*stages, *made, *files])}"
            )


def nearest(target: str, known: Collection[str]) -> str:
    """The names that are nearest to one that does not exist, or where to find them all."""
    close = difflib.get_close_matches(target, list(dict.fromkeys(known)), n=3)
    return (
        f"nearest: {', '.join(close)}" if close else "snakemake --list-target-rules shows the rules"
    )
