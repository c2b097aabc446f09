"""What jobs take of each GPU's memory, and a refusal, before the queue, of those that can't fit.

Counted is what is there for certain: at least so much is needed. Left out are the logits of learned
tokens, the temporary memory of kernels and what the allocator can't use. Nothing of it was measured
on a GPU; the activations are those that a forward pass saves on a CPU.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from ptft.files.errors import StudyError, locate, present
from ptft.paths import Results
from ptft.planning.estimates import ADAPTER, ADAPTER_SHARE, SMALL_MODEL
from ptft.planning.workload import Workload
from ptft.study.grid import Arm, Grid
from ptft.study.models import Shape

GB = 2**30
"""as vendors name GPUs: one of 80 GB has 80 times as much"""
WEIGHT, OPTIMIZER = 4, 12
"""bytes: a float32 weight; if it is trained its gradient and AdamW's moments besides"""
CAST, BUCKET = 2, 4
"""bytes of a weight on a device that holds it whole: its copy in bfloat16; if several devices
exchange gradients, the copy of its gradient that they send"""
GATHERED, GATHERED_GRADIENT = 4, 6
"""bytes of a weight of the sharded block at work: it and the next one's in bfloat16; its gradient
in bfloat16 and float32"""
MOST_GPUS = 64
"""of one machine, beyond which no number is proposed"""


@dataclass(frozen=True)
class GpuMemory:
    """Bytes that a model takes of a GPU."""

    weights: int
    shape: Shape | None = None
    """where not known, the weights alone are counted"""

    def training(self, gpus: int, sharded: bool, tokens: float, adapter: bool = False) -> float:
        """Of each of so many GPUs in training, with an example of so many tokens at work."""
        share = ADAPTER_SHARE if adapter else 1
        state = self.weights * (WEIGHT + OPTIMIZER * share)
        activations = tokens * self.saved_token
        if sharded and gpus > 1:
            return state / gpus + self.gathered(share) + activations
        copies = CAST + (BUCKET * share if gpus > 1 else 0)
        return state + copies * self.weights + activations

    def scoring(self, tokens: float, copies: int = 1) -> float:
        """Of the GPU that scores a prompt of so many tokens, in bfloat16."""
        shape = self.shape
        if shape is None:
            return 2 * copies * self.weights
        keys = 2 * shape.num_hidden_layers * 2 * shape.hidden_size * shape.key_share
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
        """What the forward pass saves of a token for the backward pass.

        By the residual stream's width and the inner layer's, as measured with OLMo (gated: three
        matrices in the inner layer) and GPT-NeoX (two).
        """
        shape = self.shape
        if shape is None:
            return 0
        hidden, inner = shape.hidden_size, shape.intermediate_size
        attention = hidden**2 * (2 + 2 * shape.key_share)
        gated = (self.block - attention) / (hidden * inner) > 2.5
        layer = 26 * hidden + 8 * inner if gated else 18 * hidden + 4 * inner
        return layer * shape.num_hidden_layers


def require_room(grid: Grid, gpu_gb: float | None, folder: Path = Path()) -> None:
    """Refuse a study of which a model that is still to be made or scored does not fit its GPUs.

    Args:
        grid: of the study.
        gpu_gb: memory of a GPU; nothing is refused where it is not known.
        folder: working directory of the study.

    Raises:
        StudyError: one does not fit; the message says how many GPUs it needs.
    """
    if not grid.study.compute.gpus or gpu_gb is None or not (arms := unfinished(grid, folder)):
        return
    workload = Workload(grid, folder)
    memory = GpuMemory(grid.model.weights or SMALL_MODEL, grid.model.shape)
    prompt = _longest_prompt(grid, workload)
    # Text is scored with the base model beside the tuned one.
    compared = any(map(grid.is_text, grid.datasets)) and bool(grid.tasks)
    scoring = memory.scoring(prompt, 1 + bool(grid.generation_backend) + compared) / GB
    if scoring > gpu_gb:
        raise _refusal(
            grid,
            f"scoring takes at least {scoring:.0f} GB, a GPU has {gpu_gb:.0f} GB, and a model is "
            "scored on one; use GPUs with more memory",
        )
    trainings = [_Training(grid, arm, memory, workload) for arm in arms if arm.trained]
    largest = max(trainings, key=lambda training: training.gigabytes, default=None)
    if largest and largest.gigabytes > gpu_gb:
        raise _refusal(grid, largest.refused(gpu_gb))


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


class _Training:
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
        self.gigabytes = self.on(self.gpus, self.sharded)

    def on(self, gpus: int, sharded: bool) -> float:
        """GB of each of so many GPUs."""
        adapter = self.arm.method == ADAPTER
        copies = self.copies * WEIGHT * self.memory.weights / (gpus if sharded else 1)
        return (self.memory.training(gpus, sharded, self.tokens, adapter) + copies) / GB

    def refused(self, gpu_gb: float) -> str:
        """Why it can't run on GPUs of so many GB, and how many it needs."""
        counts = range(1, MOST_GPUS + 1)
        enough = next((count for count in counts if self.on(count, True) <= gpu_gb), None)
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
            f"a GPU has {gpu_gb:.0f} GB; {way}"
        )


def _longest_prompt(grid: Grid, workload: Workload) -> float:
    """Tokens of the longest prompt: an example and its shots, of the size that is known."""
    sizes = {dataset: workload.sizes[dataset, "test"] for dataset in grid.prompted}
    return max(size.tokens * (1 + max(grid.shots(name))) for name, size in sizes.items())


def _refusal(grid: Grid, message: str) -> StudyError:
    return StudyError(f"{locate(('compute', 'gpus'), grid.files)}: compute.gpus: {message}")


def table(memory: GpuMemory, tokens: int, counts: Collection[int] = (2, 4, 8)) -> str:
    """What sharded training takes of each of 2, 4, 8 GPUs: rows of a Markdown table, in GB."""
    rows = ["| GPUs | shares | gathered | activations | in all |", "|---|---|---|---|---|"]
    whole = memory.weights * (WEIGHT + OPTIMIZER)
    for gpus in counts:
        parts = [whole / gpus, memory.gathered(), tokens * memory.saved_token]
        parts.append(memory.training(gpus, True, tokens))
        rows.append(f"| {gpus} | " + " | ".join(f"{part / GB:.0f}" for part in parts) + " |")
    return "\n".join(rows)
