"""What jobs take: time, memory and disk, estimated from the model's size and the study.

Estimates, not promises. They size the requests to a cluster (with room to spare, growing with
each attempt) and the plan's GPU-hours. The assumptions are the constants below.
"""

import math
from dataclasses import dataclass

from ptft.study.grid import Grid

TRAINING_FLOPS = 2.4e14
"""a GPU's useful operations a second in training: 30 % of an H200's 790e12 in bf16"""
SCORING_FLOPS = 2.0e14
"""the same in evaluation, prompts being short"""
CPU_FLOPS = 2.0e10
"""the same of a core, in fp32"""
GENERATING_SHARE = 0.05
"""useful operations in generation, one token after another, relative to reading prompts"""
EXAMPLE_TOKENS = 128
"""tokens of an example with its prompt, where nothing is known of the data"""
TRAIN_EXAMPLES, TEST_EXAMPLES = 6000, 2000
"""examples of a split whose size the study leaves open"""
START_SECONDS = 30.0
"""loading the libraries and the model"""
SMALL_MODEL = 10_000_000
"""weights of a model whose size its file does not tell (the pocket models)"""
BASE_MEMORY_MB = 4000
"""memory of the libraries on the host"""


@dataclass(frozen=True)
class Demands:
    """Estimates for the jobs of one study."""

    grid: Grid

    @property
    def weights(self) -> int:
        """Weights of the model."""
        return self.grid.model.parameters or SMALL_MODEL

    @property
    def model_bytes(self) -> int:
        """Disk of a fine-tuned model: bf16 where there is a GPU, else fp32."""
        return self.weights * (2 if self.grid.study.compute.gpus else 4)

    def finetune_seconds(self, arm: str) -> float:
        """Time of one fine-tuning: 6 operations a weight and token (forward and backward)."""
        sliced = self.grid.finetune_slice(arm)
        dataset = self.grid.task_dataset(self.grid.arms[arm].task)
        data = self.grid.study.data
        examples = data.train_of.get(dataset, data.train) or TRAIN_EXAMPLES
        tokens = examples * EXAMPLE_TOKENS * sliced["settings"]["epochs"]
        return START_SECONDS + 6 * self.weights * tokens / self._speed(TRAINING_FLOPS)

    def cell_seconds(self, dataset: str, shots: int) -> float:
        """Time of one cell: 2 operations a weight and token; shots are encoded once."""
        examples = self.grid.study.data.test or TEST_EXAMPLES
        tokens = (examples + shots) * EXAMPLE_TOKENS
        family = self.grid.families[self.grid.family(dataset)]
        if family.kind == "generation":
            tokens += examples * self.grid.max_new_tokens(dataset) / GENERATING_SHARE
        return 2 * self.weights * tokens / self._speed(SCORING_FLOPS)

    def evaluate_seconds(self) -> float:
        """Time of one evaluation job: all cells of a checkpoint and arm."""
        cells = [self.cell_seconds(dataset, shots) for dataset, _, shots in self.grid.scores()]
        return START_SECONDS + sum(cells)

    def runtime(self, seconds: float, attempt: int) -> int:
        """Minutes to ask for: three times the estimate, at least 20, more with each attempt."""
        return math.ceil(max(20, 3 * seconds / 60)) * attempt

    def finetune_memory(self, attempt: int) -> int:
        """MB of host memory: the model is read in fp32 and its state (12 bytes a weight) saved."""
        return self._memory(20, attempt)

    def evaluate_memory(self, attempt: int) -> int:
        """MB of host memory: the model is read once, and once more by another backend."""
        return self._memory(6, attempt, processes=2 if self.grid.generation_backend else 1)

    def warning_seconds(self) -> int:
        """How long before its time limit a job is told to save its state (at 500 MB/s)."""
        return 40 + math.ceil(12 * self.weights / 5e8)

    def _memory(self, bytes_per_weight: int, attempt: int, processes: int = 1) -> int:
        needed = processes * (BASE_MEMORY_MB + bytes_per_weight * self.weights / 1e6)
        return math.ceil(needed * (1 + 0.5 * (attempt - 1)))

    def _speed(self, gpu: float) -> float:
        compute = self.grid.study.compute
        return gpu * compute.gpus if compute.gpus else CPU_FLOPS * compute.threads
