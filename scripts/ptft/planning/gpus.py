"""Which GPU a job asks for, and whether it fits: the first model that holds it.

Counted is what is there for certain: at least so much is needed. Left out are the logits of learned
tokens, the temporary memory of kernels and what the allocator can't use. Nothing of it was measured
on a GPU; the activations are those that a forward pass saves on a CPU.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ptft.errors import StudyError, locate, present
from ptft.evaluation.cells import generates
from ptft.planning.workload import ADAPTER_SHARE, Workload, model_size
from ptft.runtime.gpus import TFLOPS, gpu_memory_gb, tflops
from ptft.study.grid import Arm, Grid
from ptft.study.models import Shape
from ptft.study.schema import Compute

GB = 2**30
"""as vendors name GPUs: one of 80 GB has 80 times as much"""
WEIGHT, MOMENTS, GRADIENT = 4, 8, 4
"""bytes: a float32 weight; if it is trained AdamW's moments, and its gradient"""
CAST, BUCKET = 2, 4
"""bytes of a weight on a device that holds it whole: in bfloat16; if several devices exchange
gradients, the copy of its gradient that they send"""
ADAPTED = 1.06
"""activations with adapters, by those without: a narrow product beside each matrix"""
GATHERED, GATHERED_GRADIENT = 4, 6
"""bytes of a weight of the sharded block at work: it and the next one's in bfloat16; its gradient
in bfloat16 and float32"""


@dataclass(frozen=True)
class GpuMemory:
    """Bytes that a model takes of a GPU."""

    weights: int
    shape: Shape | None = None
    """where not known, the weights alone are counted"""

    def training(
        self, gpus: int, sharded: bool, tokens: float, adapter: float | None = None
    ) -> float:
        """Of each of so many GPUs in training, with so many tokens at work at once.

        Where nothing is cut, gradients appear as activations go: the larger of both counts.

        Args:
            adapter: weights of an adapter, where nothing else is trained.
        """
        trained = self.weights if adapter is None else adapter
        activations = tokens * self.saved_token
        if sharded and gpus > 1:
            state = self.weights * WEIGHT + trained * (WEIGHT + MOMENTS)
            return state / gpus + self.gathered(trained / self.weights) + activations
        sent = BUCKET * trained if gpus > 1 else 0
        outside = self.shape.outside if self.shape else 0
        rows = self.shape.rows if self.shape else 0
        if adapter is None:
            at_work = max(CAST * (self.weights - outside + rows) + activations,
                          GRADIENT * trained)  # fmt: skip
            return (WEIGHT + MOMENTS) * self.weights + sent + at_work
        # Matrices that are adapted are in bfloat16; what is around them, and the adapter, is not.
        base = CAST * (self.weights - outside) + WEIGHT * outside
        at_work = CAST * rows + max(ADAPTED * activations, GRADIENT * trained)
        return base + (WEIGHT + MOMENTS) * trained + sent + at_work

    def adapter(self, rank: float) -> float:
        """Weights of an adapter of all linear layers but the output layer."""
        shape = self.shape
        if shape is None:
            return ADAPTER_SHARE * self.weights
        hidden, inner = shape.hidden_size, shape.intermediate_size
        keys = hidden * shape.key_share
        matrices = 4 * hidden + 2 * (hidden + keys) + (3 if self.gated else 2) * (hidden + inner)
        return rank * shape.num_hidden_layers * matrices

    def scoring(self, tokens: float, copies: int = 1, generating: bool = True) -> float:
        """Of the GPU that scores a prompt of so many tokens, in bfloat16.

        Args:
            tokens: of the prompt.
            copies: of the weights.
            generating: whether a text follows, for which keys and values of all layers are kept.
        """
        shape = self.shape
        if shape is None:
            return 2 * copies * self.weights
        kept = shape.num_hidden_layers if generating else 1
        keys = 2 * kept * 2 * shape.hidden_size * shape.key_share
        batch = 2 * (12 * shape.hidden_size + 3 * shape.intermediate_size)
        return 2 * copies * self.weights + tokens * (keys + batch)

    def gathered(self, share: float = 1) -> float:
        """Weights that are whole beside the shares, with their gradients if they are trained.

        One block, and what is outside of the blocks, in float32.
        """
        if self.shape is None:
            return 0
        gathered = GATHERED + GATHERED_GRADIENT * share
        return self.block * gathered + self.shape.outside * (WEIGHT + 4 * share)

    @property
    def block(self) -> float:
        """Weights of one block, of a model whose shape is known."""
        shape = present(self.shape, "shape of the model")
        return (self.weights - shape.outside) / shape.num_hidden_layers

    @property
    def saved_token(self) -> float:
        """Bytes that the forward pass saves of a token for the backward pass.

        By the residual stream's width and the inner layer's, as measured with OLMo (gated: three
        matrices in the inner layer) and GPT-NeoX (two).
        """
        shape = self.shape
        if shape is None:
            return 0
        hidden, inner = shape.hidden_size, shape.intermediate_size
        layer = 26 * hidden + 8 * inner if self.gated else 18 * hidden + 4 * inner
        return layer * shape.num_hidden_layers

    @property
    def gated(self) -> bool:
        """Whether a block's inner layer has three matrices, of a model whose shape is known."""
        shape = present(self.shape, "shape of the model")
        attention = shape.hidden_size**2 * (2 + 2 * shape.key_share)
        return (self.block - attention) / (shape.hidden_size * shape.intermediate_size) > 2.5


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


ANY = "any"
"""name of a GPU that is asked for without its model: --gpus=1"""


def gpu_models(compute: Compute) -> tuple[Gpu, ...]:
    """The models of GPU that a study names, the preferred first; none where it names none.

    One whose speed is not known is taken to be as slow as the slowest that is: its time limits are
    generous.
    """
    slowest = min(TFLOPS.values())
    return tuple(
        Gpu(memory, None if name == ANY else name, (tflops(name) or slowest) / TFLOPS["h100"])
        for name, memory in compute.gpu_models.items()
    )


def gpus_here(compute: Compute) -> tuple[Gpu, ...]:
    """This machine's largest GPU, where a study asks for GPUs and there are some."""
    memory = gpu_memory_gb() if compute.gpus else None
    return (Gpu(memory),) if memory else ()


@dataclass(frozen=True)
class GpuChoice:
    """The GPU models that the jobs of one study may ask for, the preferred first."""

    workload: Workload
    gpus: tuple[Gpu, ...] = ()
    """none where nothing is known of them"""

    @property
    def grid(self) -> Grid:
        """Of the study."""
        return self.workload.grid

    def training(self, arm: str, attempt: int = 1) -> Gpu | None:
        """Memory that the training of an arm asks for."""
        return self._first(self.of_arm(self.grid.arms[arm]).gigabytes, attempt)

    def scoring(self, attempt: int = 1) -> Gpu | None:
        """Memory that an evaluation asks for."""
        return self._first(self.scoring_gigabytes, attempt)

    @property
    def largest(self) -> Gpu:
        """Of several as large, the first."""
        return max(self.gpus, key=lambda gpu: gpu.memory_gb)

    @cached_property
    def scoring_gigabytes(self) -> float:
        """At least so much is taken by an evaluation of its GPU."""
        grid, memory = self.grid, self._memory
        # Text is scored with the base model beside the tuned one.
        compared = any(map(grid.is_text, grid.datasets)) and bool(grid.tasks)
        taken = []
        for name in grid.prompted:
            kind = grid.families[grid.family(name)].kind
            task = grid.harness[name].task if name in grid.harness else None
            # A prompt: an example and its shots, of the size that is known, or the harness's own.
            prompts = 1 if task else 1 + max(grid.shots(name))
            tokens = self.workload.sizes[name, "test"].tokens * prompts
            generating = generates(kind, grid.study.evaluate.also, task)
            taken.append(memory.scoring(tokens, grid.model_copies + compared, generating))
        return max(taken) / GB

    def of_arm(self, arm: Arm) -> "Training":
        """Memory of its training."""
        return Training(arm, self._memory, self.workload)

    @cached_property
    def _memory(self) -> GpuMemory:
        size = model_size(self.grid)
        return GpuMemory(size.weights, size.shape)

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


def require_room(grid: Grid, gpus: tuple[Gpu, ...]) -> None:
    """Refuse a study of which a model that is still to be made or scored does not fit its GPUs.

    Args:
        grid: of the study.
        gpus: models that its jobs may ask for; nothing is refused where none is known.

    Raises:
        StudyError: one does not fit; the message says how many GPUs it needs.
    """
    if not grid.study.compute.gpus or not gpus or not (arms := unfinished(grid)):
        return
    choice = GpuChoice(Workload(grid), gpus)
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


def unfinished(grid: Grid) -> list[Arm]:
    """Arms of which a checkpoint has neither a model nor scores yet."""
    results = grid.results

    def made(checkpoint: str, arm: str) -> bool:
        files = [results.scored_model(checkpoint, arm)]
        if grid.arms[arm].trained:
            files.append(results.tuned(checkpoint, arm))
        return any(Path(file).exists() for file in files)

    return [
        arm
        for name, arm in grid.arms.items()
        if not all(made(checkpoint, name) for checkpoint in grid.checkpoints_of(name))
    ]


class Training:
    """Memory of a GPU that the training of one arm takes."""

    def __init__(self, arm: Arm, memory: GpuMemory, workload: Workload) -> None:
        grid, settings = workload.grid, workload.grid.settings(arm.name)
        sizes = [workload.sizes[name, "train"] for name in grid.learned(arm.name)]
        self.arm, self.memory, self.gpus = arm, memory, grid.study.compute.gpus
        self.sharded = settings.sharding == "full"
        own = [settings.replay.tokens] if settings.replay and settings.replay.own else []
        longest = max([*own, *(size.longest or size.tokens for size in sizes)])
        self.tokens = min(longest, settings.max_length)
        # The checkpoint's weights: to be near them, and to be compared with them.
        self.copies = (settings.l2sp > 0) + (settings.needs_base and not settings.keeps_base)
        self.adapter = memory.adapter(getattr(settings, "rank", 0)) if settings.adapter else None
        self.gigabytes = self.on(self.gpus, self.sharded)

    def on(self, gpus: int, sharded: bool) -> float:
        """GB of each of so many GPUs."""
        copies = self.copies * WEIGHT * self.memory.weights / (gpus if sharded else 1)
        return (self.memory.training(gpus, sharded, self.tokens, self.adapter) + copies) / GB

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
