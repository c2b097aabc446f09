"""Expected times of jobs, and what they ask of a machine.

Asked for is more than expected: a job that ends early costs nothing; one that is struck down has to
be started again. What is asked for grows with each attempt.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ptft.evaluation.cells import generates
from ptft.models.snapshots import update_of
from ptft.planning.gpus import CAST, GRADIENT, MOMENTS, WEIGHT, Gpu, GpuChoice
from ptft.planning.workload import (
    ADAPTER_SHARE,
    RATES,
    ModelSize,
    Rates,
    Workload,
    model_size,
    training_seconds,
)
from ptft.study.grid import BASE, Grid
from ptft.study.models import CheckpointInfo, PocketSource

CHOICES_READ = 2
"""tokens of a multiple-choice question with all its choices, relative to that with one"""
DERIVE_SECONDS = 2.0
"""until other weights are in a model's place: they are read and computed on the CPU"""
DECODED_AT_ONCE = {"cpu": 32, "cuda": 128}
"""prompts that are answered together"""


@dataclass(frozen=True)
class Estimates:
    """Expected times of the jobs of one study, each as if nothing else ran beside it."""

    grid: Grid
    gpus: tuple[Gpu, ...] = ()
    """models that jobs may ask for; each job is timed on the one that it asks for first"""

    @cached_property
    def workload(self) -> Workload:
        """Sizes of the study's splits."""
        return Workload(self.grid)

    @cached_property
    def choice(self) -> GpuChoice:
        """Which of them each job asks for."""
        return GpuChoice(self.workload, self.gpus)

    @property
    def device(self) -> str:
        """Kind of device that the study's jobs run on."""
        return "cuda" if self.grid.study.compute.gpus else "cpu"

    def training_rates(self, arm: str) -> Rates:
        """Those of a device that an arm is trained on."""
        return self._rates(self.choice.training(arm))

    @cached_property
    def scoring_rates(self) -> Rates:
        """Those of the device that a model is scored on."""
        return self._rates(self.choice.scoring())

    def _rates(self, gpu: Gpu | None) -> Rates:
        """Those of a model; of an H100, or a CPU core, where none is named."""
        return RATES[self.device].at(gpu.speed) if gpu else RATES[self.device]

    @cached_property
    def size(self) -> ModelSize:
        """Of the model."""
        return model_size(self.grid)

    @property
    def weights(self) -> int:
        """Weights of the model."""
        return self.size.weights

    def finetune_seconds(self, arm: str) -> float:
        """One fine-tuning."""
        (method, task), compute = self.grid.arms[arm].tuning, self.grid.study.compute
        settings = self.grid.settings(arm)
        split = self.workload.sizes[self.grid.task_dataset(task), "train"]
        updates = settings.count_updates(split.rows)
        rates = self.training_rates(arm)
        once = training_seconds(
            rates,
            self.weights,
            settings.epochs * self.epoch_tokens(arm) / (compute.gpus or compute.threads),
            updates,
            settings.adapter,
            max(1, compute.gpus),
            compared=settings.needs_base,
        )
        if self.grid.arms[arm].snapshot is not None:  # at most a copy, to the last of them
            last = max(update_of(point, updates) for point in self.grid.snapshots[method])
            once *= min(1.0, last / updates)
        return rates.start + once

    def epoch_tokens(self, arm: str) -> float:
        """Tokens that an arm learns from in a pass over its task, replayed ones included."""
        task, *replayed = (self.workload.sizes[name, "train"] for name in self.grid.learned(arm))
        settings = self.grid.settings(arm)
        tokens = task.rows * min(task.tokens, settings.max_length)
        if replay := settings.replay:
            longest = replay.tokens if replay.own else replayed[0].tokens
            rows = task.rows * replay.share / (1 - replay.share)
            tokens += rows * min(longest, settings.max_length)
        return tokens

    def self_text_seconds(self, text: str) -> float:
        """The text that one checkpoint writes for its replay."""
        replay, rates = self.grid.self_texts[text], self.scoring_rates
        compute = self.grid.study.compute
        speed = rates.scoring * (1 if compute.gpus else compute.threads)
        steps = replay.tokens * math.ceil(replay.samples / DECODED_AT_ONCE[self.device])
        read = 2 * self.weights * replay.samples * replay.tokens / speed
        return rates.start + steps * rates.decoding + read

    def cell_seconds(self, dataset: str, shots: int) -> float:
        """One cell: every prompt is read once, what all prompts begin with once for all.

        Text is read by the base model as well, and again where windows overlap.
        """
        family = self.grid.families[self.grid.family(dataset)]
        split = self.workload.sizes[dataset, "test"]
        task = self.grid.harness[dataset].task if dataset in self.grid.harness else None
        if task and "members" in task:
            return 0.0
        # Prompts of the harness hold their shots.
        read = split.tokens * (split.rows + (0 if task else shots))
        steps = 0
        if family.kind == "text":
            window, stride = family.windows(dataset)
            overlap = window / stride if split.tokens > window else 1
            read *= overlap * (2 if self.grid.tasks else 1)
        if family.kind == "multiple_choice":
            read *= CHOICES_READ
        if generates(family.kind, self.grid.study.evaluate.also, task):
            new = self.grid.max_new_tokens(dataset)
            read += split.rows * new
            steps = new * math.ceil(split.rows / DECODED_AT_ONCE[self.device])
        compute, rates = self.grid.study.compute, self.scoring_rates
        speed = rates.scoring * (1 if compute.gpus else compute.threads)
        waiting = split.rows * rates.example + steps * rates.decoding
        return waiting + 2 * self.weights * read / speed

    def evaluate_seconds(
        self, cells: Iterable[tuple[str, str, int]] | None = None, derived: int = 0
    ) -> float:
        """One evaluation of these (dataset, format, shots), by default of all of the study's.

        Args:
            cells: of the model and of the arms derived from it.
            derived: how many of these arms there are.
        """
        scored = self.grid.scores() if cells is None else cells
        start = self.scoring_rates.start + derived * DERIVE_SECONDS
        return start + sum(self.cell_seconds(dataset, shots) for dataset, _, shots in scored)

    def pretrain_seconds(self, checkpoint: str) -> float:
        """The pocket model's pre-training from the checkpoint before, on one core."""
        source = self.grid.model.source
        assert isinstance(source, PocketSource)
        known, before = source.checkpoints(), source.before(checkpoint)
        wanted, done = known[checkpoint], known[before] if before else CheckpointInfo()
        steps = (wanted.step or 0) - (done.step or 0)
        tokens = (wanted.tokens or 0) - (done.tokens or 0)
        return RATES["cpu"].start + training_seconds(RATES["cpu"], self.weights, tokens, steps)


BASE_MEMORY_MB = 4000
"""memory of a process on the host: its libraries, the text of its examples"""
LIBRARIES_MB = 1200
"""of these the libraries, and what the allocator does not give back, where all else is counted"""
CPU_SAVED = 1.5
"""bytes that a CPU has of an activation for each that a GPU saves, in fp32 as in bfloat16"""
CPU_TOKENS = 4096
"""of a micro-batch on a CPU (``ptft.training.gradients``)"""
EXAMPLE_BYTES = 9
"""of each encoded token (``ptft.prompts.tokens``)"""
LIMIT_FACTOR, LEAST_MINUTES = 3, 20
"""a time limit is so many times what is expected, and at least so long"""


class JobResources(Estimates):
    """Resources that the jobs of one study ask for."""

    def model_bytes(self, arm: str) -> int:
        """Disk of a fine-tuned model: bf16 where there is a GPU, else fp32; adapters in fp32."""
        if self.grid.settings(arm).adapter:
            return math.ceil(self.weights * ADAPTER_SHARE * 4)
        return self.weights * (2 if self.grid.study.compute.gpus else 4)

    def finetune_minutes(self, arm: str, attempt: int) -> int:
        """Time limit of a fine-tuning."""
        return self._limit(self.finetune_seconds(arm), attempt)

    def self_text_minutes(self, text: str, attempt: int) -> int:
        """Time limit of writing a checkpoint's text."""
        return self._limit(self.self_text_seconds(text), attempt)

    def evaluate_minutes(self, attempt: int, arm: str = BASE) -> int:
        """Time limit of an evaluation of an arm and of what is derived from it."""
        return self._limit(self._evaluate_seconds(len(self.grid.parents[arm])), attempt)

    def finetune_memory(self, arm: str, attempt: int) -> int:
        """MB of host memory: every process holds its libraries and all examples.

        The model is read in fp32 by one after another, and one saves its state (12 bytes a weight).
        On a CPU gradients appear as what a forward pass saved goes.
        """
        settings, learned = self.grid.settings(arm), self.grid.learned(arm)
        longest, gpus = settings.max_length, self.grid.study.compute.gpus
        sizes = [self.workload.sizes[name, "train"] for name in learned]
        examples = EXAMPLE_BYTES * sum(size.rows * min(size.tokens, longest) for size in sizes)
        if gpus:
            return self._memory(gpus * (BASE_MEMORY_MB + examples / 1e6), 20, attempt)
        if self._cpu_mb is None:
            return self._memory(BASE_MEMORY_MB + examples / 1e6, 20, attempt)
        training = self.choice.of_arm(self.grid.arms[arm])
        others = (settings.batch_size - 1) * max(size.tokens for size in sizes)
        at_work = max(training.tokens, min(CPU_TOKENS, training.tokens + others))
        saved = CPU_SAVED * at_work * training.memory.saved_token
        state = WEIGHT * (1 + training.copies) + MOMENTS
        if training.adapter is not None:
            state += CAST - MOMENTS
            saved += (WEIGHT + MOMENTS + GRADIENT) * training.adapter
        return self._memory(self._cpu_mb + (examples + saved) / 1e6, state, attempt)

    @cached_property
    def _cpu_mb(self) -> float | None:
        """Memory of every process on a CPU beside the model; None where its shape is not known.

        The logits of many tokens and what is made of them: training's loss on its own examples, and
        scores of text.
        """
        shape = self.size.shape
        if self.grid.study.compute.gpus or shape is None:
            return None
        return LIBRARIES_MB + 2 * WEIGHT * CPU_TOKENS * shape.vocab_size / 1e6

    def evaluate_memory(self, attempt: int, arm: str = BASE) -> int:
        """MB of host memory: the model is read once, and again by a backend with its own weights.

        Weights are derived in fp32 from those of the model and of its checkpoint.
        """
        readers = self.grid.model_copies
        children = self.grid.parents[arm]
        merged = max((len(child.merge.get("members", [])) for child in children), default=0)
        deriving = 4 * (3 + merged) if children else 0
        return self._memory(
            readers * (self._cpu_mb or BASE_MEMORY_MB), readers * 6 + deriving, attempt
        )

    def finetune_gpu(self, arm: str, attempt: int) -> str | None:
        """Model of GPU for a fine-tuning, as sbatch is asked for it; None if any will do."""
        gpu = self.choice.training(arm, attempt)
        return gpu.name if gpu else None

    def evaluate_gpu(self, attempt: int) -> str | None:
        """The same for an evaluation."""
        gpu = self.choice.scoring(attempt)
        return gpu.name if gpu else None

    def evaluation_gpus(self) -> int:
        """GPUs of an evaluation: the engine works on one, so that n GPUs score n models."""
        return min(1, self.grid.study.compute.gpus)

    def warning_seconds(self) -> int:
        """How long before its time limit a job is told to save its state (at 500 MB/s)."""
        return 40 + math.ceil(12 * self.weights / 5e8)

    def early_signal(self) -> str:
        """Option of sbatch: SIGTERM so long before the time limit."""
        return f"--signal=TERM@{self.warning_seconds()}"

    def _evaluate_seconds(self, derived: int) -> float:
        """The same for every model with as many derived arms, and asked for by each of them."""
        once, start = self._scoring_seconds, self.scoring_rates.start
        return once + derived * (once - start + DERIVE_SECONDS)

    @cached_property
    def _scoring_seconds(self) -> float:
        return self.evaluate_seconds()

    def _limit(self, seconds: float, attempt: int) -> int:
        return math.ceil(max(LEAST_MINUTES, LIMIT_FACTOR * seconds / 60)) * attempt

    def _memory(self, base_mb: float, bytes_per_weight: int, attempt: int) -> int:
        needed = base_mb + bytes_per_weight * self.weights / 1e6
        return math.ceil(needed * (1 + 0.5 * (attempt - 1)))
