"""The engine: log-likelihoods and greedy continuations, with everything shared that can be.

What the contexts of a call have in common is run once (``prefix``); the choices of a question
share the question (``forest``); only the logits that are asked for are computed. None of it
changes a score: the tests hold every score to that of the whole prompt alone in a batch.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from ptft.inference.budget import Budget
from ptft.inference.generation import generate
from ptft.inference.head import exact_head
from ptft.inference.model import LoadedModel
from ptft.inference.prefix import Prefix, common_prefix
from ptft.inference.token_trees import Forest
from ptft.prompts.encoding import Prompt

# Rows of logits that are exponentiated at once.
SOFTMAX_ROWS = 1024
# A prefix that was run already serves again if it is at least this part of what is shared.
PREFIX_COVER = 0.9

Progress = Callable[[int], None]


def silent(_prompts: int) -> None:
    """Progress that nobody watches."""


class Engine:
    """Runs one model over many prompts.

    Args:
        loaded: the model.
        budget: what a batch may hold; by default measured from the free memory.
        share_prefix: run what prompts have in common once (off: to measure what it brings).
    """

    def __init__(self, loaded: LoadedModel, budget: Budget | None = None, share_prefix=True):
        self.loaded = loaded
        self.budget = budget or Budget.measured(loaded.model)
        self.share_prefix = share_prefix
        self._last_prefix = Prefix([], [])

    def score(self, prompts: Sequence[Prompt], progress: Progress = silent) -> list[list[float]]:
        """Log-likelihood of every branch of every prompt.

        Args:
            prompts: each with one branch or more.
            progress: told the number of prompts after each batch.

        Returns:
            per prompt and branch, the sum of its tokens' log-probabilities (natural logarithm,
            from logits in float32).

        Raises:
            FloatingPointError: the model's logits are not finite.
        """
        results: list[list[float]] = [[] for _ in prompts]
        for numbers, owners, logprobs in self._scored(prompts):
            sums = iter(np.bincount(owners, weights=logprobs).tolist())
            for number in numbers:
                results[number] = [next(sums) for _ in prompts[number].branches]
            progress(len(numbers))
        return results

    def score_tokens(
        self, prompts: Sequence[Prompt], progress: Progress = silent
    ) -> list[list[list[float]]]:
        """As ``score``, but the log-probability of every token of every branch."""
        results: list[list[list[float]]] = [[] for _ in prompts]
        for numbers, _, logprobs in self._scored(prompts):
            values = iter(logprobs.tolist())
            for number in numbers:
                results[number] = [
                    [next(values) for _ in scored] for scored in prompts[number].scored
                ]
            progress(len(numbers))
        return results

    def generate(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        stop: Sequence[str],
        progress: Progress = silent,
    ) -> list[str]:
        """Greedy continuation of every prompt.

        Args:
            max_new_tokens: most tokens of a continuation.
            stop: the text ends before the first of these; an end token ends it too.
            progress: told the number of prompts after each batch.

        Raises:
            FloatingPointError: the model's logits are not finite.
        """
        return generate(self, prompts, max_new_tokens, stop, progress)

    def gpu_memory(self) -> int:
        """Most bytes of the GPU that this engine has held."""
        return torch.cuda.max_memory_allocated(self.loaded.device)

    def groups(self, prompts: Sequence[Prompt]) -> Iterator[tuple[Prefix, list[int]]]:
        """Numbers of the prompts with the same shots, and the prefix that they share."""
        by_shots: dict[int, list[int]] = {}
        for number, prompt in enumerate(prompts):
            by_shots.setdefault(prompt.shots, []).append(number)
        for numbers in by_shots.values():
            yield self._prefix([prompts[number].context for number in numbers]), numbers

    def _prefix(self, contexts: Sequence[list[int]]) -> Prefix:
        """What all contexts begin with.

        What was run last is taken again if it covers nearly all of it: the windows of one cell
        may agree in a token more or less.
        """
        if not self.share_prefix or len(contexts) < 2:
            return Prefix([], [])
        ids = contexts[0][: common_prefix(contexts)]
        last = self._last_prefix
        if ids[: len(last)] != last.ids or len(last) < PREFIX_COVER * len(ids):
            self._last_prefix = Prefix.compute(self.loaded.model, ids)
        return self._last_prefix

    def _scored(
        self, prompts: Sequence[Prompt]
    ) -> Iterator[tuple[list[int], np.ndarray, np.ndarray]]:
        """Batch by batch: numbers of its prompts, owner and log-probability of each token."""
        for prefix, members in self.groups(prompts):
            lengths = {
                number: len(prompts[number].context)
                - len(prefix)
                + sum(len(branch) - 1 for branch in prompts[number].branches)
                for number in members
            }
            order = sorted(members, key=lambda number: -lengths[number])
            start = 0
            while start < len(order):
                rows = self.budget.scored_rows(lengths[order[start]], len(prefix))
                numbers = order[start : start + rows]
                try:
                    owners, logprobs = self._run(prefix, [prompts[number] for number in numbers])
                except torch.OutOfMemoryError:
                    self.budget.shrink(len(numbers), lengths[order[start]])
                    continue
                yield numbers, owners, logprobs
                start += len(numbers)

    @torch.inference_mode()
    def _run(self, prefix: Prefix, prompts: Sequence[Prompt]) -> tuple[np.ndarray, np.ndarray]:
        """One batch: owner and log-probability of each scored token."""
        forest = Forest.plant(prompts, len(prefix), self.loaded.pad)
        device = self.loaded.device

        def move(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        cache = prefix.cache()
        with exact_head(self.loaded.model, move(forest.reads)):
            logits = self.loaded.model(
                move(forest.tokens),  # (B, T)
                attention_mask=forest.mask(len(prefix), device),
                position_ids=move(forest.positions),
                past_key_values=cache,
                use_cache=cache is not None,
            ).logits[0]  # (reads, vocabulary)
        sources = move(forest.sources)
        logprobs = logits[sources, move(forest.targets)] - log_normaliser(logits)[sources]
        logprobs = logprobs.cpu().numpy()
        if not np.isfinite(logprobs).all():
            raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
        return forest.owners, logprobs


def log_normaliser(logits: torch.Tensor) -> torch.Tensor:
    """log of the softmax's denominator of each row of float32 logits, a slice of rows at a time."""
    return torch.cat([part.logsumexp(-1) for part in logits.split(SOFTMAX_ROWS)])
