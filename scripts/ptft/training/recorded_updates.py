"""Whole updates as CUDA graphs, for batches of few tokens: there the host is slower than the GPU.

A graph has fixed shapes, so batches are padded to a multiple of 64 tokens, by a sequence of its own
that no other attends to and no loss counts. The first batch of a size runs as it is (libraries
prepare), the second is recorded, all others repeat the recording on their own ids.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ptft.training.attention import SequenceLayout
from ptft.training.cuda_graphs import Recorder, Repeated
from ptft.training.examples import Example
from ptft.training.packing import PackedBatch, in_one_row, packed_arrays

log = logging.getLogger(__name__)

MOST_TOKENS = 2048
"""of a recorded batch; what is longer keeps a GPU busy"""
MULTIPLE = 64
"""of tokens, and of learned tokens, is what they are padded to"""
MOST_SIZES = 48
"""that are recorded; each takes time and memory, and rare ones do not pay"""


@dataclass
class _Size:
    """The tensors of batches that are padded alike, at the addresses that a recording reads."""

    tensors: dict[str, torch.Tensor]
    boundaries: torch.Tensor
    packed: PackedBatch
    measured: torch.Tensor
    repeated: Repeated


class RecordedUpdates:
    """Runs updates, and repeats recordings of them.

    Args:
        sequences: most examples of a batch.
        device: of the batches.
        graphs: records.
    """

    def __init__(self, sequences: int, device: torch.device, graphs: Recorder) -> None:
        self.sequences, self.device, self.graphs = sequences, device, graphs
        self.sizes: dict[tuple[int, int], _Size] = {}

    def takes(self, batch: Sequence[Example], token_budget: int) -> bool:
        """Whether a batch is small enough, one micro-batch, and of a size that is recorded."""
        tokens = sum(len(item.ids) for item in batch)
        known = _padded_size(batch) in self.sizes or len(self.sizes) < MOST_SIZES
        return tokens <= min(token_budget, MOST_TOKENS) and known

    def run(
        self,
        update: Callable[[PackedBatch], torch.Tensor],
        batch: Sequence[Example],
        weights: dict[str, float],
    ) -> torch.Tensor:
        """One update; returns (2,) loss and gradient norm.

        Args:
            update: learns from a packed batch; returns (2,) loss and gradient norm. The same at
                each call.
            batch: to learn from.
            weights: of its examples' tokens.

        Raises:
            NotRecorded: recording fails.
            torch.OutOfMemoryError: a first update does; its weights have not changed.
        """
        key = _padded_size(batch)
        size = self.sizes.get(key) or self.sizes.setdefault(key, self._empty(*key))
        self._fill(size, packed_arrays(batch, weights), [len(item.ids) for item in batch])

        def work() -> None:
            size.measured.copy_(update(size.packed))

        size.repeated.do(work)
        return size.measured.clone()

    def _empty(self, tokens: int, learned: int) -> _Size:
        def zeros(count: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
            return torch.zeros(count, dtype=dtype, device=self.device)

        tensors = {name: zeros(tokens) for name in ("input_ids", "position_ids")}
        tensors |= {name: zeros(learned) for name in ("predictors", "targets", "owners")}
        tensors["weights"] = zeros(learned, torch.float32)
        # The padding is a sequence, and batches of fewer examples have some without a token.
        boundaries = zeros(self.sequences + 2, torch.int32)
        layout = SequenceLayout(tokens, boundaries, ())
        packed, measured = in_one_row(tensors, layout), zeros(2, torch.float32)
        return _Size(tensors, boundaries, packed, measured, Repeated(self.graphs))

    def _fill(self, size: _Size, arrays: dict[str, np.ndarray], lengths: list[int]) -> None:
        tokens = len(size.tensors["input_ids"])
        used = sum(lengths)
        padding = {"position_ids": np.arange(tokens - used), "predictors": used}
        for name, array in arrays.items():
            whole = np.zeros(len(size.tensors[name]), dtype=array.dtype)
            whole[: len(array)] = array
            whole[len(array) :] = padding.get(name, 0)
            size.tensors[name].copy_(torch.from_numpy(whole), non_blocking=True)
        ends = np.full(len(size.boundaries), tokens, dtype=np.int32)
        ends[: len(lengths) + 1] = np.cumsum([0, *lengths])
        size.boundaries.copy_(torch.from_numpy(ends), non_blocking=True)


def can_record(device: torch.device, bfloat16: bool) -> bool:
    """Whether a device records, and attention takes the layout of a row from a tensor."""
    able = device.type == "cuda" and bfloat16
    if not able:
        log.info("cuda_graphs: updates are recorded on a GPU and in bfloat16 only")
    return able


def padded(count: int) -> int:
    """The next multiple of ``MULTIPLE``."""
    return -(-count // MULTIPLE) * MULTIPLE


def _padded_size(batch: Sequence[Example]) -> tuple[int, int]:
    """Tokens and learned tokens of a padded batch.

    At least one token pads, so that there is one for predictors that pad.
    """
    tokens = sum(len(item.ids) for item in batch)
    return padded(tokens + 1), padded(sum(item.targets for item in batch))
