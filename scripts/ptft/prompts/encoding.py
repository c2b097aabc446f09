"""From examples to token ids that fit the model's context.

Everything is encoded as a *whole* prompt, shots included, so that the ids are the same as
without any sharing; what prompts have in common is found among the tokens afterwards.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ptft.prompts.templates import alternatives, readable, render, shorten, shots_text
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

    Raises:
        ValueError: an example does not fit even so.
    """

    def encode_all(batch: Sequence[Mapping], count: int) -> list[Prompt]:
        before, cut = shots_text(template, shots[:count]), count < len(shots)
        asked = [alternatives(template, row, continuations(row)) for row in batch]
        if not any(asked):
            contexts = [before + render(template, row["fields"]) for row in batch]
            return [Prompt(ids, [], count, cut) for ids in encode(tokenizer, contexts)]
        flat = [pair for pairs in asked for pair in pairs]
        encoded = iter(
            encode_pairs(tokenizer, [before + head for head, _ in flat], [end for _, end in flat])
        )
        return [_tree([next(encoded) for _ in pairs], count, cut) for pairs in asked]

    def fits(prompt: Prompt) -> bool:
        # The last token of a continuation is predicted, never read.
        longest = max((len(ids) - 1 for ids in prompt.continuations), default=reserve)
        return len(prompt.context) + longest <= max_length

    def fits_alone(example: Mapping) -> bool:
        return fits(encode_all([example], 0)[0])

    examples = [readable(example, max_length, fits_alone) for example in examples]
    prompts = encode_all(examples, len(shots))
    for index, prompt in enumerate(prompts):
        for shot_count in range(len(shots) - 1, -1, -1):
            if fits(prompt):
                break
            prompt = encode_all([examples[index]], shot_count)[0]
        if not fits(prompt):
            short = shorten(template, examples[index], fits_alone)
            if short is None:
                raise ValueError(
                    f"example {examples[index]['example_id']!r} does not fit the model's context "
                    "even without shots and with its longest field cut; shorten its template or "
                    "its answers"
                )
            prompt = replace(encode_all([short], 0)[0], truncated=True)
        prompts[index] = prompt
    return prompts


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
