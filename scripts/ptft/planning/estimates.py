"""What jobs are expected to take: seconds of a study's jobs, from its sizes and a device's rates.

Operations are counted as usual: a weight and token cost two in a forward pass and four more in a
backward pass, two of these where the weight is not trained.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ptft.evaluation.requests import generates
from ptft.files.errors import present
from ptft.planning.workload import Workload
from ptft.study.grid import Grid
from ptft.study.models import CheckpointInfo, PocketSource

SMALL_MODEL = 10_000_000
"""weights of a model whose file does not tell"""
ADAPTER = "lora"
"""the method that trains a small part of the weights"""
ADAPTER_SHARE = 0.02
"""that part, about, at rank 16"""
CHOICES_READ = 2
"""tokens of a multiple-choice question with all its choices, relative to that with one"""
DERIVE_SECONDS = 2.0
"""until other weights are in a model's place: they are read and computed on the CPU"""
DECODED_AT_ONCE = {"cpu": 32, "cuda": 128}
"""prompts that are answered together"""


@dataclass(frozen=True)
class Rates:
    """What a CPU core or a GPU does."""

    start: float
    """seconds until a program has its libraries and its model"""
    training: float
    """operations a second in training"""
    scoring: float
    """operations a second in evaluation, where batches are short"""
    update: float
    """seconds of an update, whatever its tokens"""
    update_weight: float
    """more seconds of an update for each weight that is trained: the optimizer's memory traffic"""
    example: float
    """seconds of a scored example that the model is not in: encoding, metrics"""
    decoding: float
    """seconds of a decoding step, whatever its batch"""
    light: float
    """seconds of a job without a model: data, tables, figures"""
    link: float = math.inf
    """bytes a second that a device gives to another and takes from it"""


RATES = {
    "cpu": Rates(
        start=5.0, training=6e10, scoring=6e10, update=4e-3, update_weight=5e-9,
        example=7e-4, decoding=1e-3, light=4.0,
    ),
    "cuda": Rates(
        start=30.0, training=4e14, scoring=2e14, update=2e-2, update_weight=1.8e-11,
        example=7e-4, decoding=8e-3, light=4.0, link=3e11,
    ),
}  # fmt: skip
"""Of a core of an AMD EPYC in float32, measured with the pocket study and the benchmarks; of an
H100 in bfloat16, estimated from its peak rates, not measured. The link is two thirds of NVLink's
450 GB/s; over PCIe it has a tenth of that."""
GRADIENT_BYTES = 4
"""of a weight that is trained: gradients are exchanged in float32"""


def training_seconds(
    rates: Rates,
    weights: int,
    tokens: float,
    updates: float,
    adapter: bool = False,
    gpus: int = 1,
    compared: bool = False,
) -> float:
    """Time of so many updates on so many tokens, those of one of the devices that share the work.

    A model that is compared with its checkpoint (``kl``) takes another forward pass.
    The exchange of gradients is taken to come after the backward pass, which hides a part of it.
    """
    operations = ((4 if adapter else 6) + (2 if compared else 0)) * weights * tokens
    trained = weights * (ADAPTER_SHARE if adapter else 1)
    exchanged = 2 * (gpus - 1) / gpus * GRADIENT_BYTES * trained
    update = rates.update + rates.update_weight * trained + exchanged / rates.link
    return operations / rates.training + updates * update


@dataclass(frozen=True)
class Estimates:
    """Expected times of the jobs of one study, each as if nothing else ran beside it."""

    grid: Grid
    workload: Workload

    @property
    def device(self) -> str:
        """Kind of device that the study's jobs run on."""
        return "cuda" if self.grid.study.compute.gpus else "cpu"

    @property
    def rates(self) -> Rates:
        """Those of one device."""
        return RATES[self.device]

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
        once = training_seconds(
            self.rates,
            self.weights,
            settings.epochs * self.epoch_tokens(arm) / (gpus or compute.threads),
            updates,
            method == ADAPTER,
            max(1, gpus),
            compared=settings.kl > 0,
        )
        return self.rates.start + once * max(1, len(settings.learning_rates))

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
        compute = self.grid.study.compute
        speed = self.rates.scoring * (1 if compute.gpus else compute.threads)
        waiting = split.rows * self.rates.example + steps * self.rates.decoding
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
        start = self.rates.start + derived * DERIVE_SECONDS
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
