"""Two corrections of Snakemake's executor plugin for Slurm (2.8.0).

While no job ends, the plugin asks for their states 10 s later each time, up to 3 minutes: a chain
of jobs stands still for as long after each of them. Here it waits no longer than three times
`slurm-init-seconds-before-status-checks`.

At every status check the plugin asks the controller for MinJobAge, and takes no answer to mean
that `squeue` forgets jobs too soon: it then turns to `sacct`, and stays with it for all attempts
of that check. Where sacct is installed but nothing is accounted, a controller that is away for a
moment makes Snakemake forget its running jobs and wait for ever. Here the last answer holds.
"""

import sys
from collections.abc import Callable
from typing import Any


def remember_last(ask: Callable[[], int | None]) -> Callable[[], int | None]:
    """The same question; while it is not answered, the answer it had before."""
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
