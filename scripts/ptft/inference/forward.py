"""How a batch runs through a model: a prefix that all share, the rows' own keys, and the head.

The head computes only the requested positions, in float32: in bfloat16 logits between 8 and 16 are
0.0625 apart, so labels, choices and greedy tokens tie although their hidden states differ; a tie
goes to the first. The product of hidden state and head is therefore summed and kept in float32 at
any precision of the model.

The tokens that all prompts of a cell begin with are run once and seen by every row. A batch being
scored sees them through a cache that joins them to the row's own, one layer at a time, and keeps
nothing. In decoding, the keys of the prefix are never copied: the new tokens of all rows meet them
in one matrix product, as in Hydragen (Juravsky et al. 2024, arXiv 2402.05099), and each row's own
keys in buffers that are allocated once, one for rows of similar length.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from ptft.prompts.encoding import Prompt

# A prefix that was run already serves again if it is at least this part of what is shared.
PREFIX_COVER = 0.9
ENGINE_ATTENTION = "ptft_engine"
"""name under which transformers finds the engine's attention"""


@contextmanager
def exact_head(model: torch.nn.Module, places: torch.Tensor | None = None) -> Iterator[None]:
    """While in force, the model's head computes float32 logits, of the given places only.

    ``logits_to_keep`` keeps the same columns of every row; rows of a batch end at different ones.
    The head itself runs on no row, and its output is replaced, so that whatever a model does to
    its logits (scaling, soft caps) stays in force.

    Args:
        places: (n,) indices into the flattened (batch x length) hidden states; None for all.
    """
    head = model.get_output_embeddings()
    hidden: list[torch.Tensor] = []

    def take(_head, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        hidden.append(inputs[0])  # (B, T, d)
        return (inputs[0][:, :0],)

    def compute(_head, _inputs, _none: torch.Tensor) -> torch.Tensor:
        states = hidden.pop()
        if places is not None:
            states = states.reshape(-1, states.shape[-1])[places].unsqueeze(0)
        with torch.autocast(states.device.type, enabled=False):
            return float32_logits(states, head.weight, getattr(head, "bias", None))

    # First and last of the head's hooks: sharded weights are whole in between.
    hooks = [
        head.register_forward_pre_hook(take),
        head.register_forward_hook(compute, prepend=True),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def float32_logits(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Logits (..., V) float32 of hidden states (..., d) under a head's weight (V, d)."""
    if hidden.dtype == weight.dtype == torch.float32:
        return F.linear(hidden, weight, bias)
    flat = hidden.reshape(-1, hidden.shape[-1])
    if flat.is_cuda and flat.dtype == weight.dtype:
        # The tensor cores sum in float32 anyway; only the result is kept in it.
        logits = torch.mm(flat, weight.t(), out_dtype=torch.float32)
    else:
        logits = flat.float() @ weight.float().t()
    logits = logits if bias is None else logits + bias.float()
    return logits.view(*hidden.shape[:-1], -1)


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


class PromptGroups:
    """Cuts prompts into groups, each behind a prefix that the model has run.

    Args:
        model: runs the prefixes.
        share_prefix: False leaves every prompt whole (to measure what sharing brings).
    """

    def __init__(self, model: torch.nn.Module, share_prefix: bool = True):
        self._model, self._share_prefix = model, share_prefix
        self._last = Prefix([], [])

    def of(self, prompts: Sequence[Prompt]) -> Iterator[tuple[Prefix, list[int]]]:
        """Numbers of the prompts with the same shots, and the prefix that they share."""
        by_shots: dict[int, list[int]] = {}
        for number, prompt in enumerate(prompts):
            by_shots.setdefault(prompt.shots, []).append(number)
        for numbers in by_shots.values():
            yield self._prefix([prompts[number].context for number in numbers]), numbers

    def _prefix(self, contexts: Sequence[list[int]]) -> Prefix:
        """The beginning that all contexts share.

        What was run last is taken again if it covers nearly all of it: the windows of one cell
        may agree in a token more or less.
        """
        if not self._share_prefix or len(contexts) < 2:
            return Prefix([], [])
        ids = contexts[0][: common_prefix(contexts)]
        last = self._last
        if ids[: len(last)] != last.ids or len(last) < PREFIX_COVER * len(ids):
            self._last = Prefix.compute(self._model, ids)
        return self._last


@dataclass(frozen=True)
class Block:
    """Rows of a batch whose keys are in one buffer: from ``start`` to before ``stop``.

    Attributes:
        length: tokens of the longest context among them.
    """

    start: int
    stop: int
    length: int

    @property
    def rows(self) -> slice:
        """Its part of the batch."""
        return slice(self.start, self.stop)


class RowCache(DynamicCache):
    """The rows' own keys and values in buffers, one a block; the prefix is joined only in filling.

    The rows of a block end together: a context of n tokens is in the columns before the block's
    ``length``. Layers do not know their cache, so that its memory is free as soon as nobody holds
    it.

    Args:
        prefix: what all rows begin with.
        layers: number of the model's layers.
        blocks: of the batch.
        new_tokens: most tokens that are generated behind a context.
    """

    def __init__(self, prefix: Prefix, layers: int, blocks: Sequence[Block], new_tokens: int):
        super().__init__()
        self.prefix, self.place = prefix, _Place(list(blocks))
        shared = prefix.layers or [None] * layers
        self.layers = [_RowLayer(self.place, pair, new_tokens) for pair in shared]

    @contextmanager
    def filling(self, number: int, rows: slice) -> Iterator[None]:
        """While in force, contexts are run: those of some rows of a block."""
        self.place.filling = number, rows
        try:
            yield
        finally:
            self.place.filling = None

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """While in force, one new token a row attends to the prefix and to the row's own keys."""
        global _decoded
        _decoded = self
        try:
            yield
        finally:
            _decoded = None
        self.place.generated += 1

    def select(self, rows: Sequence[int], device: torch.device) -> None:
        """Keep these rows only, given in order."""
        blocks, kept, first = [], [], 0
        for block in self.place.blocks:
            own = [row - block.start for row in rows if block.start <= row < block.stop]
            kept.append(torch.tensor(own, device=device, dtype=torch.int64))
            blocks.append(Block(first, first + len(own), block.length))
            first += len(own)
        for layer in self.layers:
            layer.select(kept)
        self.place.blocks = [block for block in blocks if block.start < block.stop]


@dataclass
class _Place:
    """Where the layers of a :class:`RowCache` put keys.

    Attributes:
        blocks: that still have rows.
        generated: tokens behind each context.
        filling: while contexts are run, number of the block and its rows, counted within it.
    """

    blocks: list[Block]
    generated: int = 0
    filling: tuple[int, slice] | None = None


class _RowLayer(DynamicLayer):
    """``keys`` and ``values`` are lists of (rows, heads, columns, size), one a block."""

    def __init__(self, place: _Place, shared, new_tokens: int):
        super().__init__()
        self.place, self.shared, self.new_tokens = place, shared, new_tokens

    def lazy_initialization(self, key_states, value_states):
        self.keys, self.values = (
            [
                states.new_zeros(
                    *(block.stop - block.start, states.shape[1]),
                    *(block.length + self.new_tokens, states.shape[-1]),
                )
                for block in self.place.blocks
            ]
            for states in (key_states, value_states)
        )
        self.is_initialized = True

    def get_seq_length(self) -> int:
        return 0  # rows have lengths of their own, and positions are given

    def update(self, key_states, value_states, *_args, **_kwargs):
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.place.filling is None:
            for rows, keys, values in self.seen():
                keys[:, :, -1] = key_states[rows, :, 0]
                values[:, :, -1] = value_states[rows, :, 0]
            return key_states, value_states  # ``engine_attention`` takes ``seen``
        number, rows = self.place.filling
        end = self.place.blocks[number].length
        columns = slice(end - key_states.shape[2], end)
        self.keys[number][rows, :, columns] = key_states
        self.values[number][rows, :, columns] = value_states
        if self.shared is None:
            return key_states, value_states
        keys, values = (part.expand(len(key_states), -1, -1, -1) for part in self.shared)
        return torch.cat([keys, key_states], 2), torch.cat([values, value_states], 2)

    def seen(self) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
        """Of each block its rows, and their keys and values up to the token that is run."""
        for block, keys, values in zip(self.place.blocks, self.keys, self.values, strict=True):
            end = block.length + self.place.generated + 1
            yield block.rows, keys[:, :, :end], values[:, :, :end]

    def select(self, kept: Sequence[torch.Tensor]) -> None:
        """Keep these rows of each block; one without rows goes."""
        for number, own in enumerate(kept):
            if len(own) < len(self.keys[number]):
                self.keys[number] = self.keys[number][own]
                self.values[number] = self.values[number][own]
        self.keys, self.values = (
            [part for part in parts if len(part)] for parts in (self.keys, self.values)
        )


_decoded: RowCache | None = None
"""what one new token a row attends to; see ``RowCache.decoding``"""


def use_engine_attention(model: torch.nn.Module) -> None:
    """Let a model attend by :func:`engine_attention`.

    Raises:
        ValueError: the model's attention can't be chosen.
    """
    AttentionInterface.register(ENGINE_ATTENTION, engine_attention)
    AttentionMaskInterface.register(ENGINE_ATTENTION, sdpa_mask)
    model.set_attn_implementation(ENGINE_ATTENTION)


def engine_attention(module, query, key, value, attention_mask, scaling=None, **options):
    """Scaled dot-product attention; in decoding over the prefix and a row's own keys.

    Args:
        query: (B, heads, T, size), in decoding (B, heads, 1, size).
        key, value: (B, key heads, S, size), in decoding of the new tokens alone.
        attention_mask: in decoding (B, 1, 1, S), True where a row's own key is seen; rows end
            together at S.
    """
    if (cache := _decoded) is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **options
        )
    batch, heads, _, size = query.shape
    key_heads, seen = key.shape[1], list(cache.layers[module.layer_idx].seen())
    shared = cache.prefix.layers
    pair = shared[module.layer_idx] if shared else (key[:, :, :0], value[:, :, :0])
    far_keys, far_values = (part[0] for part in pair)
    far = far_keys.shape[1]
    scaling = size**-0.5 if scaling is None else scaling
    rows = (key_heads, batch, heads // key_heads, -1)  # n query heads of a row share keys
    query = (query * scaling).view(batch, key_heads, -1, size).transpose(0, 1).contiguous()
    scores = query.new_empty(*rows[:3], far + attention_mask.shape[-1])
    # The new tokens of all rows meet the prefix in one product a head, written where it is needed.
    torch.bmm(query.flatten(1, 2), far_keys.mT, out=scores.flatten(1, 2)[..., :far])
    for block, keys, _ in seen:
        near = query[:, block].transpose(0, 1) @ keys.mT
        scores[:, block, :, -keys.shape[2] :] = near.transpose(0, 1)
    scores[..., far:].masked_fill_(~attention_mask.transpose(0, 1), -torch.inf)
    weights = scores.softmax(-1)  # summed in float32 at any precision
    out = (weights.flatten(1, 2)[..., :far] @ far_values).view(rows)
    for block, _, values in seen:
        near = weights[:, block, :, -values.shape[2] :].transpose(0, 1) @ values
        out[:, block] += near.transpose(0, 1)
    return out.transpose(0, 1).reshape(batch, 1, heads, value.shape[-1]), None
