"""The audit of prompts: how long each cell's are, and whether the model can read and tell them."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from ptft.audit.training import AuditError
from ptft.data.jsonl import read_all
from ptft.prompts.encoding import Prompt, encode_examples
from ptft.prompts.templates import select_shots, template_fields
from ptft.prompts.tokens import label_tokens

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


def prompt_rows(plan: Mapping, data: Path, tokenizer, context_length: int) -> list[dict]:
    """A row per dataset, format and number of shots, by ``PROMPT_COLUMNS``."""
    rows = []
    for name, dataset in plan["scores"].items():
        examples = read_all(data / name / "test.jsonl")
        pool = read_all(data / name / "shots.jsonl") if max(dataset["shots"]) else []
        for format_name, template in dataset["formats"].items():
            for count in dataset["shots"]:
                try:
                    shots = select_shots(
                        pool, count, plan["shots_seed"], balanced=dataset["kind"] != "generation"
                    )
                    prompts = encode_examples(
                        tokenizer,
                        template,
                        shots,
                        examples,
                        _continuations(dataset["kind"]),
                        context_length,
                        reserve=_reserve(dataset),
                    )
                except ValueError as error:
                    raise AuditError(f"dataset {name}, format {format_name}: {error}") from None
                _refuse_sameness(prompts, f"dataset {name}, format {format_name}", template)
                lengths = [prompt.tokens for prompt in prompts]
                rows.append(
                    {
                        "dataset": name,
                        "format": format_name,
                        "shots": count,
                        "prompts": len(prompts),
                        "tokens_median": statistics.median(lengths),
                        "tokens_max": max(lengths),
                        "context_length": context_length,
                        "truncated": sum(prompt.truncated for prompt in prompts),
                    }
                )
    return rows


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


def _continuations(kind: str) -> Callable[[Mapping], Sequence[str]]:
    """What is scored behind a context, as evaluation does it."""
    return (lambda row: row["choices"]) if kind == "multiple_choice" else (lambda row: ())


def _reserve(dataset: Mapping) -> int:
    return dataset["max_new_tokens"] if dataset["kind"] == "generation" else 0
