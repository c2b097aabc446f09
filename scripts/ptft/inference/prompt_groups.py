"""Prompts with the same shots, and the prefix that they share: what is run once for all of them."""

from collections.abc import Iterator, Sequence

import torch

from ptft.inference.prefix import Prefix, common_prefix
from ptft.prompts.encoding import Prompt

# A prefix that was run already serves again if it is at least this part of what is shared.
PREFIX_COVER = 0.9


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
        """What all contexts begin with.

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
