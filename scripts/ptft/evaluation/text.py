"""Scoring a cell of generic text: the model's loss on each document, and its distance to the base.

A document is scored in windows (``ptft.prompts.tokens``), its first token after BOS, or else
EOS, as in lm-evaluation-harness. The cell's value is that of the corpus, a ratio of two sums, bits
and bytes; ``ratio_scores`` turns it into one value per document.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ptft.evaluation.requests import CellRequest
from ptft.evaluation.results import CellResults
from ptft.inference.engine import Engine, OnProgress, silent
from ptft.inference.text_losses import WindowLosses, window_losses
from ptft.prompts.tokens import document_windows


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


def loss_deviation(
    _cell: CellRequest, batched: CellResults, alone: CellResults, dtype: torch.dtype
) -> dict[str, str]:
    """How far batching in a precision below float32 moves a document's loss.

    To be kept with the score.

    Args:
        alone: of the first documents, each window alone in a batch.
    """
    pairs = zip(alone.extra["nats"], batched.extra["nats"], strict=False)
    return {
        "dtype": str(dtype).removeprefix("torch."),
        "compared_examples": str(len(alone.example_id)),
        "largest_nats_deviation": str(max(abs(one - other) for one, other in pairs)),
    }


def ratio_scores(sums: Mapping[str, Sequence]) -> dict[str, list]:
    """One value per document of each metric, whose mean is exactly that of the corpus.

    ``score`` (bits per byte), ``nats_per_token``, ``cross_entropy_to_base`` (nats per token) and
    ``same_top_token`` (share of the tokens); null where there is no base model.

    Args:
        sums: a document's nats, base_nats, same_top, tokens and bytes.
    """
    bits = [nats / math.log(2) for nats in sums["nats"]]
    return {
        "score": linearised(bits, sums["bytes"]),
        "nats_per_token": linearised(sums["nats"], sums["tokens"]),
        "cross_entropy_to_base": linearised(sums["base_nats"], sums["tokens"]),
        "same_top_token": linearised(sums["same_top"], sums["tokens"]),
    }


def linearised(numerators: Sequence, denominators: Sequence) -> list:
    """R + (a_i - R b_i) / mean(b) for R = sum(a) / sum(b); null where the numerators are.

    Their mean is R, and their standard error that of the ratio estimator by the delta method
    (Cochran 1977, Sampling Techniques, eq. 6.11), so that a ratio of sums is resampled, paired and
    averaged like a mean.
    """
    if None in numerators:
        return list(numerators)
    over, under = np.asarray(numerators, float), np.asarray(denominators, float)
    ratio = over.sum() / under.sum()
    return (ratio + (over - ratio * under) / under.mean()).tolist()
