"""A correction of Snakemake's executor plugin for Slurm (2.8.0).

At every status check the plugin asks the controller for MinJobAge, and takes no answer to mean
that `squeue` forgets jobs too soon: it then turns to `sacct`, and stays with it for all attempts
of that check. Where sacct is installed but nothing is accounted, a controller that is away for a
moment makes Snakemake forget its running jobs and wait for ever. Here the last answer holds.
"""

import sys
from collections.abc import Callable


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


def correct_status_queries() -> None:
    """Correct the plugin if Snakemake has loaded it, once."""
    plugin = sys.modules.get("snakemake_executor_plugin_slurm")
    if plugin is not None and plugin.get_min_job_age.__name__ != "ask_again":
        plugin.get_min_job_age = remember_last(plugin.get_min_job_age)
