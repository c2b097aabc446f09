"""Scoring one cell: label scoring, multiple choice and generation on one engine; text is apart
(``ptft.evaluation.text``).
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import torch

from ptft.evaluation.cells import MAIN_METRIC, CellRequest, cell_prompts, cell_shots, generates
from ptft.evaluation.results import CellResults
from ptft.evaluation.text import score_text
from ptft.inference.engine import Engine, OnProgress, silent
from ptft.models.loading import LoadedModel
from ptft.prompts.encoding import Prompt
from ptft.prompts.templates import completion, scored_texts
from ptft.prompts.tokens import document_windows, encode_pairs, label_tokens

# Examples that are encoded at a time, so that memory does not grow with the dataset.
WINDOW = 2048
# Tokens of a text that are looked at before a model is scored.
SAMPLED_TOKENS = 64


def evaluate_cell(
    engine: Engine,
    cell: CellRequest,
    examples: Iterable[Mapping],
    shot_pool: Sequence[Mapping],
    progress: OnProgress = silent,
    base: torch.nn.Module | None = None,
) -> CellResults:
    """Score one cell.

    Args:
        examples: the test rows; they are read in windows, so a generator's rows need not fit
            the memory.
        shot_pool: rows to draw the shots from; never among the test rows.
        progress: told the number of examples after each batch.
        base: the checkpoint that a tuned model is compared with on text.

    Raises:
        ValueError: labels that share their first sub-token, or an example that does not fit the
            model's context.
        FloatingPointError: the model's logits are not finite.
    """
    if cell.kind == "harness":  # scored at once: a task's metrics may need all rows
        from ptft.evaluation.harness import score_task  # lm_eval is optional

        results = score_task(engine, cell, list(examples), progress)
    else:
        shots = cell_shots(cell, shot_pool)
        score = {
            "classification": _classify,
            "multiple_choice": _choose,
            "generation": _generate,
            "text": lambda engine, cell, _, rows, told: score_text(engine, base, cell, rows, told),
        }[cell.kind]
        results = CellResults()
        rows = iter(examples)
        while window := list(islice(rows, WINDOW)):
            results.extend(score(engine, cell, shots, window, progress))
    if cell.labels:
        results.notes |= labels_without_gold(cell.labels, results)
    if engine.loaded.plainly:
        results.notes["scored_plainly"] = engine.loaded.plainly
    return results


def labels_without_gold(labels: Sequence[str], results: CellResults) -> dict[str, str]:
    """Labels that no example's gold answer is, and the share of examples that chose one of them.

    A family's label need not occur in each of its datasets (RTE has no contradiction); to choose it
    is always wrong.
    """
    never = [label for label in labels if label not in set(results.gold)]
    if not never:
        return {}
    chosen = sum(label in never for label in results.predicted) / len(results.predicted)
    return {"labels_without_gold": ", ".join(never), "chosen_without_gold": str(chosen)}


def _encode(
    engine: Engine, cell: CellRequest, shots: Sequence[Mapping], examples: Sequence[Mapping]
) -> list[Prompt]:
    return cell_prompts(engine.loaded.tokenizer, cell, shots, examples, engine.loaded.max_length)


def sample_prompts(
    loaded: LoadedModel,
    cells: Iterable[CellRequest],
    rows_of: Callable[[CellRequest], tuple[Sequence[Mapping], Sequence[Mapping]]],
    few: bool = False,
) -> list[Prompt]:
    """Prompts of a study that show how it runs a model: short and long, with shots and without.

    Args:
        cells: of one model.
        rows_of: first test rows and shots of a cell.
        few: one prompt of each kind of scoring, the shortest.
    """
    by_kind: dict[tuple[str, bool], list[CellRequest]] = {}
    for cell in sorted(cells, key=lambda cell: cell.shots):
        generating = generates(cell.kind, cell.also, cell.harness)
        by_kind.setdefault((cell.kind, generating), []).append(cell)
    samples = []
    for group in by_kind.values():
        for cell in {group[0], group[-1]}:
            with contextlib.suppress(Exception):  # whatever it is, scoring the cell will say it
                found = sorted(_sampled(loaded, cell, *rows_of(cell)), key=lambda one: one.tokens)
                samples += found[:1] if few else [found[0], found[-1]]
    return samples


def _sampled(
    loaded: LoadedModel, cell: CellRequest, rows: Sequence[Mapping], pool: Sequence[Mapping]
) -> list[Prompt]:
    tokenizer, most = loaded.tokenizer, loaded.max_length
    if cell.kind == "harness":
        from ptft.evaluation.harness_model import sampled_prompts

        return sampled_prompts(loaded, rows)
    if cell.kind == "text":
        texts = [row["text"] for row in rows]
        documents = document_windows(tokenizer, texts, cell.window or 0, cell.stride or 0, most)
        return [
            Prompt(list(window.read[:1]), [list(window.scored[:SAMPLED_TOKENS])], 0, False)
            for window, *_ in documents
        ]
    prompts = cell_prompts(tokenizer, cell, cell_shots(cell, pool), rows, most)
    asked = [Prompt(one.context, [], one.shots, False) for one in prompts]
    if cell.kind == "classification":
        labels = label_tokens(tokenizer, cell.labels or ()).values()
        starts = [[token] for pair in labels for token in pair]
        scored = [replace(one, continuations=starts) for one in asked]
        return scored + asked if generates(cell.kind, cell.also) else scored
    return asked if cell.kind == "generation" else prompts


def _classify(engine, cell, shots, examples, progress) -> CellResults:
    """Label scoring. The prediction is TokenProb's, other ways become extra columns.

    TokenProb (the paper's): a label's score is the log-probability of its first sub-token, of
    the likelier of those with and without a leading space. ``whole_label``: of all its tokens.
    ``constrained``: greedy decoding among the labels. ``free``: greedy decoding, then the label
    that the text begins with. ``label_mass``: the probability of all first sub-tokens together,
    of which little is left where a model would say none of the labels.
    """
    labels = cell.labels
    whole = {"whole_label", "constrained"} & set(cell.also)
    first = label_tokens(engine.loaded.tokenizer, labels)
    starts = [[token] for label in labels for token in first[label]]
    encoded = _encode(engine, cell, shots, examples)
    prompts = [replace(prompt, continuations=starts + prompt.continuations) for prompt in encoded]
    logprobs, predicted, masses = [], [], []
    distinct = [starts.index([token]) for token in {token for [token] in starts}]
    others: dict[str, list[str | None]] = {way: [] for way in cell.also}
    found = engine.score_tokens(prompts, progress)
    for prompt, scores in zip(prompts, found, strict=True):
        # Of each label, that of the likelier of its two first sub-tokens.
        firsts = np.array(scores[: len(starts)]).reshape(-1, 2).max(-1)
        logprobs.append(firsts.tolist())
        masses.append(math.fsum(math.exp(scores[at][0]) for at in distinct))
        predicted.append(labels[firsts.argmax()])
        wholes, continuations = scores[len(starts) :], prompt.continuations[len(starts) :]
        if "whole_label" in whole:
            best = np.argmax([sum(tokens) for tokens in wholes])
            others["whole_label"].append(labels[best])
        if "constrained" in whole:
            others["constrained"].append(labels[greedy_continuation(continuations, wholes)])
    if "free" in cell.also:
        answers = engine.generate(encoded, cell.max_new_tokens, cell.stop)
        others["free"] = [label_of_text(answer.text, labels) for answer in answers]
    extra = {
        f"accuracy_{way}": [
            float(answer == row["gold"]) for answer, row in zip(answers, examples, strict=True)
        ]
        for way, answers in others.items()
    }
    extra["label_mass"] = masses
    return CellResults.of(examples, encoded, predicted, logprobs, extra)


def greedy_continuation(
    continuations: Sequence[Sequence[int]], scores: Sequence[Sequence[float]]
) -> int:
    """The continuation that greedy decoding takes if it may only walk along the continuations.

    Args:
        continuations: token ids of each, none of them the beginning of another.
        scores: log-probability of each of these tokens behind what comes before it.
    """
    alive = list(range(len(continuations)))
    depth = 0
    while len(alive) > 1:
        best = max(alive, key=lambda number: scores[number][depth])
        token = continuations[best][depth]
        alive = [number for number in alive if continuations[number][depth] == token]
        depth += 1
    return alive[0]


def label_of_text(text: str, labels: Sequence[str]) -> str | None:
    """The label that a text begins with, as a whole word in any case; None if there is none."""
    words = text.lower()
    for label in sorted(labels, key=len, reverse=True):
        rest = words.removeprefix(label.lower())
        if rest != words and not rest[:1].isalnum():
            return label
    return None


def _choose(engine, cell, shots, examples, progress) -> CellResults:
    """Multiple choice by log-likelihood, as lm-evaluation-harness has it.

    ``acc`` takes the likeliest choice; ``acc_norm``, ``acc_bytes`` and ``acc_tokens`` the likeliest
    a character, byte or token; ``acc_pmi``, if asked for, the one that gains most on its text
    behind an empty context (the harness's ``acc_mutual_info``). The prediction is that of the
    cell's main metric, the others are extra columns. In partial scoring every choice has the same
    text, so the ways agree.
    """
    prompts = _encode(engine, cell, shots, examples)
    scores = engine.score(prompts, progress)
    empty = _unconditional(engine, examples) if "pmi" in cell.also else {}
    main = cell.metric or MAIN_METRIC[cell.kind]
    predicted: list[int] = []
    extra: dict[str, list[float]] = {}
    for row, prompt, values in zip(examples, prompts, scores, strict=True):
        ways = _choice_scores(values, row, prompt, empty)
        predicted.append(_best_choice(ways.pop(main)))
        for way, measure in ways.items():
            right = float(_best_choice(measure) == row["gold"])
            extra.setdefault(way, []).append(right)
    return CellResults.of(examples, prompts, predicted, scores, extra)


def _choice_scores(
    values: Sequence[float], row: Mapping, prompt: Prompt, empty: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Of each way of choosing, the score of every choice, from its log-likelihood."""
    logprobs, texts = np.array(values), scored_texts(row)
    ways = {
        "acc": logprobs,
        "acc_norm": logprobs / [len(text) for text in texts],
        "acc_bytes": logprobs / [len(text.encode()) for text in texts],
        "acc_tokens": logprobs / [len(ids) for ids in prompt.scored],
    }
    if empty:
        ways["acc_pmi"] = logprobs - [empty[text] for text in texts]
    return ways


def _best_choice(scores: np.ndarray) -> int:
    """The first of the best."""
    return int(np.argmax(scores))


def _unconditional(engine: Engine, examples: Sequence[Mapping]) -> dict[str, float]:
    """Log-likelihood of every different text behind an empty context."""
    texts = list(dict.fromkeys(text for row in examples for text in scored_texts(row)))
    ends = [completion(text) for text in texts]
    pairs = encode_pairs(engine.loaded.tokenizer, [""] * len(texts), ends)
    prompts = [Prompt(start, [end], shots=0, truncated=False) for start, end in pairs]
    return {text: row[0] for text, row in zip(texts, engine.score(prompts), strict=True)}


def _generate(engine, cell, shots, examples, progress) -> CellResults:
    """Greedy continuations, cut at the stop strings.

    More columns: what ended each (``ended``), and whether it is ``empty`` or ``cut`` for length.
    """
    prompts = _encode(engine, cell, shots, examples)
    answers = engine.generate(prompts, cell.max_new_tokens, cell.stop, progress)
    extra = {
        "ended": [answer.ended for answer in answers],
        "empty": [float(not answer.text) for answer in answers],
        "cut": [float(answer.ended == "length") for answer in answers],
    }
    texts = [answer.text for answer in answers]
    return CellResults.of(examples, prompts, texts, [None] * len(examples), extra)
