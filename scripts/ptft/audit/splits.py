"""Contents of one prepared split: a row of the table ``audit_splits``."""

import hashlib
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ptft.data.jsonl import read_all
from ptft.data.prepare import content_key
from ptft.prompts.templates import render_shot
from ptft.prompts.tokens import encode, encode_chats, encode_text


class AuditError(ValueError):
    """The study can't be run as described; the message says why and what to do."""


def split_row(data: Path, dataset: str, split: str, template: str | None, tokenizer) -> dict:
    """Rows, dropped rows, balance and lengths of a split.

    Args:
        data: folder of prepared splits with an audit of their own (``ptft.data.prepare.prepare``).
        template: of the examples whose lengths are counted; None for conversations and text.
    """
    found = json.loads((data / dataset / f"{split}.audit.json").read_text())
    lengths = _lengths(read_all(data / dataset / f"{split}.jsonl"), template, tokenizer)
    gold = found["gold"]
    return {
        "dataset": dataset,
        "split": split,
        "expression": found["split"],
        "rows": found["rows"],
        "kept": found["kept"],
        "used": found["drawn"],
        "dropped": _listed(found["dropped"]),
        "gold": _listed(gold),
        "largest_share": max(gold.values()) / sum(gold.values()) if gold else None,
        "duplicates": found["duplicates"],
        "empty_fields": found["empty_fields"],
        "tokens_mean": statistics.mean(lengths),
        "tokens_median": statistics.median(lengths),
        "tokens_max": max(lengths),
        "warnings": list(found["warnings"]),
    }


def _lengths(examples: Sequence[Mapping], template: str | None, tokenizer) -> list[int]:
    """Tokens of each example, answer included, in the format that is trained in; of text, all."""
    if "text" in examples[0]:
        return [len(ids) for ids in encode_text(tokenizer, [row["text"] for row in examples])]
    if template is None:
        return [len(chat.ids) for chat in encode_chats(tokenizer, examples, None, sys.maxsize)]
    return [len(ids) for ids in encode(tokenizer, [render_shot(template, row) for row in examples])]


def contents(data: Path, dataset: str, split: str) -> list[bytes]:
    """A digest of each example's content; equal for equal rows of whatever dataset."""
    return [
        hashlib.sha256(content_key(example).encode()).digest()
        for example in read_all(data / dataset / f"{split}.jsonl")
    ]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
