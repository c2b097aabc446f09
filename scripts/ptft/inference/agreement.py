"""Whether the engine is right for a model: behaviour decides, not a list of architectures.

At the start of a job a handful of the study's own prompts, short and long, is scored and continued
by plain transformers, one prompt at a time without a cache, and by the engine in one batch, both in
float32. A model that the engine would score more than rounding apart is scored the plain way.
"""

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain

import torch

from ptft.inference.batches import Budget
from ptft.inference.engine import Engine, OnProgress, silent
from ptft.inference.generation import Answer, Choose, Generated, StopStrings
from ptft.models.loading import LoadedModel, first_line
from ptft.prompts.encoding import Prompt

log = logging.getLogger("evaluate_model")

TOLERANCE = 1e-3
"""most that a token's log-probability may differ in float32, natural logarithm"""
COARSE_TOLERANCE = 0.5
"""the same where there is no memory for float32"""
NEW_TOKENS = 6
"""that each checked prompt is continued by"""
LONGEST = 8192
"""tokens of a prompt that is made to reach beyond a model's window"""
BEYOND = 8
"""tokens of it that are beyond"""


Scores = Sequence[Sequence[Sequence[float]]]
"""log-probabilities by prompt, continuation and token"""


class Disagreement(ValueError):
    """A model that the engine scores otherwise, and that can't be scored plainly either."""


class PlainEngine(Engine):
    """As ``Engine``, but as transformers computes it: one prompt at a time, without a cache.

    Args:
        loaded: the model.
    """

    plain = True

    def __init__(self, loaded: LoadedModel):
        self.loaded = loaded
        self.budget = Budget(tokens=1, memory=0)  # a row at a time, of text as well

    def renewed(self) -> "PlainEngine":
        """As ``Engine.renewed``."""
        return PlainEngine(self.loaded)

    def score_tokens(
        self,
        prompts: Sequence[Prompt],
        progress: OnProgress = silent,
        greedy: dict[int, list[list[bool]]] | None = None,
    ) -> list[list[list[float]]]:
        """As ``Engine.score_tokens``."""
        found = []
        for number, prompt in enumerate(prompts):
            scores, likeliest = self._score_one(prompt)
            found.append(scores)
            if greedy is not None:
                greedy[number] = likeliest
            progress(1)
        return found

    def _continued(self, prompts, max_new_tokens, stop, progress, chooser) -> Iterator[Generated]:
        stops = StopStrings(self.loaded, stop)
        for number, prompt in enumerate(prompts):
            yield self._one(prompt.context, max_new_tokens, stops, chooser([number]))
            progress(1)

    @torch.inference_mode()
    def logprobs(self, ids: Sequence[int], last: int = 1) -> torch.Tensor:
        """Log-probabilities (last, V), float32, of the token behind each of the last ones."""
        tokens = torch.tensor([ids], device=self.loaded.device)
        logits = self.loaded.model(tokens, use_cache=False).logits[0, -last:].float()
        if not torch.isfinite(logits[-1]).any():
            raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
        return logits.log_softmax(-1)

    def _score_one(self, prompt: Prompt) -> tuple[list[list[float]], list[list[bool]]]:
        given = prompt.given or (0,) * len(prompt.continuations)
        latest: tuple[object, torch.Tensor | None] = (None, None)
        scores, likeliest = [], []
        for ids, known in zip(prompt.continuations, given, strict=True):
            key = [*prompt.context, *ids[:-1]], len(ids) - known
            if latest[0] != key:  # continuations of one token share a run
                latest = key, self.logprobs(*key)
            values = [latest[1][at, token].item() for at, token in enumerate(ids[known:])]
            if not all(map(math.isfinite, values)):
                raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
            scores.append(values)
            wanted = torch.tensor(ids[known:], device=latest[1].device)
            likeliest.append((latest[1].argmax(-1) == wanted).tolist())
        return scores, likeliest

    def _one(
        self, context: Sequence[int], most: int, stops: StopStrings, choose: Choose
    ) -> tuple[list[int], str]:
        ids: list[int] = []
        for _ in range(most):
            token = int(choose(self.logprobs([*context, *ids]), [0]))
            if token in self.loaded.eos_ids:
                return ids, "end"
            ids.append(token)
            if stops.reached(ids):
                return ids, "stop"
        return ids, "length"


def checked_engine(loaded: LoadedModel, prompts: Sequence[Prompt], whole: bool = True) -> Engine:
    """The engine for a model, after it was compared with plain transformers on prompts.

    Args:
        prompts: of the study: those without continuations are generated behind, the others scored.
        whole: also try prompts longer than what the configuration names; not needed where the
            checkpoint that a model was trained from was checked.

    Returns:
        ``Engine`` where both agree, else ``PlainEngine``; why is logged.

    Raises:
        Disagreement: the plain way does not work either, or does not give the same twice.
    """
    if whole:
        prompts = [*prompts, *_beyond_windows(loaded, prompts)]
    try:
        with in_float32(loaded.model):
            reason = _disagreement(loaded, prompts, TOLERANCE)
    except torch.OutOfMemoryError:
        dtype = str(loaded.model.dtype).removeprefix("torch.")
        log.info("too little memory for float32: compared with transformers in %s", dtype)
        reason = _disagreement(loaded, prompts, COARSE_TOLERANCE)
    except FloatingPointError:
        return Engine(loaded)  # no matter of the engine: each cell will say so
    if reason is None:
        return Engine(loaded)
    log.warning("scored plainly, one prompt at a time, which is slower: %s", reason)
    return PlainEngine(replace(loaded, plainly=reason))


def _disagreement(loaded: LoadedModel, prompts: Sequence[Prompt], tolerance: float) -> str | None:
    """Why a model is to be scored plainly; None if the engine is right.

    Raises:
        Disagreement: as ``checked_engine``.
    """
    if not prompts:
        return None
    shortest = min((prompt.context for prompt in prompts), key=len)
    asked = [prompt for prompt in prompts if not prompt.continuations]
    scored = [Prompt(shortest, [shortest[-1:]], 0, False)]
    scored += [prompt for prompt in prompts if prompt.continuations]
    plain = PlainEngine(loaded)
    try:
        expected = plain.score_tokens(scored)
    except (FloatingPointError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise Disagreement(
            f"{_name(loaded)} can't be run by transformers itself ({first_line(error)}), so this "
            "study can't score it: leave it out"
        ) from error
    reason, found, answers = None, expected, []
    try:
        # Room for all at once, so that short prompts have long ones beside them.
        engine = Engine(loaded, Budget.measured(loaded.model, crowded=True))
        found, answers = engine.score_tokens(scored), engine.generate(asked, NEW_TOKENS, [])
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = f"the engine can't run it ({first_line(error)})"
    _give_attention_back(plain, scored[0], expected[0], tolerance)
    most = _distance(found, expected)
    if most > tolerance:
        return f"log-probabilities differ by up to {most:.2g}"
    pairs = zip(asked, answers, strict=False)
    differing = sum(not _is_greedy(plain, prompt, one, tolerance) for prompt, one in pairs)
    if differing:
        return f"{differing} of {len(asked)} greedy texts differ"
    if reason is None:
        log.info("as plain transformers: log-probabilities to %.1e, %d texts", most, len(asked))
    return reason


@contextlib.contextmanager
def in_float32(model: torch.nn.Module) -> Iterator[None]:
    """While in force, weights are in float32; buffers stay, rotary positions among them."""
    own = {name: weight.dtype for name, weight in model.named_parameters()}
    try:
        for weight in model.parameters():
            weight.data = weight.data.float()
        yield
    finally:
        for name, weight in model.named_parameters():
            weight.data = weight.data.to(own[name])


def _beyond_windows(loaded: LoadedModel, prompts: Sequence[Prompt]) -> list[Prompt]:
    """Prompts longer than the windows, chunks and former contexts that a configuration names.

    There some models begin to attend otherwise, which shorter prompts would not show.
    """
    ids = [token for prompt in prompts for token in prompt.context]
    made = []
    for length in sorted(_named_lengths(loaded.model.config.to_dict(), loaded.max_length)):
        size = min(length + BEYOND, loaded.max_length - NEW_TOKENS)
        if ids and length < size <= LONGEST:
            context = (ids * (size // len(ids) + 1))[:size]
            made.append(Prompt(context, [], 0, False))
            made.append(Prompt(context, [context[:3]], 0, False))
    return made


def _named_lengths(config: Mapping, most: int) -> set[int]:
    """Lengths below the context's that a configuration names."""
    found = set()
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _named_lengths(value, most)
        elif isinstance(value, int) and 1 < value < most and _names_a_length(name):
            found.add(value)
    return found


def _names_a_length(name: str) -> bool:
    return any(word in name for word in ("window", "chunk", "original_max_position"))


def _distance(ours: Scores, theirs: Scores) -> float:
    """Largest difference between two log-probabilities of a token."""
    pairs = zip(chain(*chain(*ours)), chain(*chain(*theirs)), strict=True)
    return max((abs(one - other) for one, other in pairs), default=0.0)


def _is_greedy(plain: PlainEngine, prompt: Prompt, answer: Answer, tolerance: float) -> bool:
    """Whether each token of an answer is the likeliest by transformers, or ties with that.

    Read at once, the whole of it, which is what decoding without a cache would read step by step.
    """
    ends = [max(plain.loaded.eos_ids)] if answer.ended == "end" else []
    ids = [*answer.ids, *ends]
    if not ids:
        return False
    logprobs = plain.logprobs([*prompt.context, *ids[:-1]], last=len(ids))
    best = logprobs.max(-1).values
    chosen = logprobs[range(len(ids)), ids]
    if ends:
        chosen[-1] = logprobs[-1, sorted(plain.loaded.eos_ids)].max()
    return bool((best - chosen <= tolerance).all())


def _give_attention_back(
    plain: PlainEngine, prompt: Prompt, expected: list[list[float]], tolerance: float
) -> None:
    """Let a model attend as before the engine ran it.

    Raises:
        Disagreement: no attention gives the scores that it gave before.
    """
    for attention in ("sdpa", "eager"):
        with contextlib.suppress(ValueError, ImportError):
            plain.loaded.model.set_attn_implementation(attention)
            if _distance(plain.score_tokens([prompt]), [expected]) <= tolerance:
                return
    raise Disagreement(
        f"{_name(plain.loaded)}: transformers gives other scores each time that it runs the model, "
        "so this study can't score it: leave it out"
    )


def _name(loaded: LoadedModel) -> str:
    return f"{loaded.model.config.name_or_path or 'the model'} ({type(loaded.model).__name__})"
