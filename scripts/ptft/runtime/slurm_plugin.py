"""Two corrections of Snakemake's executor plugin for Slurm (2.8.0).

While no job ends, the plugin waits 10 s longer between status checks each time, up to 3 minutes, so
a chain of jobs is idle for that long after each job. Here it waits no longer than three times
`slurm-init-seconds-before-status-checks`.

At every status check the plugin asks the controller for MinJobAge, and interprets no answer as
`squeue` forgetting jobs too soon: it then uses `sacct` for all attempts
of that check. If sacct is installed but nothing is accounted, a controller that is away for a
moment makes Snakemake forget its running jobs and wait forever. Here the last answer is reused.
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


def at_most_three_times_the_first(seconds: property) -> property:
    """The executor's seconds between status checks, kept from growing further."""

    store = seconds.fset
    assert store is not None

    def keep(executor: Any, wanted: float) -> None:
        first = executor.workflow.executor_settings.init_seconds_before_status_checks
        store(executor, min(wanted, 3 * first))

    return seconds.setter(keep)


def correct_status_queries() -> None:
    """Correct the plugin if Snakemake has loaded it, once."""
    plugin: Any = sys.modules.get("snakemake_executor_plugin_slurm")
    if plugin is not None and plugin.get_min_job_age.__name__ != "ask_again":
        plugin.get_min_job_age = remember_last(plugin.get_min_job_age)
        plugin.Executor.next_seconds_between_status_checks = at_most_three_times_the_first(
            plugin.Executor.next_seconds_between_status_checks
        )
