"""From examples to token ids that fit the model's context.

Everything is encoded as a *whole* prompt, shots included, so that the ids are the same as
without any sharing; what prompts have in common is found among the tokens afterwards.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ptft.prompts.templates import alternatives, readable, render, shorten, shots_text, solved
from ptft.prompts.tokens import encode, encode_pairs


@dataclass(frozen=True)
class Prompt:
    """One example as token ids.

    Attributes:
        context: ids of shots and question, as far as all continuations have them in common.
        continuations: ids of each continuation to be scored; empty for generation.
        shots: how many shots are left in the context.
        truncated: something was cut to fit the model's context.
        given: how many ids at the beginning of each continuation belong to its own context, and are
            read but not scored; none at all where it is empty.
    """

    context: list[int]
    continuations: list[list[int]]
    shots: int
    truncated: bool
    given: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.context and (0 in self.given or not self.given):
            raise ValueError("a prompt without any token: nothing to predict the next one from")

    @property
    def tokens(self) -> int:
        """Tokens that are read before anything is scored or generated, at the most."""
        return len(self.context) + max(self.given, default=0)

    @property
    def scored(self) -> list[list[int]]:
        """The ids of each continuation that are scored."""
        given = self.given or [0] * len(self.continuations)
        return [ids[known:] for ids, known in zip(self.continuations, given, strict=True)]


def encode_examples(
    tokenizer,
    template: str,
    shots: Sequence[Mapping],
    examples: Sequence[Mapping],
    continuations: Callable[[Mapping], Sequence[str]],
    max_length: int,
    reserve: int = 0,
    chat: bool = False,
) -> list[Prompt]:
    """Encode examples behind their shots, each cut to fit the context where it has to be.

    A prompt that is too long loses its last shots first: what remains is exactly the prompt
    with fewer shots, since a larger draw extends a smaller one. If no shot is left, the longest
    field of the template loses its tail; a field named ``question`` is never cut.

    Args:
        continuations: texts to be scored behind an example's context (without the leading
            space); none for generation.
        max_length: tokens that the model's context holds.
        reserve: tokens to be kept free for a generation.
        chat: let the tokenizer's chat template set contexts as a user's turns, and answers as the
            assistant's.

    Raises:
        ValueError: an example does not fit even so, or the tokenizer has no chat template.
    """
    if chat and not tokenizer.chat_template:
        raise ValueError(
            "evaluate.formats: found chat, but the model's tokenizer has no chat template; leave "
            "the format out, or take an instruction-tuned model"
        )
    encoder = _Encoder(tokenizer, template, shots, continuations, max_length, reserve, chat)
    rows = [readable(row, max_length, encoder.fits_alone) for row in examples]
    prompts = encoder.encode(rows, len(shots))
    return [
        prompt if encoder.fits(prompt) else encoder.shortened(row)
        for row, prompt in zip(rows, prompts, strict=True)
    ]


@dataclass(frozen=True)
class _Encoder:
    """Encodes rows behind their shots and knows what fits; see :func:`encode_examples`."""

    tokenizer: Any
    template: str
    shots: Sequence[Mapping]
    continuations: Callable[[Mapping], Sequence[str]]
    max_length: int
    reserve: int
    chat: bool

    def encode(self, rows: Sequence[Mapping], count: int) -> list[Prompt]:
        """Prompts behind the first ``count`` shots, whatever their length."""
        shots, cut = self.shots[:count], count < len(self.shots)
        asked = [alternatives(self.template, row, self.continuations(row)) for row in rows]
        if not any(asked):
            contexts = self._behind(shots, [render(self.template, row["fields"]) for row in rows])
            encoded = encode(self.tokenizer, contexts, special=not self.chat)
            return [Prompt(ids, [], count, cut) for ids in encoded]
        flat = [pair for pairs in asked for pair in pairs]
        heads, ends = self._behind(shots, [head for head, _ in flat]), [end for _, end in flat]
        if self.chat:  # an answer begins its turn: no space before it
            ends = [end.removeprefix(" ") for end in ends]
        pairs_of_ids = iter(encode_pairs(self.tokenizer, heads, ends, special=not self.chat))
        return [_tree([next(pairs_of_ids) for _ in pairs], count, cut) for pairs in asked]

    def _behind(self, shots: Sequence[Mapping], contexts: Sequence[str]) -> list[str]:
        """Contexts behind solved examples: as running text, or as turns of a conversation."""
        if not self.chat:
            before = shots_text(self.template, shots)
            return [before + context for context in contexts]
        turns = []
        for shot in shots:
            asked, answer = solved(self.template, shot)
            turns += [_turn("user", asked), _turn("assistant", answer.removeprefix(" "))]
        return [
            self.tokenizer.apply_chat_template(
                [*turns, _turn("user", context)], tokenize=False, add_generation_prompt=True
            )
            for context in contexts
        ]

    def fits(self, prompt: Prompt) -> bool:
        # The last token of a continuation is predicted, never read.
        longest = max((len(ids) - 1 for ids in prompt.continuations), default=self.reserve)
        return len(prompt.context) + longest <= self.max_length

    def fits_alone(self, row: Mapping) -> bool:
        return self.fits(self.encode([row], 0)[0])

    def shortened(self, row: Mapping) -> Prompt:
        """The prompt of a row that does not fit behind all shots."""
        for count in range(len(self.shots) - 1, -1, -1):
            prompt = self.encode([row], count)[0]
            if self.fits(prompt):
                return prompt
        short = shorten(self.template, row, self.fits_alone)
        if short is None:
            raise ValueError(
                f"example {row['example_id']!r} does not fit the model's context even without "
                "shots and with its longest field cut; shorten its template or its answers"
            )
        return replace(self.encode([short], 0)[0], truncated=True)


def _turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _tree(pairs: Sequence[tuple[list[int], list[int]]], shots: int, truncated: bool) -> Prompt:
    """One prompt of contexts and what is scored behind each.

    Where contexts differ, each continuation begins with what is its context's own (``given``).
    """
    heads = [head for head, _ in pairs]
    if all(head == heads[0] for head in heads):
        return Prompt(heads[0], [end for _, end in pairs], shots, truncated)
    shared = len(os.path.commonprefix(heads))
    continuations = [head[shared:] + end for head, end in pairs]
    given = tuple(len(head) - shared for head in heads)
    return Prompt(heads[0][:shared], continuations, shots, truncated, given)
