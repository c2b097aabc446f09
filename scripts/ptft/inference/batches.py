"""Batches: how much one may hold, and one of token trees as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil
import torch

from ptft.prompts.encoding import Prompt

# Part of the free memory that a batch may take; the rest is for what is not counted here.
MEMORY_SHARE = 0.4
# More tokens than these do not make a batch faster: the caches of a CPU, the cores of a GPU.
CPU_TOKENS = 1024
CUDA_TOKENS = 65536
# A decoding step runs a token a row: it may have as many rows as a batch of this length.
STEP_TOKENS = 16
# Bytes that are read in the time that another block takes in a layer: its 7 operations of 2 us at
# 4.3 TB/s, or of 4 us at 10 GB/s.
CUDA_BLOCK, CPU_BLOCK = 2**26, 2**18


@dataclass
class Budget:
    """Limits of a batch.

    Attributes:
        tokens: most tokens of a padded batch.
        memory: most bytes of a batch.
        token_bytes: activations and logits of one token.
        key_bytes: keys and values of one token in one layer.
        layers: number of layers.
        block_bytes: least bytes of padding in one layer that are worth another block of rows.
    """

    tokens: int
    memory: float
    token_bytes: float = 0.0
    key_bytes: float = 0.0
    layers: int = 1
    block_bytes: float = 0.0

    @classmethod
    def measured(cls, model: torch.nn.Module, crowded: bool = False) -> "Budget":
        """A budget from the memory that is free now and the shape of the model.

        Args:
            crowded: let batches have as many tokens as fit, whether they are faster or not.
        """
        config, size = model.config, model.dtype.itemsize
        hidden, heads = config.hidden_size, config.num_attention_heads
        wide = getattr(config, "intermediate_size", None) or 4 * hidden
        key_heads = getattr(config, "num_key_value_heads", None) or heads
        head_size = getattr(config, "head_dim", None) or hidden // heads
        return cls(
            tokens=CUDA_TOKENS if crowded or model.device.type == "cuda" else CPU_TOKENS,
            memory=MEMORY_SHARE * free_memory(model.device),
            # Residuals and projections, the block's inner layer, and float32 logits, twice.
            token_bytes=size * (12 * hidden + 3 * wide) + 2 * 4 * config.vocab_size,
            key_bytes=size * 2 * key_heads * head_size,
            layers=config.num_hidden_layers,
            block_bytes=CUDA_BLOCK if model.device.type == "cuda" else CPU_BLOCK,
        )

    def shrink(self, rows: int, length: int) -> None:
        """Make room for half of a batch, to be called while the error of a full memory is handled.

        Args:
            rows, length: of the batch that did not fit; one row's error is raised again.
        """
        if rows == 1:
            raise
        torch.cuda.empty_cache()  # does nothing without CUDA
        self.tokens = max(1, min(self.tokens, rows * length) // 2)

    def scored_rows(self, length: int, prefix: int) -> int:
        """Rows of ``length`` tokens that may be scored at once behind a prefix.

        The prefix's keys and values are copied for one layer at a time; a mask takes a byte a
        pair of tokens and four more as numbers.
        """
        seen = prefix + length
        row = length * self.token_bytes + seen * self.key_bytes + 5 * length * seen
        return max(1, min(self.tokens // length, int(self.memory / max(row, 1))))

    def generated_rows(self, lengths: Sequence[int], new_tokens: int) -> int:
        """Rows that may be generated at once, of contexts of so many tokens, the longest first.

        Their own keys and values stay in every layer.
        """
        taken = np.cumsum(np.add(lengths, new_tokens)) * self.key_bytes * self.layers
        fitting = int(np.searchsorted(taken, self.memory, side="right"))
        return max(1, min(self.tokens // STEP_TOKENS, fitting))

    def blocks(self, lengths: Sequence[int], start: int = 0) -> list[tuple[int, int]]:
        """First row, and the row after the last, of blocks of contexts of similar length.

        Args:
            lengths: of contexts, the longest first.
            start: number of the first.
        """
        rows = len(lengths)
        saved = (lengths[0] - np.array(lengths)) * (rows - np.arange(rows))
        cut = int(saved.argmax())
        if saved[cut] * self.key_bytes <= self.block_bytes:
            return [(start, start + rows)]
        return [*self.blocks(lengths[:cut], start), *self.blocks(lengths[cut:], start + cut)]


def free_memory(device: torch.device) -> float:
    """Bytes that are free on a device: of the card, or of the machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


@dataclass
class TokenTrees:
    """A batch of trees, one a row.

    A *tree* is an example's context and the continuations that grow from its end: context, then
    one continuation after another, with a mask that lets each see the context and itself, and with
    positions that start again for each. The last token of a continuation is predicted, never read,
    so one of a single token adds nothing to the row. A continuation may begin with tokens that are
    given: read like those of the context, and not scored.

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
                # The first of the continuation's own places that predicts.
                first = max(known - 1, 0)
                sources.extend(range(len(reads), len(reads) + fed - first))
                reads.extend(range(row * length + at + first, row * length + at + fed))
                targets.extend(ids[known:])
                owners.extend([owner] * (len(ids) - known))
                owner += 1
                at += fed
        numbers = (np.array(values, dtype=np.int64) for values in (reads, sources, targets, owners))
        return cls(tokens, positions, segments, *numbers)

    def mask(self, skip: int, device: torch.device) -> torch.Tensor | None:
        """Tokens that each token sees: (rows, 1, length, skip + length); None if plainly causal."""
        if not self.segments.any():
            return None
        rows, length = self.segments.shape
        segments = torch.from_numpy(self.segments).to(device)
        causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
        related = (segments[:, None, :] == 0) | (segments[:, None, :] == segments[:, :, None])
        seen = torch.ones(rows, 1, length, skip + length, dtype=torch.bool, device=device)
        seen[:, 0, :, skip:] = causal & related
        return seen
