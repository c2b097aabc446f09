"""The engine: log-likelihoods of continuations, with everything shared that can be.

The unit of work is a *tree*: an example's context and the branches (continuations) that grow
from its end. A tree is one row of the batch: context, then branch after branch, with a mask that
lets a branch see its context and itself, and with positions that start again for each branch.
A branch of one token adds nothing to the row, so label scoring is the same call. What all
contexts have in common is run once and its keys and values are reused by every batch.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from transformers import DynamicCache

from ptft.evaluation.batches import by_token_budget
from ptft.evaluation.encoding import Prompt, common_prefix
from ptft.evaluation.model import LoadedModel

# Rows of logits that are turned into float32 at once.
SOFTMAX_ROWS = 1024


@dataclass
class Prefix:
    """Keys and values of the tokens that a set of prompts begins with."""

    ids: list[int]
    cache: DynamicCache | None

    def __len__(self) -> int:
        return len(self.ids)

    def repeated(self, rows: int) -> DynamicCache | None:
        """The cache for a batch; expanded without a copy, as the model appends by copying."""
        if self.cache is None:
            return None
        cache = copy.copy(self.cache)
        cache.layers = [copy.copy(layer) for layer in self.cache.layers]
        for layer in cache.layers:
            layer.keys = layer.keys.expand(rows, -1, -1, -1)
            layer.values = layer.values.expand(rows, -1, -1, -1)
        return cache


class Engine:
    """Runs one model over many prompts.

    Args:
        loaded: the model.
        token_budget: most tokens of a padded batch, the prefix's copies included.
        share_prefix: compute what prompts have in common once (off: for tests).
    """

    def __init__(self, loaded: LoadedModel, token_budget: int = 4096, share_prefix: bool = True):
        self.loaded = loaded
        self.token_budget = token_budget
        self.share_prefix = share_prefix
        self._prefix = Prefix([], None)

    def groups(self, prompts: Sequence[Prompt]) -> Iterator[tuple[Prefix, list[int]]]:
        """Prompts with the same number of shots, and the prefix that they share."""
        by_shots: dict[int, list[int]] = {}
        for number, prompt in enumerate(prompts):
            by_shots.setdefault(prompt.shots, []).append(number)
        for members in by_shots.values():
            yield self.prefix([prompts[number].context for number in members]), members

    @torch.inference_mode()
    def prefix(self, contexts: Sequence[list[int]]) -> Prefix:
        """What all contexts begin with; computed anew only if it is not the last one computed."""
        if not self.share_prefix or len(contexts) < 2:
            return Prefix([], None)
        ids = contexts[0][: common_prefix(contexts)]
        if self._prefix.ids and ids[: len(self._prefix)] == self._prefix.ids:
            return self._prefix
        if not ids:
            return Prefix([], None)
        cache = DynamicCache(config=self.loaded.model.config)
        tokens = torch.tensor([ids], device=self.loaded.device)
        self.loaded.model(tokens, past_key_values=cache, use_cache=True, logits_to_keep=1)
        self._prefix = Prefix(ids, cache)
        return self._prefix

    def score(
        self, prompts: Sequence[Prompt], progress: Callable[[int], None] = lambda rows: None
    ) -> list[list[float]]:
        """Log-likelihood of every branch of every prompt.

        Args:
            prompts: each with one branch or more.
            progress: told the number of prompts after each batch.

        Returns:
            per prompt and branch, the sum of its tokens' log-probabilities (natural logarithm,
            computed in float32 from the model's logits).

        Raises:
            FloatingPointError: the model's logits are not finite.
        """
        results: list[list[float]] = [[] for _ in prompts]
        for prefix, members in self.groups(prompts):
            lengths = [
                len(prompts[number].context)
                - len(prefix)
                + sum(len(branch) - 1 for branch in prompts[number].branches)
                for number in members
            ]
            for rows in by_token_budget(lengths, len(prefix), self.token_budget):
                batch = [members[row] for row in rows]
                scores = self._score_batch(prefix, [prompts[number] for number in batch])
                for number, values in zip(batch, scores, strict=True):
                    results[number] = values
                progress(len(batch))
        return results

    @torch.inference_mode()
    def _score_batch(self, prefix: Prefix, prompts: Sequence[Prompt]) -> list[list[float]]:
        forest = Forest.plant(prompts, len(prefix), self.loaded.pad)
        device = self.loaded.device
        tokens = torch.from_numpy(forest.tokens).to(device)  # (B, T)
        cache = prefix.repeated(len(prompts))
        mask = forest.mask(len(prefix), device)
        with gathered_head(self.loaded.model, torch.from_numpy(forest.reads).to(device)):
            logits = self.loaded.model(
                tokens,
                attention_mask=mask,
                position_ids=torch.from_numpy(forest.positions).to(device),
                past_key_values=cache,
                use_cache=cache is not None,
            ).logits[0]  # (reads, vocabulary)
        sources = torch.from_numpy(forest.sources).to(device)
        targets = torch.from_numpy(forest.targets).to(device)
        logprobs = logits[sources, targets].float() - log_normaliser(logits)[sources]
        sums = torch.zeros(forest.branches, dtype=torch.float64, device=device)
        sums.index_add_(0, torch.from_numpy(forest.owners).to(device), logprobs.double())
        values = iter(sums.tolist())
        if not bool(torch.isfinite(sums).all()):
            raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
        return [[next(values) for _ in prompt.branches] for prompt in prompts]


@dataclass
class Forest:
    """A batch of trees as arrays; see the module's text for the layout of a row.

    Attributes:
        tokens, positions: (rows, length), padded on the right.
        segments: (rows, length), 0 for the context, 1... for branches.
        reads: places in the flattened rows whose logits are needed.
        sources, targets, owners: for each scored token the number of its read, its id, and the
            number of its branch.
        branches: number of branches in the batch.
    """

    tokens: np.ndarray
    positions: np.ndarray
    segments: np.ndarray
    reads: np.ndarray
    sources: np.ndarray
    targets: np.ndarray
    owners: np.ndarray
    branches: int

    @classmethod
    def plant(cls, prompts: Sequence[Prompt], skip: int, pad: int) -> "Forest":
        """Lay out prompts, leaving out the first ``skip`` tokens, which the prefix holds."""
        rows = [
            prompt.context[skip:] + [token for branch in prompt.branches for token in branch[:-1]]
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
            at = len(prompt.context) - skip
            shared = len(reads)
            reads.append(row * length + at - 1)
            for number, branch in enumerate(prompt.branches, start=1):
                fed = len(branch) - 1
                if fed:
                    segments[row, at : at + fed] = number
                    start = len(prompt.context)
                    positions[row, at : at + fed] = np.arange(start, start + fed)
                sources.append(shared)
                sources.extend(range(len(reads), len(reads) + fed))
                reads.extend(range(row * length + at, row * length + at + fed))
                targets.extend(branch)
                owners.extend([owner] * len(branch))
                owner += 1
                at += fed
        numbers = (np.array(values, dtype=np.int64) for values in (reads, sources, targets, owners))
        return cls(tokens, positions, segments, *numbers, branches=owner)

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


class gathered_head:
    """While in force, the model's head computes the logits of the given places only.

    ``logits_to_keep`` keeps the same columns of every row; here rows end at different columns.
    Hooking the head leaves whatever a model does to its logits (scaling, soft caps) in force.

    Args:
        places: (n,) indices into the flattened (batch x length) hidden states.
    """

    def __init__(self, model: torch.nn.Module, places: torch.Tensor):
        self.head = model.get_output_embeddings()
        self.places = places

    def __enter__(self) -> None:
        def gather(_module, inputs):
            hidden = inputs[0]  # (B, T, d)
            return (hidden.reshape(-1, hidden.shape[-1])[self.places].unsqueeze(0),)

        self.hook = self.head.register_forward_pre_hook(gather)

    def __exit__(self, *_error) -> None:
        self.hook.remove()


def log_normaliser(logits: torch.Tensor) -> torch.Tensor:
    """log of the softmax's denominator of each row, in float32, a slice of rows at a time."""
    return torch.cat([part.float().logsumexp(-1) for part in logits.split(SOFTMAX_ROWS)])
