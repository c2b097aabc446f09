"""Scoring a cell of generic text: the model's loss on each document, and its distance to the base.

A document is scored in windows (``ptft.prompts.tokens``), its first token after BOS, or else
EOS, as in lm-evaluation-harness. The cell's value is that of the corpus, a ratio of two sums, bits
and bytes; ``ratio_scores`` turns it into one value per document. Logits are those of
``exact_head``: float32 from the hidden state on, for the scored places only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ptft.evaluation.cells import CellRequest
from ptft.evaluation.results import CellResults
from ptft.inference.engine import SOFTMAX_ROWS, Engine, OnProgress, silent
from ptft.inference.forward import exact_head
from ptft.prompts.tokens import Window, document_windows


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


def score_text(
    engine: Engine,
    base: torch.nn.Module | None,
    cell: CellRequest,
    rows: Sequence[Mapping],
    progress: OnProgress = silent,
) -> CellResults:
    """Sums over the tokens of each document, as columns: see ``ratio_scores``.

    Args:
        base: the checkpoint that a tuned model was made of; None where the model is one itself.
    """
    loaded = engine.loaded
    texts = [row["text"] for row in rows]
    documents = document_windows(
        loaded.tokenizer, texts, cell.window or 0, cell.stride or 0, loaded.max_length
    )
    windows = [window for document in documents for window in document]
    owners = np.repeat(np.arange(len(rows)), [len(document) for document in documents])
    left = np.bincount(owners, minlength=len(rows))

    def tell(numbers: Sequence[int]) -> None:
        before = (left == 0).sum()
        np.subtract.at(left, owners[numbers], 1)
        progress(int((left == 0).sum() - before))

    losses = window_losses(engine, windows, base, tell)
    tokens = [sum(len(window.scored) for window in document) for document in documents]
    return CellResults(
        example_id=[row["example_id"] for row in rows],
        predicted=[None] * len(rows),
        gold=[None] * len(rows),
        logprobs=[None] * len(rows),
        prompt_tokens=tokens,
        truncated=[False] * len(rows),
        extra={
            "tokens": tokens,
            "bytes": [len(text.encode()) for text in texts],
            **_sums(losses, owners, len(rows)),
        },
    )


def _sums(losses: WindowLosses, owners: np.ndarray, documents: int) -> dict[str, list]:
    """Of each document, from its windows; null where there is no base model."""
    return {
        name: [None] * documents
        if values is None
        else np.bincount(owners, weights=values, minlength=documents).tolist()
        for name, values in vars(losses).items()
    }


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
