"""Text that a checkpoint writes, so that its fine-tuning can replay it.

It stands in for pre-training data that nobody has (arXiv 2605.26097). A text begins with BOS, or
EOS where there is no BOS, or with the first tokens of another text, and goes on with tokens that
are drawn from the checkpoint's predictions.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import fmean
from typing import Any

from typing_extensions import TypedDict

from ptft.files import read_all
from ptft.inference.agreement import checked_engine
from ptft.inference.generation import Sampling
from ptft.models.folder import model_files
from ptft.models.loading import load_for_scoring
from ptft.prompts.encoding import Prompt
from ptft.prompts.tokens import encode, start_token
from ptft.runtime.bars import progress
from ptft.runtime.job_records import note
from ptft.runtime.locks import exclusive
from ptft.training.state import fingerprint

CHUNK = 64
"""Texts that are written and kept together: a killed job goes on behind the last whole chunk."""
PROMPT_TOKENS = 8
"""of another text, that a text begins with"""
GRAM = 4
"""tokens of a passage whose repetition is counted"""
SHOWN = 10
"""texts that a reader is shown"""


class SelfText(TypedDict):
    """All that decides the texts, apart from the checkpoint and what they begin with."""

    __pydantic_config__ = {"extra": "forbid"}

    training_version: int
    samples: int
    tokens: int
    temperature: float
    seed: int


def write_self_text(
    checkpoint: Path, plan: SelfText, prompts: Path | None, state: Path, output: Path
) -> None:
    """Write texts of a checkpoint as JSON lines, resumable.

    A row holds ``ids`` (of which the first ``given`` were), their ``text``, what ``ended`` it, the
    ``seed`` and the text's ``sha256``.

    Args:
        checkpoint: model folder.
        plan: how many, how long, how they are drawn.
        prompts: prepared texts to begin with, JSON lines; None: BOS or EOS.
        state: folder for finished chunks; removed at the end.
        output: file to write.

    Raises:
        ValueError: there is no token to begin with, or no room for another.
    """
    files = [*model_files(checkpoint), *([prompts] if prompts else [])]
    draft = state / f"{fingerprint(dict(plan), files)[:16]}.jsonl"
    with exclusive(state):
        draft.parent.mkdir(parents=True, exist_ok=True)
        done = _whole_chunks(draft)
        if done:
            note(resumed_from=done)
        if done < plan["samples"]:
            _write_rest(checkpoint, plan, prompts, draft, done)
        output.parent.mkdir(parents=True, exist_ok=True)
        draft.replace(output)


def _whole_chunks(draft: Path) -> int:
    """Number of texts of whole chunks in a draft, which is cut behind them."""
    lines = draft.read_bytes().splitlines(keepends=True) if draft.exists() else []
    whole = sum(line.endswith(b"\n") for line in lines) // CHUNK * CHUNK
    if lines:
        os.truncate(draft, sum(map(len, lines[:whole])))
    return whole


def _write_rest(
    checkpoint: Path, plan: SelfText, prompts: Path | None, draft: Path, done: int
) -> None:
    """Append the chunks that a draft lacks."""
    loaded = load_for_scoring(checkpoint)
    contexts = beginnings(loaded.tokenizer, prompts, plan["samples"])
    most = min(plan["tokens"], loaded.max_length) - max(map(len, contexts))
    if most < 1:
        raise ValueError(
            f"replay.tokens: {plan['tokens']} leave no room behind what texts begin with"
        )
    asked = [Prompt(context, [], 0, False) for context in contexts]
    engine = checked_engine(loaded, asked[:2])
    with (
        draft.open("a", encoding="utf-8") as lines,
        progress("write", plan["samples"], "texts", done) as bar,
    ):
        for first in range(done, plan["samples"], CHUNK):
            sampling = Sampling(plan["temperature"], plan["seed"], first)
            chunk = asked[first : first + CHUNK]
            answers = engine.sample(chunk, most, sampling, bar.update)
            for number, (prompt, answer) in enumerate(zip(chunk, answers, strict=True), first):
                end = [loaded.tokenizer.eos_token_id] if answer.ended == "end" else []
                ids = [*prompt.context, *answer.ids, *end]
                text = loaded.tokenizer.decode(ids, skip_special_tokens=True)
                row = {
                    "example_id": f"self-{number}",
                    "text": text,
                    "ids": ids,
                    "given": len(prompt.context),
                    "ended": answer.ended,
                    "seed": plan["seed"],
                    "sha256": hashlib.sha256(text.encode()).hexdigest(),
                }
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            lines.flush()
            os.fsync(lines.fileno())


def beginnings(tokenizer, prompts: Path | None, count: int) -> list[list[int]]:
    """Beginnings of ``count`` texts: ids of BOS or EOS, or the first of other texts.

    Raises:
        ValueError: the tokenizer has neither and there are no other texts.
    """
    if prompts is None:
        return [[start_token(tokenizer)]] * count
    texts = [row["text"] for row in islice(read_all(prompts), count)]
    return list(islice(cycle(ids[:PROMPT_TOKENS] for ids in encode(tokenizer, texts)), count))


def quality(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Measures of the texts of a checkpoint.

    Returns:
        samples: their number. tokens_mean: written tokens of a text. ended: share that the
        checkpoint ended itself. repetition: mean share of passages of four tokens that the same
        text has had before. duplicates: share of texts that are equal to an earlier one. shown: the
        first ten, as a JSON list.
    """
    written = [row["ids"][row["given"] :] for row in rows]
    return {
        "samples": len(rows),
        "tokens_mean": fmean(map(len, written)),
        "ended": fmean(row["ended"] == "end" for row in rows),
        "repetition": fmean(map(_repeated, written)),
        "duplicates": 1 - len({row["sha256"] for row in rows}) / len(rows),
        "shown": json.dumps([row["text"] for row in rows[:SHOWN]], ensure_ascii=False),
    }


def _repeated(ids: Sequence[int]) -> float:
    """Share of a text's passages that it has had before; 0 where it is too short for two."""
    grams = Counter(zip(*(ids[at:] for at in range(GRAM)), strict=False))
    return 1 - len(grams) / grams.total() if grams else 0.0
