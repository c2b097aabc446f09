"""The audit of prompts: length of each cell's, and whether the model can distinguish them."""

import statistics
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import polars as pl

from ptft.audit.training import AuditError
from ptft.data.jsonl import read_all
from ptft.evaluation.cells import CellRequest, cell_prompts, cell_shots, cells_of_plan
from ptft.prompts.encoding import Prompt
from ptft.prompts.templates import template_fields
from ptft.prompts.tokens import document_windows, label_tokens

PROMPT_COLUMNS = {
    "dataset": pl.String,
    "format": pl.String,
    "shots": pl.Int64,
    "prompts": pl.Int64,
    "tokens_median": pl.Float64,
    "tokens_max": pl.Int64,
    "context_length": pl.Int64,
    "truncated": pl.Int64,
}


def check_labels(plan: Mapping, tokenizer) -> None:
    """Refuse labels that begin with the same sub-token."""
    for name, dataset in plan["scores"].items():
        if dataset["kind"] == "classification":
            try:
                label_tokens(tokenizer, dataset["labels"])
            except ValueError as error:
                raise AuditError(f"dataset {name}: {error}") from None


def audited_cells(plan: Mapping) -> list[CellRequest]:
    """The cells of one model, as an evaluation is asked for them."""
    return cells_of_plan(
        {"scoring_version": 0, "shots_seed": plan["shots_seed"], "datasets": plan["scores"]}
    )


def prompt_rows(plan: Mapping, data: Path, tokenizer, context_length: int) -> list[dict]:
    """A row per dataset, format and number of shots, by ``PROMPT_COLUMNS``."""
    rows = []
    for name, cells in groupby(audited_cells(plan), key=lambda cell: cell.dataset):
        examples = read_all(data / name / "test.jsonl")
        if plan["scores"][name]["kind"] == "text":
            place = plan["windows"][name]
            rows += [_text_row(cell, examples, place, tokenizer, context_length) for cell in cells]
            continue
        pool = read_all(data / name / "shots.jsonl") if max(plan["scores"][name]["shots"]) else []
        rows += [_prompt_row(cell, examples, pool, tokenizer, context_length) for cell in cells]
    return rows


def _text_row(
    cell: CellRequest,
    examples: Sequence[Mapping],
    place: str,
    tokenizer,
    context_length: int,
) -> dict:
    """The windows of a text."""
    if cell.window > context_length:
        raise AuditError(
            f"{place}: found a window of {cell.window} tokens for dataset {cell.dataset!r}, "
            f"expected at most the {context_length} of the model's context; lower it"
        )
    documents = document_windows(
        tokenizer, [row["text"] for row in examples], cell.window, cell.stride, context_length
    )
    lengths = [len(window.read) for document in documents for window in document]
    return _length_row(cell, lengths, context_length, 0)


def _prompt_row(
    cell: CellRequest,
    examples: Sequence[Mapping],
    pool: Sequence[Mapping],
    tokenizer,
    context_length: int,
) -> dict:
    where = f"dataset {cell.dataset}, format {cell.format}"
    try:
        shots = cell_shots(cell, pool)
        prompts = cell_prompts(tokenizer, cell, shots, examples, context_length)
    except ValueError as error:
        raise AuditError(f"{where}: {error}") from None
    _refuse_sameness(prompts, where, cell.template)
    lengths = [prompt.tokens for prompt in prompts]
    return _length_row(cell, lengths, context_length, sum(prompt.truncated for prompt in prompts))


def _length_row(
    cell: CellRequest, lengths: Sequence[int], context_length: int, truncated: int
) -> dict:
    return {
        "dataset": cell.dataset,
        "format": cell.format,
        "shots": cell.shots,
        "prompts": len(lengths),
        "tokens_median": statistics.median(lengths),
        "tokens_max": max(lengths),
        "context_length": context_length,
        "truncated": truncated,
    }


def _refuse_sameness(prompts: Sequence[Prompt], cell: str, template: str) -> None:
    """A cell whose prompts are all the same measures nothing."""
    first = prompts[0]
    if len(prompts) > 1 and all(
        (prompt.context, prompt.continuations) == (first.context, first.continuations)
        for prompt in prompts
    ):
        fields = ", ".join(template_fields(template)) or "none"
        raise AuditError(
            f"{cell}: all {len(prompts)} prompts are the same; check the template {template!r} and "
            f"the columns that fill its fields ({fields})"
        )
