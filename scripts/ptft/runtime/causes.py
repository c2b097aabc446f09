"""Why a program failed, by its log."""

import re
from collections.abc import Sequence
from pathlib import Path

# A refusal of one of our programs; the last line of a traceback, of any process of torchrun.
REFUSAL = re.compile(r"error: (.+)")
EXCEPTION = re.compile(
    r"(?:\[rank\d+\]: *)?((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)(?:: .*)?)"
)
WRAPPERS = ("ChildFailedError", "CalledProcessError")  # they say that a process failed


def log_lines(path: Path) -> list[str]:
    """Lines of a log, without empty ones; none where there is no log."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def cause(lines: Sequence[str]) -> str | None:
    """Why a program failed; None where its log does not say.

    The last refusal of a program counts, else the last exception.
    """
    for pattern in (REFUSAL, EXCEPTION):
        found = [match[1] for line in lines if (match := pattern.fullmatch(line))]
        told = [text for text in found if not any(name in text for name in WRAPPERS)]
        if told:
            return told[-1]
    return None
