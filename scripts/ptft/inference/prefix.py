"""The tokens that all prompts of a cell begin with: run once, seen by every row.

Their keys and values are kept once a model. A batch being scored sees them through a cache that
joins them to the row's own, one layer at a time, and keeps nothing.
"""

from collections.abc import Sequence

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class Prefix:
    """Keys and values of the beginning of a set of prompts.

    Attributes:
        ids: its tokens; may be empty.
        layers: per layer (keys, values), each (1, key heads, tokens, head size).
    """

    def __init__(self, ids: Sequence[int], layers: Sequence[tuple[torch.Tensor, torch.Tensor]]):
        self.ids = list(ids)
        self.layers = list(layers)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    @torch.inference_mode()
    def compute(cls, model: torch.nn.Module, ids: Sequence[int]) -> "Prefix":
        """Run the model over the prefix."""
        if not ids:
            return cls([], [])
        cache = DynamicCache(config=model.config)
        tokens = torch.tensor([ids], device=model.device)
        model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return cls(ids, [(layer.keys, layer.values) for layer in cache.layers])

    def cache(self) -> Cache | None:
        """A cache for rows that are run once; None without a prefix."""
        if not self.ids:
            return None
        cache = DynamicCache()
        cache.layers = [_PrefixLayer(keys, values) for keys, values in self.layers]
        return cache


class _PrefixLayer(DynamicLayer):
    """Joins the prefix to a batch's own keys and values, and forgets the batch's."""

    def __init__(self, keys: torch.Tensor, values: torch.Tensor):
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def update(self, key_states, value_states, *_args, **_kwargs):
        rows = len(key_states)
        return (
            torch.cat([self.keys.expand(rows, -1, -1, -1), key_states], dim=-2),
            torch.cat([self.values.expand(rows, -1, -1, -1), value_states], dim=-2),
        )


def common_prefix(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the longest token prefix of all sequences, short of each one's last token.

    The last token stays out, so that every row has at least one token to be run.
    """
    first, last = min(sequences), max(sequences)
    limit = min(len(ids) for ids in sequences) - 1
    for at in range(limit):
        if first[at] != last[at]:
            return at
    return max(limit, 0)
