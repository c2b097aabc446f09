"""A batch of token trees as arrays.

A *tree* is an example's context and the continuations that grow from its end. It is one row of
the batch: context, then one continuation after another, with a mask that lets each see the
context and itself, and with positions that start again for each. The last token of a continuation
is predicted, never read, so one of a single token adds nothing to the row. A continuation may
begin with tokens that are given: read like those of the context, and not scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ptft.prompts.encoding import Prompt


@dataclass
class TokenTrees:
    """Trees, one a row.

    Attributes:
        tokens, positions: (rows, length), padded on the right.
        segments: (rows, length), 0 for the context, 1... for continuations.
        reads: places in the flattened rows whose logits are needed.
        sources, targets, owners: for each scored token the number of its read, its id, and the
            number of its continuation, counted through the batch.
    """

    tokens: np.ndarray
    positions: np.ndarray
    segments: np.ndarray
    reads: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    owners: np.ndarray

    @classmethod
    def of(cls, prompts: Sequence[Prompt], skip: int, pad: int) -> "TokenTrees":
        """Lay out prompts, leaving out the first ``skip`` tokens, which the prefix holds."""
        rows = [
            prompt.context[skip:] + [token for ids in prompt.continuations for token in ids[:-1]]
            for prompt in prompts
        ]
        length = max(map(len, rows))
        tokens = np.full((len(rows), length), pad, dtype=np.int64)
        positions = np.tile(np.arange(skip, skip + length, dtype=np.int64), (len(rows), 1))
        segments = np.zeros((len(rows), length), dtype=np.int64)
        reads: list[int] = []
        sources: list[int] = []
        targets: list[int] = []
        owners: list[int] = []
        owner = 0
        for row, prompt in enumerate(prompts):
            tokens[row, : len(rows[row])] = rows[row]
            start = len(prompt.context)
            at = start - skip
            given = prompt.given or [0] * len(prompt.continuations)
            shared = len(reads)  # the context's last token predicts the first of every continuation
            if 0 in given:
                reads.append(row * length + at - 1)
            pairs = zip(prompt.continuations, given, strict=True)
            for number, (ids, known) in enumerate(pairs, 1):
                fed = len(ids) - 1
                if fed:
                    segments[row, at : at + fed] = number
                    positions[row, at : at + fed] = np.arange(start, start + fed)
                if not known:
                    sources.append(shared)
                first = max(
                    known - 1, 0
                )  # the first of the continuation's own places that predicts
                sources.extend(range(len(reads), len(reads) + fed - first))
                reads.extend(range(row * length + at + first, row * length + at + fed))
                targets.extend(ids[known:])
                owners.extend([owner] * (len(ids) - known))
                owner += 1
                at += fed
        numbers = (np.array(values, dtype=np.int64) for values in (reads, sources, targets, owners))
        return cls(tokens, positions, segments, *numbers)

    def mask(self, skip: int, device: torch.device) -> torch.Tensor | None:
        """What each token sees: (rows, 1, length, skip + length); None if plainly causal."""
        if not self.segments.any():
            return None
        rows, length = self.segments.shape
        segments = torch.from_numpy(self.segments).to(device)
        causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        related = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
        seen = torch.ones(rows, 1, length, skip + length, dtype=torch.bool, device=device)
        seen[:, 0, :, skip:] = causal & related
        return seen
