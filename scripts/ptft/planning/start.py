"""Steps of the main process before Snakemake plans, and before the first job runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from pathlib import Path

from ptft import paths
from ptft.errors import StudyError, exit_with_message
from ptft.evaluation.cells import require_backend
from ptft.files import Slices
from ptft.planning.gpus import Gpu, require_room
from ptft.runtime.contents import Contents
from ptft.runtime.locks import StudyLockError, lock_shared, lock_study
from ptft.study.checks import notes
from ptft.study.finished import FinishedStudy
from ptft.study.grid import Grid
from ptft.study.load import LIBRARY, note_owner
from ptft.study.sources import require_sources, shared_and_absent

IMAGE = LIBRARY.parent / "envs/container.sif"
"""of the jobs under `--sdm apptainer`"""


def look_ahead(study: Grid | FinishedStudy, gpus: tuple[Gpu, ...], deployment: Collection) -> None:
    """Refuse what would fail hours later; print what a reader of the plan should know.

    Args:
        gpus: models that jobs may ask for.
        deployment: ways in which Snakemake gives jobs an environment (``--sdm``).
    """
    with exit_with_message():
        if any(str(method) == "apptainer" for method in deployment) and not IMAGE.exists():
            place = os.path.relpath(IMAGE)
            raise StudyError(
                f"--sdm apptainer: {place} does not exist; build it with `make container`"
            )
        if isinstance(study, Grid):
            require_sources(study)
            require_room(study, gpus)
            for note in notes(study):
                print(note, file=sys.stderr)


def begin(
    study: Grid | FinishedStudy, gathered: Collection[Slices | Contents], deployment: Collection
) -> None:
    """Take the study, and what it shares and is going to make, for this process.

    What was gathered while Snakemake planned is written: slices of jobs, notes of what they read.
    A process that can't ends with one sentence.
    """
    with exit_with_message(StudyLockError, ModuleNotFoundError):
        # An environment that Snakemake makes for a job may hold what is missing here.
        if isinstance(study, Grid) and not deployment:
            require_backend(study.generation_backend)
        lock_study(Path(study.results.root))
        if isinstance(study, Grid):
            lock_shared(shared_and_absent(study), Path(paths.SHARED_LOCK))
    note_owner(study.results, study.files)
    for what in gathered:
        what.write()
