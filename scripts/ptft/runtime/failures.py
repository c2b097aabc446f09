"""Why a job failed: the cause first, one command, the last lines of its log.

Snakemake prints the command twice, with all inputs and outputs, and then the whole log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# A refusal of one of our programs; the last line of a traceback, of any process of torchrun.
REFUSAL = re.compile(r"error: (.+)")
EXCEPTION = re.compile(
    r"(?:\[rank\d+\]: *)?((?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception)(?:: .*)?)"
)
USAGE = re.compile(r"│ (.*\w.*?) +│")  # a command line that a program does not understand, in a box
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

    The last refusal of a program counts, else the last exception, else what is wrong with its
    command line.
    """
    for pattern in (REFUSAL, EXCEPTION):
        found = [match[1] for line in lines if (match := pattern.fullmatch(line))]
        told = [text for text in found if not any(name in text for name in WRAPPERS)]
        if told:
            return told[-1]
    return next((match[1] for line in lines if (match := USAGE.fullmatch(line))), None)


LAST_LINES = 15


def describe(error: Mapping[str, Any], show_log: bool) -> str:
    """A failed job in a few lines, the cause first.

    Args:
        error: Snakemake's record of it: rule_name, jobid, rule_msg (of the executor), shellcmd,
            and log: the job's own and, on a cluster, that of the cluster's job.
        show_log: whether the last lines of the log are wanted.
    """
    logs = {name: log_lines(Path(name)) for name in error["log"]}
    name = next((name for name, lines in logs.items() if lines), None)
    lines = logs.get(name, [])
    executor = (error["rule_msg"] or "").strip()
    why = cause(lines) or executor.split("\n")[0] or (lines or ["the program said nothing"])[-1]
    told = [f"Error: {why}", f"    rule: {error['rule_name']}, job {error['jobid']}"]
    if executor and executor.split("\n")[0] != why:
        told.append(f"    executor: {executor}")
    if error["shellcmd"]:
        told.append(f"    command: {error['shellcmd'].strip()}")
    if error["log"]:
        told.append(f"    log: {', '.join(error['log'])}")
    if show_log and not all(REFUSAL.fullmatch(line) for line in lines):
        told += [f"    last lines of {name}:"]
        told += [f"        {line}" for line in lines[-LAST_LINES:]]
    return "\n".join(told)
