"""Results of scoring a cell, and finished cells on disk.

A cell gives results of each example, and notes about itself as a whole. A store holds one Parquet
file a cell, named by its key (``cells.cell_key``) and published by a rename; a rerun finds what is
there and computes the rest.
"""

import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from ptft.evaluation.cells import CellRequest
from ptft.evaluation.metrics import example_scores, named_scores
from ptft.paths import replacing
from ptft.prompts.encoding import Prompt


@dataclass
class CellResults:
    """Per-example results of a cell, one entry per example in each list.

    Attributes:
        logprobs: per example, the log-likelihood of each label or choice; None for generation
            and text.
        predicted: label or choice number, or the generated text; None for text.
        gold: what is right, in the same way; None for text.
        extra: further columns, one value per example.
        notes: about the cell as a whole, kept in its file's metadata.
    """

    example_id: list[str] = field(default_factory=list)
    predicted: list[int | str | None] = field(default_factory=list)
    gold: list[int | str | None] = field(default_factory=list)
    logprobs: list[list[float] | None] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    extra: dict[str, list] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        examples: Sequence[Mapping],
        prompts: Sequence[Prompt],
        predicted: list,
        logprobs: list,
        extra: dict[str, list] | None = None,
    ) -> "CellResults":
        """Results of examples, by the prompts that stood for them."""
        return cls(
            example_id=[row["example_id"] for row in examples],
            predicted=predicted,
            gold=[row["gold"] for row in examples],
            logprobs=logprobs,
            prompt_tokens=[prompt.tokens for prompt in prompts],
            truncated=[prompt.truncated for prompt in prompts],
            extra=extra or {},
        )

    def extend(self, more: "CellResults") -> None:
        """Append the results of the examples that come next."""
        for name in ("example_id", "predicted", "gold", "logprobs", "prompt_tokens", "truncated"):
            getattr(self, name).extend(getattr(more, name))
        for name, column in more.extra.items():
            self.extra.setdefault(name, []).extend(column)


def to_frame(cell: CellRequest, results: CellResults) -> pl.DataFrame:
    """Per-example table of a cell, metrics included (columns: see the project's DESIGN)."""
    dtypes: dict[str, pl.DataType] = {}
    if cell.kind == "text":
        predictions = golds = pl.Series([None] * len(results.example_id), dtype=pl.String)
        scores = ratio_scores(results.extra)
        # Null throughout where there is no base model, and a number all the same.
        dtypes = dict.fromkeys(["base_nats", "same_top", *scores], pl.Float64())
    elif cell.kind == "harness":
        predictions, golds = (
            pl.Series([None if value is None else str(value) for value in values], dtype=pl.String)
            for values in (results.predicted, results.gold)
        )
        scores = {"score": results.extra[cell.metric or ""]}
    else:
        predictions = [str(value) for value in results.predicted]
        golds = [str(value) for value in results.gold]
        scores = example_scores(cell.kind, predictions, golds)
        scores |= named_scores(list(map(json.loads, cell.metrics)), predictions, golds)
    columns = {
        "example_id": results.example_id,
        "prediction": predictions,
        "gold": golds,
        "score": scores.pop("score"),
        "logprobs": pl.Series(results.logprobs, dtype=pl.List(pl.Float64)),
        "prompt_tokens": results.prompt_tokens,
        "truncated": results.truncated,
        **results.extra,
        **scores,
    }
    return pl.DataFrame(columns, schema_overrides=dtypes)


def publish(stored: Path, output: Path) -> None:
    """Put a stored cell where people find it: a hard link where possible, by a rename."""
    with replacing(output) as draft:
        try:
            os.link(stored, draft)
        except OSError:
            shutil.copyfile(stored, draft)


def ratio_scores(sums: Mapping[str, Sequence]) -> dict[str, list]:
    """One value per document of each metric, whose mean is exactly that of the corpus.

    ``score`` (bits per byte), ``nats_per_token``, ``cross_entropy_to_base`` (nats per token) and
    ``same_top_token`` (share of the tokens); null where there is no base model.

    Args:
        sums: a document's nats, base_nats, same_top, tokens and bytes.
    """
    bits = [nats / math.log(2) for nats in sums["nats"]]
    return {
        "score": linearised(bits, sums["bytes"]),
        "nats_per_token": linearised(sums["nats"], sums["tokens"]),
        "cross_entropy_to_base": linearised(sums["base_nats"], sums["tokens"]),
        "same_top_token": linearised(sums["same_top"], sums["tokens"]),
    }


def linearised(numerators: Sequence, denominators: Sequence) -> list:
    """R + (a_i - R b_i) / mean(b) for R = sum(a) / sum(b); null where the numerators are.

    Their mean is R, and their standard error that of the ratio estimator by the delta method
    (Cochran 1977, Sampling Techniques, eq. 6.11), so that a ratio of sums is resampled, paired and
    averaged like a mean.
    """
    if None in numerators:
        return list(numerators)
    over, under = np.asarray(numerators, float), np.asarray(denominators, float)
    ratio = over.sum() / under.sum()
    return (ratio + (over - ratio * under) / under.mean()).tolist()
