"""Model cards of a study's tuned models, ready for the Hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from typing_extensions import TypedDict

TASK_TYPE = {
    "classification": "text-classification",
    "multiple_choice": "multiple-choice",
    "generation": "text-generation",
    "text": "text-generation",
}


class AboutModels(TypedDict):
    """Facts of cards besides the scores: the base model's repository, each arm's settings."""

    __pydantic_config__ = {"extra": "forbid"}

    repository: str | None
    settings: dict[str, dict[str, Any]]


def write_cards(cells: pl.DataFrame, about: AboutModels, folder: Path) -> None:
    """Write `CHECKPOINT/ARM/README.md` for each tuned model; what is derived has none on disk."""
    scores = cells.filter("main", pl.col("method").is_not_null(), pl.col("derived").is_null())
    scores = scores.sort("checkpoint", "arm", "family", "dataset", "format", "shots")
    for (checkpoint, arm), own in scores.group_by("checkpoint", "arm", maintain_order=True):
        card = folder / str(checkpoint) / str(arm) / "README.md"
        card.parent.mkdir(parents=True, exist_ok=True)
        settings = about["settings"].get(str(arm), {})
        card.write_text(model_card(own.to_dicts(), about["repository"], settings), encoding="utf-8")


def model_card(
    scores: Sequence[Mapping[str, Any]], repository: str | None, settings: Mapping[str, Any]
) -> str:
    """A model card with a tuned model's scores, in its metadata as well.

    Args:
        scores: its main rows of the cells table.
        repository: of the base model; None for one made here.
        settings: of the fine-tuning.
    """
    from huggingface_hub import EvalResult, ModelCardData

    first = scores[0]
    name = f"{first['model']}-{first['checkpoint']}-{first['arm']}"
    metadata = ModelCardData(
        model_name=name,
        base_model=repository,
        pipeline_tag="text-generation",
        eval_results=[
            EvalResult(
                task_type=TASK_TYPE[row["kind"]],
                dataset_type=row["dataset"],
                dataset_name=row["dataset"],
                dataset_config=f"{row['format']}, shots: {_shots(row)}",
                metric_type=row["metric"],
                metric_value=round(row["value"], 4),
            )
            for row in scores
        ],
    )
    swept = f" ({first['setting']})" if first["setting"] else ""
    told = "\n".join(f"- {key}: {value}" for key, value in sorted(settings.items()))
    table = "\n".join(
        f"| {row['dataset']} | {row['format']} | {_shots(row)} | {row['metric']} "
        f"| {row['value']:.3f} | {_interval(row)} | {row['n']} |"
        for row in scores
    )
    return f"""---
{metadata.to_yaml()}
---

# {name}

`{first["model"]}` at pre-training checkpoint `{first["checkpoint"]}`, fine-tuned on
`{first["train_task"]}` by method `{first["method"]}`{swept} with seed {first["seed"]},
in the study `{first["study"]}`: a model for studying training dynamics, not for use.

## Fine-tuning

{told}

## Scores

| dataset | format | shots | metric | score | 95 % interval | n |
|---|---|---|---|---|---|---|
{table}
"""


def _interval(row: Mapping[str, Any]) -> str:
    return "–" if row["ci_low"] is None else f"{row['ci_low']:.3f} to {row['ci_high']:.3f}"


def _shots(row: Mapping[str, Any]) -> str:
    """The number of shots asked for, with a note if prompts were cut to fewer."""
    shots, truncated = row["shots"], row["truncated"]
    if not shots or not truncated:
        return str(shots)
    if truncated == 1:
        return f"fewer than {shots} (all prompts were cut)"
    return f"{shots} (fewer in {100 * truncated:.2g} % of the prompts)"
