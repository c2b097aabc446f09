"""What jobs take of each GPU's memory.

Counted is what is there for certain: at least so much is needed. Left out are the logits of learned
tokens, the temporary memory of kernels and what the allocator can't use. Nothing of it was measured
on a GPU; the activations are those that a forward pass saves on a CPU.
"""

from collections.abc import Collection
from dataclasses import dataclass

from ptft.errors import present
from ptft.planning.rates import ADAPTER_SHARE
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


def table(memory: GpuMemory, tokens: int, counts: Collection[int] = (2, 4, 8)) -> str:
    """What sharded training takes of each of 2, 4, 8 GPUs: rows of a Markdown table, in GB."""
    rows = ["| GPUs | shares | gathered | activations | in all |", "|---|---|---|---|---|"]
    whole = memory.weights * (WEIGHT + OPTIMIZER)
    for gpus in counts:
        parts = [whole / gpus, memory.gathered(), tokens * memory.saved_token]
        parts.append(memory.training(gpus, True, tokens))
        rows.append(f"| {gpus} | " + " | ".join(f"{part / GB:.0f}" for part in parts) + " |")
    return "\n".join(rows)
