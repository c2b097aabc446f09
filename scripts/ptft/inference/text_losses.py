"""The loss of text, token by token, and how far a model is from another one on it.

Logits are those of ``exact_head``: float32 from the hidden state on, for the scored places only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ptft.inference.engine import SOFTMAX_ROWS, Engine
from ptft.inference.head import exact_head
from ptft.prompts.tokens import Window


@dataclass(frozen=True)
class WindowLosses:
    """Sums over the scored tokens of W windows, float64.

    Attributes:
        nats: (W,) of the negative log-likelihoods, natural logarithm.
        base_nats: (W,) of the cross-entropies to the base model, -sum_v p_base(v) log p(v).
        same_top: (W,) number of tokens at which both models hold the same token the likeliest.
    """

    nats: np.ndarray
    base_nats: np.ndarray | None = None
    same_top: np.ndarray | None = None


def window_losses(
    engine: Engine,
    windows: Sequence[Window],
    base: torch.nn.Module | None = None,
    progress: Callable[[Sequence[int]], None] = lambda numbers: None,
) -> WindowLosses:
    """Score windows, the longest first, in batches that fit the engine's memory.

    Args:
        base: what the model is compared with, on the same device; None for nothing.
        progress: told the numbers of the windows after each batch.

    Raises:
        FloatingPointError: a model's logits are not finite.
        ValueError: the base model has another vocabulary.
    """
    sums = np.zeros((3, len(windows)))
    order = sorted(range(len(windows)), key=lambda number: -len(windows[number].read))
    start = 0
    while start < len(order):
        length = len(windows[order[start]].read)
        # Two models have twice the activations and logits.
        rows = max(1, engine.budget.scored_rows(length, 0) // (1 if base is None else 2))
        numbers = order[start : start + rows]
        try:
            found = _run(engine, [windows[number] for number in numbers], base)
        except torch.OutOfMemoryError:
            engine.budget.shrink(len(numbers), length)
            continue
        sums[: len(found), numbers] = found
        progress(numbers)
        start += len(numbers)
    return WindowLosses(sums[0]) if base is None else WindowLosses(*sums)


@torch.inference_mode()
def _run(engine: Engine, windows: Sequence[Window], base: torch.nn.Module | None) -> np.ndarray:
    """One batch: the sums of ``WindowLosses``, (1 or 3, W)."""
    loaded = engine.loaded
    length = len(windows[0].read)
    tokens = np.full((len(windows), length), loaded.pad)  # (W, T), padded on the right
    places, targets, owners = [], [], []
    for row, window in enumerate(windows):
        read, scored = len(window.read), len(window.scored)
        tokens[row, :read] = window.read
        places.append(np.arange(row * length + read - scored, row * length + read))
        targets.append(np.asarray(window.scored))
        owners.append(np.full(scored, row))
    ids, reads, wanted = (
        torch.from_numpy(array).to(loaded.device)
        for array in (tokens, np.concatenate(places), np.concatenate(targets))
    )
    logits = _logits(loaded.model, ids, reads)  # (N, V)
    others = None if base is None else _logits(base, ids, reads)
    if others is not None and others.shape != logits.shape:
        raise ValueError(
            f"the base model has {others.shape[-1]} tokens, the tuned one {logits.shape[-1]}; "
            "their distributions can't be compared"
        )
    values = torch.cat(
        [
            _token_values(logits[part], wanted[part], None if others is None else others[part])
            for part in torch.arange(len(wanted), device=ids.device).split(SOFTMAX_ROWS)
        ],
        dim=1,
    )
    columns = values.double().cpu().numpy()  # (1 or 3, N)
    if not np.isfinite(columns).all():
        raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
    owner = np.concatenate(owners)
    return np.stack([np.bincount(owner, weights=column) for column in columns])


def _logits(model: torch.nn.Module, ids: torch.Tensor, reads: torch.Tensor) -> torch.Tensor:
    """Float32 logits (N, V) at places of the flattened ids. What pads comes behind all of them."""
    with exact_head(model, reads):
        return model(ids, use_cache=False).logits[0]


def _token_values(
    logits: torch.Tensor, wanted: torch.Tensor, others: torch.Tensor | None
) -> torch.Tensor:
    """Of tokens: nats and, with the base's logits, cross-entropy to it and the same top token."""
    logprobs = logits.log_softmax(-1)
    nats = -logprobs.gather(1, wanted[:, None]).squeeze(1)
    if others is None:
        return nats[None]
    cross = -(others.softmax(-1) * logprobs).sum(-1)
    same = (logits.argmax(-1) == others.argmax(-1)).float()
    return torch.stack([nats, cross, same])
