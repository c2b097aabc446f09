"""Which of the cluster's GPU models a job asks for: the first that holds it, as far as is counted
(``ptft.planning.gpu_memory``); and a refusal, before the queue, of what none of them holds.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ptft.errors import StudyError, locate
from ptft.paths import Results
from ptft.planning.gpu_memory import GB, WEIGHT, GpuMemory
from ptft.planning.rates import ADAPTER, SMALL_MODEL
from ptft.planning.workload import Workload
from ptft.study.grid import Arm, Grid

MOST_GPUS = 64
"""of one machine, beyond which no number is proposed"""


@dataclass(frozen=True)
class Gpu:
    """A model of GPU."""

    memory_gb: float
    """as its vendor names it; GB of 2^30 bytes"""
    name: str | None = None
    """as sbatch is asked for it; None if any GPU will do"""
    speed: float = 1.0
    """relative to an H100"""

    def __str__(self) -> str:
        """As refusals name it."""
        return f"the largest GPU ({self.name})" if self.name else "a GPU"


@dataclass(frozen=True)
class GpuChoice:
    """The GPU models that the jobs of one study may ask for, the preferred first."""

    grid: Grid
    workload: Workload
    gpus: tuple[Gpu, ...] = ()
    """none where nothing is known of them"""

    def training(self, arm: str, attempt: int = 1) -> Gpu | None:
        """What the training of an arm asks for."""
        return self._first(self.of_arm(self.grid.arms[arm]).gigabytes, attempt)

    def scoring(self, attempt: int = 1) -> Gpu | None:
        """What an evaluation asks for."""
        return self._first(self.scoring_gigabytes, attempt)

    @property
    def largest(self) -> Gpu:
        """Of several as large, the first."""
        return max(self.gpus, key=lambda gpu: gpu.memory_gb)

    @cached_property
    def scoring_gigabytes(self) -> float:
        """At least so much is taken by an evaluation of its GPU."""
        sizes = {name: self.workload.sizes[name, "test"] for name in self.grid.prompted}
        # The longest prompt: an example and its shots, of the size that is known.
        prompt = max(size.tokens * (1 + max(self.grid.shots(name))) for name, size in sizes.items())
        # Text is scored with the base model beside the tuned one.
        compared = any(map(self.grid.is_text, self.grid.datasets)) and bool(self.grid.tasks)
        return self._memory.scoring(prompt, self.grid.model_copies + compared) / GB

    def of_arm(self, arm: Arm) -> "Training":
        """What its training takes."""
        return Training(self.grid, arm, self._memory, self.workload)

    @property
    def _memory(self) -> GpuMemory:
        return GpuMemory(self.grid.model.weights or SMALL_MODEL, self.grid.model.shape)

    def _first(self, gigabytes: float, attempt: int) -> Gpu | None:
        """The first that holds so much; then the next larger one for each further attempt.

        What is counted is the least that a job takes: an attempt may have failed by its memory.
        """
        if not self.gpus or not self.grid.study.compute.gpus:
            return None
        chosen = next((gpu for gpu in self.gpus if gpu.memory_gb >= gigabytes), self.largest)
        for _ in range(attempt - 1):
            larger = (gpu for gpu in self.gpus if gpu.memory_gb > chosen.memory_gb)
            chosen = next(larger, chosen)
        return chosen


def require_room(grid: Grid, gpus: tuple[Gpu, ...], folder: Path = Path()) -> None:
    """Refuse a study of which a model that is still to be made or scored does not fit its GPUs.

    Args:
        grid: of the study.
        gpus: models that its jobs may ask for; nothing is refused where none is known.
        folder: working directory of the study.

    Raises:
        StudyError: one does not fit; the message says how many GPUs it needs.
    """
    if not grid.study.compute.gpus or not gpus or not (arms := unfinished(grid, folder)):
        return
    choice = GpuChoice(grid, Workload(grid, folder), gpus)
    gpu, scoring = choice.largest, choice.scoring_gigabytes
    if scoring > gpu.memory_gb:
        raise _refusal(
            grid,
            f"scoring takes at least {scoring:.0f} GB, {gpu} has {gpu.memory_gb:.0f} GB, and a "
            "model is scored on one; use GPUs with more memory",
        )
    trainings = [choice.of_arm(arm) for arm in arms if arm.trained]
    most = max(trainings, key=lambda training: training.gigabytes, default=None)
    if most and most.gigabytes > gpu.memory_gb:
        raise _refusal(grid, most.refused(gpu))


def unfinished(grid: Grid, folder: Path) -> list[Arm]:
    """Arms of which a checkpoint has neither a model nor scores yet."""
    results = Results(grid.name)

    def made(checkpoint: str, arm: str) -> bool:
        files = [results.published_cells(checkpoint, arm)]
        if grid.arms[arm].trained:
            files.append(results.tuned(checkpoint, arm))
        return any((folder / file).exists() for file in files)

    return [
        arm
        for name, arm in grid.arms.items()
        if not all(made(checkpoint, name) for checkpoint in grid.checkpoints_of(name))
    ]


class Training:
    """What the training of one arm takes of a GPU."""

    def __init__(self, grid: Grid, arm: Arm, memory: GpuMemory, workload: Workload) -> None:
        settings = grid.settings(arm.name)
        sizes = [workload.sizes[name, "train"] for name in grid.learned(arm.name)]
        self.arm, self.memory, self.gpus = arm, memory, grid.study.compute.gpus
        self.sharded = settings.sharding == "full"
        longest = max(size.longest or size.tokens for size in sizes)
        self.tokens = min(longest, settings.max_length)
        # The checkpoint's weights: to be near them, and to be compared with them.
        self.copies = (settings.l2sp > 0) + (settings.kl > 0 and arm.method != ADAPTER)
        self.extra = settings.extra_bytes
        self.gigabytes = self.on(self.gpus, self.sharded)

    def on(self, gpus: int, sharded: bool) -> float:
        """GB of each of so many GPUs."""
        adapter = self.arm.method == ADAPTER
        copies = self.copies * WEIGHT * self.memory.weights / (gpus if sharded else 1)
        # Nothing but the adapter is trained, so what is extra is of little.
        extra = 0 if adapter else self.extra * self.memory.weights
        return (self.memory.training(gpus, sharded, self.tokens, adapter) + copies + extra) / GB

    def refused(self, gpu: Gpu) -> str:
        """Why it can't run on GPUs of this model, and how many it needs."""
        counts = range(1, MOST_GPUS + 1)
        enough = next((count for count in counts if self.on(count, True) <= gpu.memory_gb), None)
        if enough is None:
            way = "no number of GPUs is enough; use some with more memory, or lower max_length"
        elif enough == 1:
            way = "it fits one: set compute.gpus: 1"
        else:
            key = f"finetune.{self.arm.method}.settings.sharding: full"
            way = f"it needs {enough}: set compute.gpus: {enough}"
            way += "" if self.sharded else f" and {key}"
        where = f"each of {self.gpus} GPUs" if self.gpus > 1 else "its GPU"
        return (
            f"{self.arm.method}.{self.arm.task} takes at least {self.gigabytes:.0f} GB of {where}, "
            f"{gpu} has {gpu.memory_gb:.0f} GB; {way}"
        )


def _refusal(grid: Grid, message: str) -> StudyError:
    return StudyError(f"{locate(('compute', 'gpus'), grid.files)}: compute.gpus: {message}")
