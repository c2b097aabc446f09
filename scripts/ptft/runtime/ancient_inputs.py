"""A correction of how Snakemake (9.27) decides what to run, where an input is `ancient`.

Of a job that has to run, Snakemake takes it that all jobs behind it have to run as well, and does
not look at their own reasons: changed params, changed inputs. Behind an ancient input they do not
have to run, and so a change of theirs was passed over in silence: with the audit made again, an
edited template scored nothing again (snakemake/snakemake#4166). Here it looks behind ancient
inputs.
"""

import sys
from collections.abc import Iterator, Mapping


class FirmEdges(Mapping):
    """The edges of a graph of jobs, job -> {job: files}, without those of ancient files alone."""

    def __init__(self, edges: Mapping):
        self._edges = edges

    def __getitem__(self, job) -> dict:
        return {
            other: files
            for other, files in self._edges[job].items()
            if not all(file.is_ancient for file in files)
        }

    def __iter__(self) -> Iterator:
        return iter(self._edges)

    def __len__(self) -> int:
        return len(self._edges)


def look_behind_ancient_inputs() -> None:
    """Correct Snakemake, once."""
    from snakemake.dag import DAG

    walk = DAG.bfs
    if walk.__name__ == "walk_firmly":
        return

    def walk_firmly(self, direction, *jobs, **options):
        if sys._getframe(1).f_code.co_name == "update_needrun":
            direction = FirmEdges(direction)
        return walk(self, direction, *jobs, **options)

    DAG.bfs = walk_firmly
