"""Our engine as a model of lm-evaluation-harness: its requests as prompts, equal to its HFLM's."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
from lm_eval.api.model import LM

from ptft.prompts.encoding import Prompt
from ptft.prompts.tokens import rolling_windows, start_token

if TYPE_CHECKING:  # torch and transformers, which not all that import this need
    from ptft.inference.engine import Engine, OnProgress
    from ptft.models.loading import LoadedModel

BESIDE = 16
"""continuations that share a prompt, at most: all documents may share an empty context"""
SAMPLED_TOKENS = 64
"""of a text that a model is compared with transformers on"""


class HarnessError(ValueError):
    """A task can't be built or scored; the message names it."""


def unwatched(_documents: int) -> None:
    """OnProgress that nobody watches."""


class Encoder:
    """Token ids of texts, as the harness's ``HFLM`` has them.

    Attributes:
        prefix: token that an empty context is, BOS or else EOS.
    """

    def __init__(self, tokenizer: Any):
        self.tokenizer, self.prefix = tokenizer, start_token(tokenizer)
        self.prefix_text = tokenizer.decode([self.prefix])

    def pairs(self, texts: Sequence[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
        """Token ids of contexts and continuations, as the harness's ``TemplateLM`` has them.

        White space at a context's end belongs to the continuation, which is cut from the encoding
        of both. An empty context is the token that texts begin with, BOS or else EOS.

        Raises:
            HarnessError: a continuation has no token.
        """
        moved = [(head.rstrip(), head[len(head.rstrip()) :] + end) for head, end in texts]
        moved = [pair if one[0] else one for pair, one in zip(moved, texts, strict=True)]
        heads = [head for head, _ in moved]
        known = dict(zip(distinct := list(dict.fromkeys(heads)), self.ids(distinct), strict=True))
        wholes = self.ids([head + end for head, end in moved])
        alone = iter(self.ids([end for head, end in texts if not head], special=False))
        found = []
        for (original, _), head, whole in zip(texts, heads, wholes, strict=True):
            if original:
                context, end = known[head], whole[len(known[head]) :]
            else:
                context, end = [self.prefix], next(alone)
                if end[:1] == context:
                    context, end = end[:1], end[1:]
            if not end:
                raise HarnessError(f"a continuation of {original[-80:]!r} adds no token to it")
            found.append((context, end))
        return found

    def ids(self, texts: Sequence[str], special: bool | None = None) -> list[list[int]]:
        """Token ids of texts.

        Args:
            special: whether the tokenizer adds its own tokens; by default it does, but to texts
                that begin with one already.
        """
        found: list[list[int]] = [[]] * len(texts)
        adds = [
            not text.startswith(self.prefix_text) if special is None else special for text in texts
        ]
        for flag in (True, False):
            places = [at for at, added in enumerate(adds) if added == flag]
            if places:
                encoded = self.tokenizer([texts[at] for at in places], add_special_tokens=flag)[
                    "input_ids"
                ]
                for at, ids in zip(places, encoded, strict=True):
                    found[at] = ids
        return found


class EngineLM(LM):
    """Our engine as a model of the harness: as its ``HFLM``, request by request.

    Args:
        engine: the model.
        progress: told the number of finished documents.
        documents: of the task.

    Attributes:
        prompt_tokens: document -> tokens of its longest prompt.
        truncated: documents of which a prompt lost its beginning.
    """

    tokenizer_name = ""  # of a cache of requests, which is not used

    def __init__(self, engine: Engine, progress: OnProgress = unwatched, documents: int = 0):
        super().__init__()
        self.engine, self.tokenizer = engine, engine.loaded.tokenizer
        self.encoder = Encoder(self.tokenizer)
        self.prompt_tokens: dict[int, int] = {}
        self.truncated: set[int] = set()
        self._progress, self._documents = progress, documents

    def loglikelihood(self, requests: list) -> list[tuple[float, bool]]:
        """(log-likelihood, whether greedy decoding would give it) of each continuation.

        Those behind the same context share one prompt.
        """
        room = self.engine.loaded.max_length + 1
        places: dict[tuple, list[int]] = {}
        asked: Counter[tuple] = Counter()
        ends = []
        for number, (request, (context, end)) in enumerate(
            zip(requests, self.encoder.pairs([request.args for request in requests]), strict=True)
        ):
            kept = context[-max(room - len(end), 1) :]
            self._note(request.doc_id, kept, len(context))
            key = tuple(kept)
            places.setdefault((key, asked[key] // BESIDE), []).append(number)
            asked[key] += 1
            ends.append(end)
        prompts = [
            Prompt(list(context), [ends[number] for number in numbers], 0, False)
            for (context, _), numbers in places.items()
        ]
        greedy: dict[int, list[list[bool]]] = {}
        scores = self.engine.score_tokens(prompts, self._told(len(prompts)), greedy=greedy)
        found = {
            number: (math.fsum(logprobs), all(likeliest))
            for at, numbers in enumerate(places.values())
            for number, logprobs, likeliest in zip(numbers, scores[at], greedy[at], strict=True)
        }
        return [found[number] for number in range(len(requests))]

    def loglikelihood_rolling(self, requests: list) -> list[float]:
        """Log-likelihood of each text, in windows of the model's context that do not overlap."""
        from ptft.evaluation.text import window_losses

        length, texts = self.engine.loaded.max_length, [request.args[0] for request in requests]
        documents = [
            list(rolling_windows(ids, self.encoder.prefix, length, length))
            for ids in self.encoder.ids(texts)
        ]
        for request, windows in zip(requests, documents, strict=True):
            tokens = sum(len(window.scored) for window in windows)
            self.prompt_tokens[request.doc_id] = tokens
        windows = [window for document in documents for window in document]
        tell = self._told(len(windows))
        losses = window_losses(self.engine, windows, progress=lambda done: tell(len(done)))
        owners = np.repeat(np.arange(len(texts)), [len(document) for document in documents])
        return (-np.bincount(owners, losses.nats, len(texts))).tolist()

    def generate_until(self, requests: list) -> list[str]:
        """Greedy continuation of each context, up to the first of its stop strings."""
        found: dict[int, str] = {}
        order = sorted(range(len(requests)), key=lambda at: json.dumps(requests[at].args[1]))
        for _, members in groupby(order, key=lambda at: json.dumps(requests[at].args[1])):
            numbers = list(members)
            settings = requests[numbers[0]].args[1]
            answers = self._answers([requests[number] for number in numbers], settings)
            found |= dict(zip(numbers, answers, strict=True))
        return [found[number] for number in range(len(requests))]

    def _answers(self, requests: list, settings: Mapping[str, Any]) -> list[str]:
        from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs

        asked = normalize_gen_kwargs(dict(settings))
        most, until = asked["max_gen_toks"], [end for end in asked["until"] if end]
        room = self.engine.loaded.max_length - most
        if room < 1:
            raise HarnessError(
                f"answers of {most} tokens do not fit a context of {room + most}; lower "
                "max_gen_toks in a task of your own"
            )
        places: dict[tuple[int, ...], list[int]] = {}  # what is asked for again is answered once
        contexts = self.encoder.ids([request.args[0] for request in requests])
        for number, (request, context) in enumerate(zip(requests, contexts, strict=True)):
            kept = context[-room:] or [self.encoder.prefix]
            self._note(request.doc_id, kept, len(context))
            places.setdefault(tuple(kept), []).append(number)
        prompts = [Prompt(list(context), [], 0, False) for context in places]
        answers = self.engine.generate(prompts, most, until, self._told(len(prompts)))
        ends = handle_stop_sequences(until, self.tokenizer.decode(self.tokenizer.eos_token_id))
        found = {}
        for numbers, answer in zip(places.values(), answers, strict=True):
            # White space in front of a stop string counts here, as it does not in our own cells.
            text = self.tokenizer.decode(answer.ids, skip_special_tokens=True)
            for end in filter(None, ends):
                text = text.split(end)[0]
            found |= dict.fromkeys(numbers, text)
        return [found[number] for number in range(len(requests))]

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Turns of a conversation as text; without the system's where a template has none."""
        from jinja2 import TemplateError

        options = {
            "tokenize": False,
            "add_generation_prompt": add_generation_prompt,
            "continue_final_message": not add_generation_prompt,
        }
        try:
            return self.tokenizer.apply_chat_template(chat_history, **options)
        except TemplateError:
            turns = [turn for turn in chat_history if turn["role"] != "system"]
            return self.tokenizer.apply_chat_template(turns, **options)

    def _note(self, document: int, kept: Sequence[int], length: int) -> None:
        self.prompt_tokens[document] = max(self.prompt_tokens.get(document, 0), len(kept))
        if length > len(kept):
            self.truncated.add(document)

    def _told(self, prompts: int) -> OnProgress:
        """Tells of documents, in proportion to prompts."""
        done = 0

        def tell(more: int) -> None:
            nonlocal done
            before, done = done * self._documents // prompts, done + more
            self._progress(done * self._documents // prompts - before)

        return tell


def sampled_prompts(loaded: LoadedModel, rows: Sequence[Mapping[str, Any]]) -> list[Prompt]:
    """The first prompt of each document, to compare a model with plain transformers on."""
    encoder, room, found = Encoder(loaded.tokenizer), loaded.max_length, []
    for row in rows:
        for context, *rest in row.get("requests", ())[:1]:
            text = row["fields"]["prompt"] if context is None else context
            if rest and isinstance(rest[0], str):
                [(head, end)] = encoder.pairs([(text, rest[0])])
                found.append(Prompt(head[-max(room - len(end), 1) :], [end], 0, False))
            elif rest:
                most = row["requests"][0][1].get("max_gen_toks", 0)
                found.append(Prompt(encoder.ids([text])[0][-(room - most) :], [], 0, False))
            else:
                ids = encoder.ids([text])[0][:SAMPLED_TOKENS]
                found.append(Prompt([encoder.prefix], [ids], 0, False))
    return found
