"""The engine: log-likelihoods and greedy continuations, with shared computation.

The common prefix of a call's contexts is computed once (``PromptGroups``); the choices of a
question share the question (``TokenTrees``); only the requested logits are computed.
None of it changes a score: tests compare every score with that of the whole prompt alone.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import torch

from ptft.inference.batches import Budget, TokenTrees
from ptft.inference.forward import Prefix, PromptGroups, exact_head, use_engine_attention
from ptft.inference.generation import (
    Answer,
    Chooser,
    Generated,
    Sampling,
    generate,
    greedy,
)
from ptft.models.loading import LoadedModel
from ptft.prompts.encoding import Prompt
from ptft.prompts.tokens import text_before

# Rows of logits that are exponentiated at once.
SOFTMAX_ROWS = 1024

OnProgress = Callable[[int], None]


def silent(_prompts: int) -> None:
    """OnProgress that nobody watches."""


class Engine:
    """Runs one model over many prompts.

    Attributes:
        plain: whether transformers runs the model by itself, a prompt at a time.

    Args:
        loaded: the model.
        budget: what a batch may hold; by default measured from the free memory.
        share_prefix: run what prompts have in common once (off: to measure what it brings).
    """

    plain = False

    def __init__(
        self,
        loaded: LoadedModel,
        budget: Budget | None = None,
        share_prefix: bool = True,
    ):
        self.loaded = loaded
        use_engine_attention(loaded.model)
        self.budget = budget or Budget.measured(loaded.model)
        self.groups = PromptGroups(loaded.model, share_prefix)

    def renewed(self) -> "Engine":
        """An engine for the same model with other weights: what it keeps of prompts is of these."""
        return Engine(self.loaded, self.budget)

    def score(self, prompts: Sequence[Prompt], progress: OnProgress = silent) -> list[list[float]]:
        """Log-likelihood of every continuation of every prompt.

        Args:
            prompts: each with one continuation or more.
            progress: told the number of prompts after each batch.

        Returns:
            per prompt and continuation, the sum of its tokens' log-probabilities (natural
            logarithm, from logits in float32).

        Raises:
            FloatingPointError: the model's logits are not finite.
        """
        found = self.score_tokens(prompts, progress)
        return [[math.fsum(tokens) for tokens in row] for row in found]

    def score_tokens(
        self,
        prompts: Sequence[Prompt],
        progress: OnProgress = silent,
        greedy: dict[int, list[list[bool]]] | None = None,
    ) -> list[list[list[float]]]:
        """As ``score``, but the log-probability of every token of every continuation.

        Args:
            greedy: gets, by number of the prompt, whether each token is the likeliest.
        """
        results: list[list[list[float]]] = [[] for _ in prompts]
        for numbers, *columns in self._scored(prompts, greedy is not None):
            for values, found in zip(columns, (results, greedy), strict=True):
                if values is None or found is None:
                    continue
                tokens = iter(values.tolist())
                for number in numbers:
                    found[number] = [
                        [next(tokens) for _ in scored] for scored in prompts[number].scored
                    ]
            progress(len(numbers))
        return results

    def generate(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        stop: Sequence[str],
        progress: OnProgress = silent,
    ) -> list[Answer]:
        """Greedy continuation of every prompt.

        Args:
            max_new_tokens: most tokens of a continuation.
            stop: the text ends before the first of these, white space in front left out; an end
                token ends it too.
            progress: told the number of prompts after each batch.

        Raises:
            FloatingPointError: the model's logits are not finite.
        """
        return self._answers(prompts, max_new_tokens, stop, progress, greedy)

    def sample(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        sampling: Sampling,
        progress: OnProgress = silent,
    ) -> list[Answer]:
        """Drawn continuation of every prompt, until an end token.

        Args:
            max_new_tokens: most tokens of a continuation.
            sampling: how tokens are drawn.
            progress: told the number of prompts after each batch.

        Raises:
            FloatingPointError: the model's logits are not finite.
        """
        return self._answers(prompts, max_new_tokens, (), progress, sampling.chooser)

    def _answers(
        self, prompts, max_new_tokens, stop: Sequence[str], progress, chooser
    ) -> list[Answer]:
        found = self._continued(prompts, max_new_tokens, stop, progress, chooser)
        cut = partial(text_before, self.loaded.tokenizer, stop)
        return [Answer(cut(ids), ended, tuple(ids)) for ids, ended in found]

    def _continued(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int,
        stop: Sequence[str],
        progress: OnProgress,
        chooser: Chooser,
    ) -> Iterable[Generated]:
        """Answers that are generated behind each prompt."""
        asked = prompts, max_new_tokens, stop, progress, chooser
        return generate(self.loaded, self.budget, self.groups, *asked)

    def gpu_memory(self) -> int:
        """Most bytes of the GPU that this engine has held."""
        return torch.cuda.max_memory_allocated(self.loaded.device)

    def _scored(self, prompts: Sequence[Prompt], greedy: bool) -> Iterator[tuple]:
        """Batch by batch: numbers of its prompts; of each token ``_run``'s two."""
        for prefix, members in self.groups.of(prompts):
            lengths = {
                number: len(prompts[number].context)
                - len(prefix)
                + sum(len(continuation) - 1 for continuation in prompts[number].continuations)
                for number in members
            }
            order = sorted(members, key=lambda number: -lengths[number])
            start = 0
            while start < len(order):
                rows = self.budget.scored_rows(lengths[order[start]], len(prefix))
                numbers = order[start : start + rows]
                try:
                    found = self._run(prefix, [prompts[number] for number in numbers], greedy)
                except torch.OutOfMemoryError:
                    self.budget.shrink(len(numbers), lengths[order[start]])
                    continue
                yield numbers, *found
                start += len(numbers)

    @torch.inference_mode()
    def _run(
        self, prefix: Prefix, prompts: Sequence[Prompt], greedy: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """One batch: log-probability of each scored token, and whether it is the likeliest."""
        trees = TokenTrees.of(prompts, len(prefix), self.loaded.pad)
        device = self.loaded.device

        def move(array: np.ndarray) -> torch.Tensor:
            return torch.from_numpy(array).to(device)

        cache = prefix.cache()
        with exact_head(self.loaded.model, move(trees.reads)):
            logits = self.loaded.model(
                move(trees.tokens),  # (B, T)
                attention_mask=trees.mask(len(prefix), device),
                position_ids=move(trees.positions),
                past_key_values=cache,
                use_cache=cache is not None,
            ).logits[0]  # (reads, vocabulary)
        sources, targets = move(trees.sources), move(trees.targets)
        chosen, normaliser = logits[sources, targets], log_normaliser(logits)[sources]
        logprobs = (chosen - normaliser).cpu().numpy()
        if not np.isfinite(logprobs).all():
            raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
        best = (logits.argmax(-1)[sources] == targets).cpu().numpy() if greedy else None
        return logprobs, best


def log_normaliser(logits: torch.Tensor) -> torch.Tensor:
    """log of the softmax's denominator of each row of float32 logits, a slice of rows at a time."""
    return torch.cat([part.logsumexp(-1) for part in logits.split(SOFTMAX_ROWS)])
