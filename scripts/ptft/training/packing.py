"""Padding-free tensors: the examples of a micro-batch end to end in one row.

Positions restart at every example, attention stays within each (``ptft.training.attention``), and
only the hidden states that predict a learned token go through the output projection.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ptft.training.attention import SequenceLayout, sequence_layout
from ptft.training.examples import Example


@dataclass(frozen=True)
class PackedBatch:
    """One micro-batch of T tokens in B examples, N of the tokens learned.

    input_ids, position_ids: (1, T). predictors: (N,) positions whose hidden state predicts a
    learned token. targets: (N,) those tokens. weights: (N,) each token's share in the update's
    loss. owners: (N,) the example, 0 to B - 1, that a learned token belongs to.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    predictors: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    owners: torch.Tensor
    layout: SequenceLayout


def example_weights(batch: Sequence[Example], weighting: str) -> dict[str, float]:
    """Weight of one learned token of each example, so that an update's weights sum to 1.

    ``example``: 1 / (examples x tokens of this example), the mean over examples of their means;
    ``token``: 1 / all learned tokens. Computed for the whole update, so that any cut into
    micro-batches or over devices gives the same sum.
    """
    if weighting == "token":
        total = sum(item.targets for item in batch)
        return {item.example_id: 1 / total for item in batch}
    return {item.example_id: 1 / (len(batch) * item.targets) for item in batch}


def packed_arrays(batch: Sequence[Example], weights: dict[str, float]) -> dict[str, np.ndarray]:
    """The tensors of a :class:`PackedBatch` by name, on the host; ids and positions are (T,)."""
    lengths = [len(item.ids) for item in batch]
    ids = np.concatenate([item.ids for item in batch])
    predicted = np.flatnonzero(np.concatenate([item.loss_mask for item in batch]))
    owners = np.repeat(np.arange(len(batch)), lengths)[predicted]
    return {
        "input_ids": ids,
        "position_ids": np.concatenate([np.arange(n) for n in lengths]),
        "predictors": predicted - 1,
        "targets": ids[predicted],
        "weights": np.array([weights[item.example_id] for item in batch], dtype=np.float32)[owners],
        "owners": owners,
    }


def pack(
    batch: Sequence[Example],
    weights: dict[str, float],
    device: torch.device,
    bfloat16: bool = False,
) -> PackedBatch:
    """Pack a micro-batch; ``weights`` as from :func:`example_weights`, for work in bfloat16."""
    sent = {
        name: torch.from_numpy(array).to(device, non_blocking=True)
        for name, array in packed_arrays(batch, weights).items()
    }
    layout = sequence_layout([len(item.ids) for item in batch], device, bfloat16)
    return in_one_row(sent, layout)


def in_one_row(tensors: dict[str, torch.Tensor], layout: SequenceLayout) -> PackedBatch:
    """A batch of tensors as :func:`packed_arrays` names them."""
    rows = {name: tensors[name][None] for name in ("input_ids", "position_ids")}
    return PackedBatch(**(tensors | rows), layout=layout)
