"""Padding-free tensors: the examples of a micro-batch end to end in one row.

Positions restart at every example, attention stays within each, and only the hidden states that
predict a learned token go through the output projection.

Attention is registered with transformers under the name ``ptft_packed``. Because transformers knows
no mask function of that name it builds no mask at all, and the layout of the row arrives here
through the model's keyword arguments, computed once a micro-batch instead of once a layer. On CUDA
in bfloat16 it is flash attention over variable lengths (``torch.nn.attention.varlen``, which knows
no float32). Elsewhere the rows are laid out as rectangles, one for sequences of similar length, and
go through ``scaled_dot_product_attention``: causal, so that padding at the end is never seen and
needs no mask.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AttentionInterface

from ptft.training.examples import Example

NAME = "ptft_packed"

# A sequence shorter than this share of the longest in its rectangle starts a new one: below it,
# the attention wasted on padding costs more than another call does.
MIN_FILL = 0.6


@dataclass(frozen=True)
class Rectangle:
    """Sequences of similar length. rows: (tokens,) their places in the packed row. cells: (tokens,)
    the places in the flattened (sequences x length) rectangle."""

    sequences: int
    length: int
    rows: torch.Tensor
    cells: torch.Tensor


@dataclass(frozen=True)
class SequenceLayout:
    """Where the sequences of a packed row begin and end.

    boundaries: (B + 1,) int32, cumulative lengths, for flash attention. rectangles: without it.
    """

    longest: int
    boundaries: torch.Tensor | None
    rectangles: tuple[Rectangle, ...]


def sequence_layout(
    lengths: Sequence[int], device: torch.device, bfloat16: bool = False
) -> SequenceLayout:
    """Layout of sequences of the given lengths, one after the other, for work in a precision."""
    ends = np.cumsum([0, *lengths])
    if device.type == "cuda" and bfloat16:
        boundaries = torch.from_numpy(ends.astype(np.int32)).to(device, non_blocking=True)
        return SequenceLayout(max(lengths), boundaries, ())
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        if not groups or lengths[index] < MIN_FILL * lengths[groups[-1][0]]:
            groups.append([])
        groups[-1].append(index)
    rectangles = tuple(
        _rectangle([(ends[i], lengths[i]) for i in group], device) for group in groups
    )
    return SequenceLayout(max(lengths), None, rectangles)


def _rectangle(spans: Sequence[tuple[int, int]], device: torch.device) -> Rectangle:
    """The rectangle of sequences given as (start, length), the longest first."""
    width = spans[0][1]
    rows = np.concatenate([np.arange(start, start + n) for start, n in spans])
    cells = np.concatenate([np.arange(n) + place * width for place, (_, n) in enumerate(spans)])
    places = (torch.from_numpy(array).to(device, non_blocking=True) for array in (rows, cells))
    return Rectangle(len(spans), width, *places)


class _Move(torch.autograd.Function):
    """Copy rows ``source`` of an (n, F) tensor to rows ``target`` of a zero (size, F) tensor.

    Each row is used once, so the gradient is the same move backwards: faster than the gradient of
    an index, which must add up.
    """

    @staticmethod
    def forward(ctx, tensor, source, target, size):
        ctx.save_for_backward(source, target)
        ctx.size = tensor.shape[0]
        return tensor.new_zeros(size, tensor.shape[1]).index_copy_(
            0, target, tensor.index_select(0, source)
        )

    @staticmethod
    def backward(ctx, grad):
        source, target = ctx.saved_tensors
        moved = grad.new_zeros(ctx.size, grad.shape[1]).index_copy_(
            0, source, grad.index_select(0, target)
        )
        return moved, None, None, None


def packed_attention(
    module, query, key, value, attention_mask, scaling=None, dropout=0.0, layout=None, **_
):
    """Attention function of transformers' interface.

    query: (1, H, T, D); key, value: (1, H_kv, T, D). Returns ((1, T, H, D), None).

    Raises:
        ValueError: called without a layout, or with attention dropout, which is not supported.
    """
    if layout is None:
        raise ValueError(f"attention {NAME!r} needs layout=, see ptft.training.packing")
    if dropout:
        raise ValueError(f"attention_dropout={dropout} is not supported over packed sequences")
    if layout.boundaries is not None:
        return _varlen(query, key, value, scaling, layout), None
    # (1, H, T, D) -> (T, H, D): the projections' own memory order, so nothing is copied
    query, key, value = (tensor.transpose(1, 2)[0] for tensor in (query, key, value))
    tokens, heads, width = query.shape
    out = None
    for box in layout.rectangles:
        boxed = [_to_rectangle(tensor, box) for tensor in (query, key, value)]
        answer = F.scaled_dot_product_attention(
            *boxed, is_causal=True, scale=scaling, enable_gqa=key.shape[1] != heads
        )  # (sequences, H, length, D)
        flat = answer.transpose(1, 2).reshape(-1, heads * width)
        part = _Move.apply(flat, box.cells, box.rows, tokens)
        out = part if out is None else out + part
    return out.view(1, tokens, heads, width), None


def _to_rectangle(tensor: torch.Tensor, box: Rectangle) -> torch.Tensor:
    """(T, H, D) -> (sequences, H, length, D), zero where a sequence is shorter."""
    tokens, heads, width = tensor.shape
    flat = tensor.reshape(tokens, heads * width)
    moved = _Move.apply(flat, box.rows, box.cells, box.sequences * box.length)
    return moved.view(box.sequences, box.length, heads, width).transpose(1, 2)


def _varlen(query, key, value, scaling, layout: SequenceLayout) -> torch.Tensor:
    """Flash attention over the packed row on CUDA; (1, H, T, D) -> (1, T, H, D)."""
    from torch.nn.attention.varlen import varlen_attn

    # Rotary positions of Llama and GPT-NeoX leave float32 behind under autocast; the kernel wants
    # what the projection of the values gave.
    query, key, value = (t.transpose(1, 2)[0].to(value.dtype) for t in (query, key, value))
    ends, longest = layout.boundaries, layout.longest
    grouped = query.shape[1] != key.shape[1]
    return varlen_attn(
        *(query, key, value, ends, ends, longest, longest),
        scale=scaling,
        window_size=(-1, 0),  # causal
        enable_gqa=grouped,
    )[None]


AttentionInterface.register(NAME, packed_attention)


@dataclass(frozen=True)
class PackedBatch:
    """One micro-batch of T tokens in B examples, N of the tokens learned.

    input_ids, position_ids: (1, T). predictors: (N,) positions whose hidden state predicts a
    learned token. targets: (N,) those tokens. weights: (N,) each token's share in the update's
    loss. owners: (N,) the example, 0 to B - 1, that a learned token belongs to. imitated: (N,)
    bool, whether the checkpoint's prediction is learned in place of the token; None where nowhere.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    predictors: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    owners: torch.Tensor
    layout: SequenceLayout
    imitated: torch.Tensor | None = None


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


def pack(
    batch: Sequence[Example],
    weights: dict[str, float],
    device: torch.device,
    bfloat16: bool = False,
) -> PackedBatch:
    """Pack a micro-batch; ``weights`` as from :func:`example_weights`, for work in bfloat16."""
    lengths = [len(item.ids) for item in batch]
    ids = np.concatenate([item.ids for item in batch])
    predicted = np.flatnonzero(np.concatenate([item.loss_mask for item in batch]))
    owners = np.repeat(np.arange(len(batch)), lengths)[predicted]
    imitated = np.array([item.imitated for item in batch])
    arrays = {
        "input_ids": ids[None],
        "position_ids": np.concatenate([np.arange(n) for n in lengths])[None],
        "predictors": predicted - 1,
        "targets": ids[predicted],
        "weights": np.array([weights[item.example_id] for item in batch], dtype=np.float32)[owners],
        "owners": owners,
        **({"imitated": imitated[owners]} if imitated.any() else {}),
    }
    sent = {
        name: torch.from_numpy(array).to(device, non_blocking=True)
        for name, array in arrays.items()
    }
    return PackedBatch(**sent, layout=sequence_layout(lengths, device, bfloat16))
