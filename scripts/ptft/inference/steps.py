"""Decoding steps: each adds a token to every row of a batch.

The keys of a shared prefix are never copied: the new tokens of all rows meet them in one matrix
product, as in Hydragen (Juravsky et al. 2024, arXiv 2402.05099), and each row's own keys in a
buffer that is allocated once.
"""

from collections.abc import Sequence

import torch

from ptft.inference.head import exact_head
from ptft.inference.model import LoadedModel
from ptft.inference.prefix import Prefix
from ptft.inference.prefix_attention import RowCache, shared_prefix_attention


class Steps:
    """The steps of one batch, launched operation by operation.

    Args:
        loaded: the model.
        prefix: what all rows begin with.
        cache: keys and values of what is behind the prefix, except those of ``chosen``.
        visible: (B, columns) bool, False where a column of the cache holds no token of the row.
        chosen: (B,), the last token of each row.
        positions: (B, 1), where these tokens are in their texts.
    """

    leaving = 0.1
    """finished rows leave when they are this part of a batch: to leave costs a copy of the rest"""

    def __init__(
        self,
        loaded: LoadedModel,
        prefix: Prefix,
        cache: RowCache,
        visible: torch.Tensor,
        chosen: torch.Tensor,
        positions: torch.Tensor,
    ):
        self.loaded, self.prefix, self.cache = loaded, prefix, cache
        self.visible, self.chosen, self.positions = visible, chosen, positions

    def next(self) -> list[int]:
        """Ids of the next token of every row.

        Raises:
            FloatingPointError: the model's logits are not finite.
        """
        self.chosen = likeliest(self.logits(self.visible[:, : self.cache.end + 1]))
        self.cache.end += 1
        self.positions = self.positions + 1
        return self.chosen.tolist()

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows only."""
        kept = torch.tensor(rows, device=self.loaded.device)
        self.cache.select(kept)
        self.visible, self.positions = self.visible[kept], self.positions[kept]
        self.chosen = self.chosen[kept]

    def logits(self, seen: torch.Tensor) -> torch.Tensor:
        """Float32 logits (B, V) behind the last tokens; their keys and values join the cache.

        Args:
            seen: (B, S) bool, which of the row's own keys are seen.
        """
        model = self.loaded.model
        with shared_prefix_attention(model, self.prefix), exact_head(model):
            return model(
                self.chosen[:, None],
                attention_mask=seen[:, None, None],
                position_ids=self.positions,
                past_key_values=self.cache,
                use_cache=True,
            ).logits[:, -1]


def likeliest(logits: torch.Tensor) -> torch.Tensor:
    """The likeliest token (B,) by logits (B, V); the first of several that are equally likely.

    Raises:
        FloatingPointError: a logit is not finite.
    """
    best, chosen = logits.max(-1)
    require_finite(bool(torch.isfinite(best).all()))
    return chosen


def require_finite(finite: bool) -> None:
    """Refuse what is not.

    Raises:
        FloatingPointError: it is not.
    """
    if not finite:
        raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
