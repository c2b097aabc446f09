"""What jobs are expected to take: seconds, from a study's sizes and a device's rates."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from ptft.errors import present
from ptft.evaluation.requests import generates
from ptft.planning.gpu_choice import Gpu, GpuChoice
from ptft.planning.rates import ADAPTER, RATES, SMALL_MODEL, Rates, training_seconds
from ptft.planning.workload import Workload
from ptft.study.grid import Grid
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
    workload: Workload
    gpus: tuple[Gpu, ...] = ()
    """models that jobs may ask for; each job is timed on the one that it asks for first"""

    @cached_property
    def choice(self) -> GpuChoice:
        """Which of them each job asks for."""
        return GpuChoice(self.grid, self.workload, self.gpus)

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

    @property
    def weights(self) -> int:
        """Weights of the model."""
        return self.grid.model.weights or SMALL_MODEL

    def finetune_seconds(self, arm: str, gpus: int | None = None) -> float:
        """One fine-tuning, all candidates of its learning rate included.

        Args:
            arm: what is trained.
            gpus: that it has, where not those of the study.
        """
        (method, task), compute = self.grid.arms[arm].tuning, self.grid.study.compute
        gpus = compute.gpus if gpus is None else gpus
        settings = self.grid.settings(arm)
        split = self.workload.sizes[self.grid.task_dataset(task), "train"]
        updates = settings.epochs * math.ceil(split.rows / settings.batch_size)
        rates = self.training_rates(arm)
        once = training_seconds(
            rates,
            self.weights,
            settings.epochs * self.epoch_tokens(arm) / (gpus or compute.threads),
            updates,
            method == ADAPTER,
            max(1, gpus),
            compared=settings.kl > 0,
        )
        return rates.start + once * max(1, len(settings.learning_rates))

    def epoch_tokens(self, arm: str) -> float:
        """Tokens that an arm learns from in a pass over its task, replayed ones included."""
        task, *replayed = (self.workload.sizes[name, "train"] for name in self.grid.learned(arm))
        settings = self.grid.settings(arm)
        tokens = task.rows * min(task.tokens, settings.max_length)
        for other in replayed:
            share = present(settings.replay, f"replay of {arm}").share
            rows = task.rows * share / (1 - share)
            tokens += rows * min(other.tokens, settings.max_length)
        return tokens

    def cell_seconds(self, dataset: str, shots: int) -> float:
        """One cell: every prompt is read once, what all prompts begin with once for all.

        Text is read by the base model as well, and again where windows overlap.
        """
        family = self.grid.families[self.grid.family(dataset)]
        split = self.workload.sizes[dataset, "test"]
        read = split.tokens * (split.rows + shots)
        steps = 0
        if family.kind == "text":
            window, stride = family.windows(dataset)
            overlap = window / stride if split.tokens > window else 1
            read *= overlap * (2 if self.grid.tasks else 1)
        if family.kind == "multiple_choice":
            read *= CHOICES_READ
        if generates(family.kind, self.grid.study.evaluate.also):
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
