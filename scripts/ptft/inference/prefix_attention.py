"""Keys and values of a batch that grows behind a shared prefix, and attention over both."""

from contextlib import contextmanager

import torch
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from ptft.inference.prefix import Prefix

NAME = "ptft_shared_prefix"


class RowCache(DynamicCache):
    """The rows' own keys and values in buffers; the prefix is joined only while filling.

    Rows end together: a context of n tokens is in the columns before ``length``.

    Args:
        prefix: what all rows begin with.
        layers: number of the model's layers.
        rows: of the batch.
        length: tokens of the longest context.
        columns: room for contexts and generated tokens.

    Attributes:
        end: the column of the next token. Attention sees what is before it and the token itself.
        at: the same as a tensor (1,), in its place; attention then sees all columns, and needs a
            mask. So a step's shapes stay the same, and it can be recorded.
    """

    def __init__(self, prefix: Prefix, layers: int, rows: int, length: int, columns: int):
        super().__init__()
        self.end = length
        self.at: torch.Tensor | None = None
        shared = prefix.layers or [None] * layers
        self.layers = [_RowLayer(self, pair, rows, columns) for pair in shared]
        self.filling: tuple[int, int] | None = None

    def fill_rows(self, start: int, rows: int) -> None:
        """The next run fills these rows."""
        self.filling = (start, start + rows)

    def filled(self) -> None:
        """The next runs append a token to every row."""
        self.filling = None

    def select(self, rows: torch.Tensor) -> None:
        """Keep these rows only."""
        for layer in self.layers:
            layer.batch_select_indices(rows)


class _RowLayer(DynamicLayer):
    def __init__(self, cache: RowCache, shared, rows: int, columns: int):
        super().__init__()
        self.cache, self.shared, self.shape = cache, shared, (rows, columns)

    def update(self, key_states, value_states, *_args, **_kwargs):
        if not self.is_initialized:
            rows, columns = self.shape
            self.lazy_initialization(key_states, value_states)
            _, heads, _, size = key_states.shape
            self.keys = key_states.new_zeros(rows, heads, columns, size)
            self.values = torch.zeros_like(self.keys)
        end = self.cache.end
        if self.cache.filling is None:
            if (at := self.cache.at) is not None:
                self.keys.index_copy_(2, at, key_states)
                self.values.index_copy_(2, at, value_states)
                return self.keys, self.values
            self.keys[:, :, end] = key_states[:, :, 0]
            self.values[:, :, end] = value_states[:, :, 0]
            return self.keys[:, :, : end + 1], self.values[:, :, : end + 1]
        start, stop = self.cache.filling
        begin = end - key_states.shape[2]
        self.keys[start:stop, :, begin:end] = key_states
        self.values[start:stop, :, begin:end] = value_states
        if self.shared is None:
            return key_states, value_states
        keys, values = (part.expand(stop - start, -1, -1, -1) for part in self.shared)
        return torch.cat([keys, key_states], 2), torch.cat([values, value_states], 2)


@contextmanager
def shared_prefix_attention(model: torch.nn.Module, prefix: Prefix):
    """While in force, one new token a row attends to the prefix and to the row's own keys.

    Without a prefix, the model's own attention stays in force.
    """
    if not prefix.ids:
        yield
        return

    def attend(module, query, key, value, attention_mask, scaling, **_kwargs):
        """Softmax over the prefix and a row's own keys.

        Args:
            query: (B, heads, 1, size); key, value: (B, key heads, S, size), without the prefix.
            attention_mask: (B, 1, 1, S), True where a key is seen.
        """
        batch, heads, _, size = query.shape
        key_heads = key.shape[1]
        far_keys, far_values = (part[0] for part in prefix.layers[module.layer_idx])
        query = (query * scaling).view(batch, key_heads, heads // key_heads, size)
        together = query.transpose(0, 1).reshape(key_heads, -1, size)
        far = together @ far_keys.transpose(1, 2)  # (key heads, B * group, P)
        far = far.view(key_heads, batch, -1, far.shape[-1]).transpose(0, 1)
        near = (query @ key.transpose(2, 3)).masked_fill(~attention_mask, -torch.inf)
        weights = torch.cat([far, near], -1).softmax(-1, dtype=torch.float32).to(query.dtype)
        far, near = weights.split([far.shape[-1], near.shape[-1]], -1)
        far = far.transpose(0, 1).reshape(key_heads, -1, far.shape[-1]) @ far_values
        far = far.view(key_heads, batch, -1, size).transpose(0, 1)
        return (far + near @ value).reshape(batch, 1, heads, size), None

    config = model.config
    before = config._attn_implementation
    ALL_ATTENTION_FUNCTIONS[NAME] = attend
    config._attn_implementation = NAME
    try:
        yield
    finally:
        config._attn_implementation = before
        del ALL_ATTENTION_FUNCTIONS[NAME]
