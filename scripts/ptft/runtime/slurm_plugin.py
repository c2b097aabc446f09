"""The one correction of a plugin of Snakemake: of its executor for Slurm (2.8.0).

Report for its authors: *An outage of slurmctld of some seconds loses running jobs for good where
`sacct` is installed but nothing is accounted.* With `--slurm-status-command squeue`, each status
check calls `scontrol show config` for MinJobAge (`get_min_job_age`). While the controller is away
the call fails, which is taken as "squeue forgets too early": all attempts of this check, minutes
of them, then call `sacct`, and fail, though the controller is back after some seconds. Then the
list of active jobs is empty ("No active jobs; skipping status query"), and Snakemake waits forever
for jobs that it no longer asks for. Suggested: keep the last MinJobAge, and choose the status
command anew at each attempt.

Shown on the Slurm of the tests: after 38 s without the controller, Snakemake went on waiting for a
job that had ended; with this correction, after 13 s, it noticed the end within 14 s.
"""

import sys
from collections.abc import Callable
from typing import Any


def remember_last(ask: Callable[[], int | None]) -> Callable[[], int | None]:
    """The same query; if it fails, its last answer."""
    last: int | None = None

    def ask_again() -> int | None:
        nonlocal last
        answer = ask()
        if answer is not None:
            last = answer
        return last

    return ask_again


def correct_status_queries() -> None:
    """Correct the plugin if Snakemake has loaded it, once; ask for the first answer now."""
    plugin: Any = sys.modules.get("snakemake_executor_plugin_slurm")
    if plugin is not None and plugin.get_min_job_age.__name__ != "ask_again":
        plugin.get_min_job_age = remember_last(plugin.get_min_job_age)
        plugin.get_min_job_age()
