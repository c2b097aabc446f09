"""What jobs ask of a cluster: time and memory, generously; ``ptft.planning.estimates`` says what to
expect.

A job that ends early costs nothing; one that is struck down has to be started again. What is asked
for grows with each attempt.
"""

import math
from dataclasses import dataclass
from functools import cached_property

from ptft.planning.estimates import DERIVE_SECONDS, Estimates
from ptft.planning.gpu_choice import Gpu
from ptft.planning.rates import ADAPTER, ADAPTER_SHARE
from ptft.planning.workload import Workload
from ptft.study.grid import BASE, Grid

BASE_MEMORY_MB = 4000
"""memory of a process on the host: its libraries, the text of its examples"""
EXAMPLE_BYTES = 9
"""of each encoded token (``ptft.prompts.tokens``)"""
LIMIT_FACTOR, LEAST_MINUTES = 3, 20
"""a time limit is so many times what is expected, and at least so long"""


@dataclass(frozen=True)
class Demands:
    """What the jobs of one study ask for."""

    grid: Grid
    gpus: tuple[Gpu, ...] = ()
    """models that a job may ask for"""

    @cached_property
    def estimates(self) -> Estimates:
        """What the jobs are expected to take, each on the GPU that its first attempt asks for."""
        return Estimates(self.grid, Workload(self.grid), self.gpus)

    @property
    def weights(self) -> int:
        """Weights of the model."""
        return self.estimates.weights

    def model_bytes(self, arm: str) -> int:
        """Disk of a fine-tuned model: bf16 where there is a GPU, else fp32; adapters in fp32."""
        if self.grid.arms[arm].method == ADAPTER:
            return math.ceil(self.weights * ADAPTER_SHARE * 4)
        return self.weights * (2 if self.grid.study.compute.gpus else 4)

    def finetune_minutes(self, arm: str, attempt: int) -> int:
        """Time limit of a fine-tuning."""
        return self._limit(self.estimates.finetune_seconds(arm), attempt)

    def evaluate_minutes(self, attempt: int, arm: str = BASE) -> int:
        """Time limit of an evaluation of an arm and of what is derived from it."""
        return self._limit(self._evaluate_seconds(len(self.grid.parents[arm])), attempt)

    def finetune_memory(self, arm: str, attempt: int) -> int:
        """MB of host memory: every process holds its libraries and all examples.

        The model is read in fp32 by one after another, and one saves its state (12 bytes a weight).
        """
        longest = self.grid.settings(arm).max_length
        sizes = [self.estimates.workload.sizes[name, "train"] for name in self.grid.learned(arm)]
        examples = EXAMPLE_BYTES * sum(size.rows * min(size.tokens, longest) for size in sizes)
        processes = max(1, self.grid.study.compute.gpus)
        return self._memory(processes * (BASE_MEMORY_MB + examples / 1e6), 20, attempt)

    def evaluate_memory(self, attempt: int, arm: str = BASE) -> int:
        """MB of host memory: the model is read once, and again by a backend with its own weights.

        Weights are derived in fp32 from those of the model and of its checkpoint.
        """
        readers = self.grid.model_copies
        deriving = 12 if self.grid.parents[arm] else 0
        return self._memory(readers * BASE_MEMORY_MB, readers * 6 + deriving, attempt)

    def finetune_gpu(self, arm: str, attempt: int) -> str | None:
        """Model of GPU for a fine-tuning, as sbatch is asked for it; None if any will do."""
        gpu = self.estimates.choice.training(arm, attempt)
        return gpu.name if gpu else None

    def evaluate_gpu(self, attempt: int) -> str | None:
        """The same for an evaluation."""
        gpu = self.estimates.choice.scoring(attempt)
        return gpu.name if gpu else None

    def evaluation_gpus(self) -> int:
        """GPUs of an evaluation: the engine works on one, so that n GPUs score n models."""
        return min(1, self.grid.study.compute.gpus)

    def warning_seconds(self) -> int:
        """How long before its time limit a job is told to save its state (at 500 MB/s)."""
        return 40 + math.ceil(12 * self.weights / 5e8)

    def _evaluate_seconds(self, derived: int) -> float:
        """The same for every model with as many derived arms, and asked for by each of them."""
        once, start = self._scoring_seconds, self.estimates.scoring_rates.start
        return once + derived * (once - start + DERIVE_SECONDS)

    @cached_property
    def _scoring_seconds(self) -> float:
        return self.estimates.evaluate_seconds()

    def _limit(self, seconds: float, attempt: int) -> int:
        return math.ceil(max(LEAST_MINUTES, LIMIT_FACTOR * seconds / 60)) * attempt

    def _memory(self, base_mb: float, bytes_per_weight: int, attempt: int) -> int:
        needed = base_mb + bytes_per_weight * self.weights / 1e6
        return math.ceil(needed * (1 + 0.5 * (attempt - 1)))
