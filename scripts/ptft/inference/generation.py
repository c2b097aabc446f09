"""Generation, greedy or drawn, with stop strings, in batches that finished rows leave.

A batch is filled in parts (each as many rows as may be scored at once) and then decoded
together, a token a row at each step. Its rows are in blocks of similar length, each behind its own
padding: with many rows, decoding is bound by the keys and values that a step reads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ptft.inference.batches import STEP_TOKENS, Budget
from ptft.inference.forward import Block, Prefix, PromptGroups, RowCache, exact_head
from ptft.models.loading import LoadedModel
from ptft.prompts.encoding import Prompt

Choose = Callable[[torch.Tensor, Sequence[int]], torch.Tensor]
"""From logits (B, V) and the number of each row's context among those of a batch to tokens (B,)"""
Chooser = Callable[[Sequence[int]], Choose]
"""``Choose`` for the prompts of these numbers"""

# Finished rows leave when they are this part of a batch: to leave costs a copy of the rest.
LEAVING = 0.1


Generated = tuple[list[int], str]
"""token ids, and what ended them (see ``Answer``)"""


@dataclass(frozen=True)
class Answer:
    """A generated text.

    Attributes:
        text: up to the first stop string, stripped.
        ended: what ended it: ``stop`` (a stop string), ``end`` (an end token) or ``length``.
        ids: its tokens, those of a stop string with them.
    """

    text: str
    ended: str
    ids: tuple[int, ...] = ()


class StopStrings:
    """Recognises the stop strings in growing texts, behind any white space in front.

    A stop string can only be completed by a token that contains its last character, so the text
    is decoded for such tokens only.
    """

    def __init__(self, loaded: LoadedModel, stop: Sequence[str]):
        self.tokenizer = loaded.tokenizer
        self.stop = list(stop)
        self.closers: set[int] = set()
        if self.stop:
            # A replacement character stands for part of a character, which may be any.
            last = {"\N{REPLACEMENT CHARACTER}", *(text[-1] for text in self.stop)}
            texts = loaded.token_texts
            self.closers = {token for token, text in enumerate(texts) if last & set(text)}

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether the generated ids hold a stop string."""
        if ids[-1] not in self.closers:
            return False
        text = self.tokenizer.decode(ids, skip_special_tokens=True).lstrip()
        return any(end in text for end in self.stop)


@dataclass(frozen=True)
class Sampling:
    """Draws tokens in proportion to softmax(logits / temperature).

    Each prompt has a random stream of its own, of the seed and its number: what is drawn for it
    depends on no other prompt of its batch.

    Attributes:
        temperature: above 0.
        seed: of all streams.
        first: number of the first prompt.
    """

    temperature: float
    seed: int
    first: int = 0

    def chooser(self, numbers: Sequence[int]) -> Choose:
        """Draws for the prompts of these numbers, which are the contexts of a batch."""
        streams = [np.random.default_rng([self.seed, self.first + number]) for number in numbers]

        def choose(logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
            drawn = torch.tensor([streams[row].random() for row in rows], dtype=torch.float64)
            likeliest(logits)  # refuses what is not finite
            shares = (logits.double() / self.temperature).softmax(-1).cumsum(-1)
            aims = drawn.to(logits.device)[:, None] * shares[:, -1:]
            return torch.searchsorted(shares, aims, right=True).squeeze(1)

        return choose


def greedy(_numbers: Sequence[int]) -> Choose:
    """Takes the likeliest token."""
    return lambda logits, rows: likeliest(logits)


def generate(
    loaded: LoadedModel,
    budget: Budget,
    groups: PromptGroups,
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    stop: Sequence[str],
    progress: Callable[[int], None],
    chooser: Chooser,
) -> list[Generated]:
    """Continuation of every prompt; see ``Engine.generate`` and ``Engine.sample``."""
    stops = StopStrings(loaded, stop)
    found: list[Generated] = [([], "length")] * len(prompts)
    for prefix, members in groups.of(prompts):
        order = sorted(members, key=lambda number: -len(prompts[number].context))
        lengths = [len(prompts[number].context) - len(prefix) for number in order]
        start = 0
        while start < len(order):
            rows = budget.generated_rows(lengths[start:], max_new_tokens)
            numbers = order[start : start + rows]
            contexts = [prompts[number].context[len(prefix) :] for number in numbers]
            try:
                batch = _Batch(loaded, budget, prefix, contexts, max_new_tokens, chooser(numbers))
                generated = batch.run(max_new_tokens, stops.reached)
            except torch.OutOfMemoryError:
                budget.shrink(len(numbers), STEP_TOKENS)
                continue
            for number, one in zip(numbers, generated, strict=True):
                found[number] = one
            progress(len(numbers))
            start += len(numbers)
    return found


class _Batch:
    """Rows that are decoded together. Contexts come longest first, without the prefix."""

    def __init__(
        self,
        loaded: LoadedModel,
        budget: Budget,
        prefix: Prefix,
        contexts: Sequence[list[int]],
        max_new_tokens: int,
        choose: Choose,
    ):
        self.loaded, self.budget, self.prefix, self.contexts = loaded, budget, prefix, contexts
        self.choose = choose
        self.owners = list(range(len(contexts)))  # which context a row of the batch continues
        self.length = len(contexts[0])
        layers = self.loaded.model.config.num_hidden_layers
        self.blocks = [
            Block(start, stop, len(contexts[start]))
            for start, stop in budget.blocks([len(ids) for ids in contexts])
        ]
        self.cache = RowCache(prefix, layers, self.blocks, max_new_tokens)
        # Which columns hold a token, if all rows' keys ended together at `length`.
        self.visible = torch.ones(len(contexts), self.length + max_new_tokens, dtype=torch.bool)
        for row, ids in enumerate(contexts):
            self.visible[row, : self.length - len(ids)] = False
        self.visible = self.visible.to(self.loaded.device)
        self.positions = torch.tensor(  # (B, 1), of the last tokens in their texts
            [[len(prefix) + len(ids)] for ids in contexts], device=loaded.device
        )
        self.chosen = self.positions.new_empty(0)  # (B,), the last token of each row

    @torch.inference_mode()
    def run(self, max_new_tokens: int, reached: Callable[[list[int]], bool]) -> list[Generated]:
        """Ids that are generated behind each context."""
        generated: list[list[int]] = [[] for _ in self.contexts]
        ended = ["length"] * len(generated)
        finished = [False] * len(self.owners)
        self.chosen = self._fill()
        for step in range(1, max_new_tokens + 1):
            for row, token in enumerate(self.chosen.tolist()):
                if finished[row]:
                    continue
                owner = self.owners[row]
                if token in self.loaded.eos_ids:
                    finished[row], ended[owner] = True, "end"
                    continue
                generated[owner].append(token)
                if reached(generated[owner]):
                    finished[row], ended[owner] = True, "stop"
            if all(finished) or step == max_new_tokens:
                break
            if sum(finished) >= LEAVING * len(finished):
                stay = [row for row, done in enumerate(finished) if not done]
                self._select(stay)
                finished = [False] * len(stay)
            self.chosen = self._next()
        return list(zip(generated, ended, strict=True))

    def _next(self) -> torch.Tensor:
        """The next token of every row (B,); keys and values of the last ones join the cache."""
        model, end = self.loaded.model, self.length + self.cache.place.generated + 1
        with self.cache.decoding(), exact_head(model):
            logits = model(
                self.chosen[:, None],
                attention_mask=self.visible[:, None, None, :end],
                position_ids=self.positions,
                past_key_values=self.cache,
                use_cache=True,
            ).logits[:, -1]
        self.positions = self.positions + 1
        return self.choose(logits, self.owners)

    def _select(self, rows: Sequence[int]) -> None:
        """Keep these rows only."""
        kept = torch.tensor(rows, device=self.loaded.device)
        self.cache.select(rows, self.loaded.device)
        self.visible, self.positions = self.visible[kept], self.positions[kept]
        self.chosen = self.chosen[kept]
        self.owners = [self.owners[row] for row in rows]

    def _fill(self) -> torch.Tensor:
        """Run all contexts, a part at a time; returns the first new token of each: (B,)."""
        chosen = []
        for number, block in enumerate(self.blocks):
            start = block.start
            while start < block.stop:
                length = len(self.contexts[start])
                rows = self.budget.scored_rows(length, len(self.prefix))
                part = self.contexts[start : min(start + rows, block.stop)]
                within = slice(start - block.start, start - block.start + len(part))
                with self.cache.filling(number, within):
                    chosen.append(self._fill_part(part, length, start))
                start += len(part)
        return torch.cat(chosen)

    def _fill_part(self, part: Sequence[list[int]], length: int, start: int) -> torch.Tensor:
        device, skip = self.loaded.device, len(self.prefix)
        padded = [[self.loaded.pad] * (length - len(ids)) + ids for ids in part]
        real = self.visible[start : start + len(part), self.length - length : self.length]
        positions = skip + (real.long().cumsum(1) - 1).clamp(min=0)
        mask = torch.ones(len(part), 1, length, skip + length, dtype=torch.bool, device=device)
        # A padding token sees itself, since a row of the softmax must not be empty.
        itself = torch.eye(length, dtype=torch.bool, device=device)
        mask[:, 0, :, skip:] = (real[:, None, :] & itself.new_ones(length, length).tril()) | itself
        with exact_head(self.loaded.model):
            logits = self.loaded.model(
                torch.tensor(padded, device=device),
                attention_mask=mask,
                position_ids=positions,
                past_key_values=self.cache,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        return self.choose(logits, range(start, start + len(part)))


def likeliest(logits: torch.Tensor) -> torch.Tensor:
    """The likeliest token (B,) by logits (B, V); the first of several that are equally likely.

    Raises:
        FloatingPointError: a logit is not finite.
    """
    best, chosen = logits.max(-1)
    if not torch.isfinite(best).all():
        raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
    return chosen
