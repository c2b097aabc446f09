"""A study's results in other formats: LaTeX, model cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from typing_extensions import TypedDict

from ptft.analysis.csv_tables import without_empty

TASK_TYPE = {
    "classification": "text-classification",
    "multiple_choice": "multiple-choice",
    "generation": "text-generation",
    "text": "text-generation",
}


class AboutModels(TypedDict):
    """What a card says besides the scores."""

    __pydantic_config__ = {"extra": "forbid"}

    repository: str | None
    license: str | None
    settings: dict[str, dict[str, Any]]


def write_exports(
    cells: pl.DataFrame, tables: Mapping[str, pl.DataFrame], about: AboutModels, folder: Path
) -> None:
    """Write latex/ and model_cards/ under a folder."""

    def write(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    for name, table in tables.items():
        caption = f"Table {name} of study {cells['study'][0]}."
        text = latex_table(without_empty(table), caption, f"tab:{name}")
        write(folder / "latex" / f"{name}.tex", text)
    models = cells.select("checkpoint", "arm", "derived").unique().sort("checkpoint", "arm")
    for checkpoint, arm, derived in models.iter_rows():
        if arm != "base" and derived is None:  # of what is derived there is no model on disk
            details = about | {"settings": about["settings"].get(arm, {})}
            card = model_card(cells, checkpoint, arm, details)
            write(folder / "model_cards" / checkpoint / arm / "README.md", card)


def latex_table(table: pl.DataFrame, caption: str, label: str) -> str:
    """A booktabs table; numbers with three decimals, missing ones as dashes.

    Needs `\\\\usepackage{booktabs}`; long tables are set with `longtable`.
    """
    return table.to_pandas().to_latex(
        index=False,
        escape=True,
        float_format="%.3f",
        na_rep="--",
        caption=caption,
        label=label,
        longtable=len(table) > 40,
    )


def _shots(row: Mapping[str, Any]) -> str:
    """The number of shots asked for, with a note if prompts were cut to fewer."""
    shots, truncated = row["shots"], row["truncated"]
    if not shots or not truncated:
        return str(shots)
    if truncated == 1:
        return f"fewer than {shots} (all prompts were cut)"
    return f"{shots} (fewer in {100 * truncated:.2g} % of the prompts)"


def model_card(cells: pl.DataFrame, checkpoint: str, arm: str, about: Mapping[str, Any]) -> str:
    """A model card with the tuned model's scores in its metadata, ready for the Hub.

    Args:
        cells: the cells table.
        checkpoint: of the base model.
        arm: the tuned model.
        about: ``repository`` (of the base model; None for one made here), ``license`` (or None),
            ``settings`` (of the fine-tuning).

    Raises:
        ValueError: this model has no score.
    """
    from huggingface_hub import ModelCard

    rows = cells.filter(
        pl.col("checkpoint") == checkpoint, pl.col("arm") == arm, pl.col("main")
    ).sort("family", "dataset", "format", "shots")
    if rows.is_empty():
        raise ValueError(f"no score of checkpoint {checkpoint!r}, arm {arm!r}")
    scores = rows.to_dicts()
    first = scores[0]
    name = f"{first['model']}-{checkpoint}-{arm}"
    settings = "\n".join(f"- {key}: {value}" for key, value in sorted(about["settings"].items()))
    content = f"""---
{_card_metadata(name, scores, about)}
---

# {name}

`{first["model"]}` at pre-training checkpoint `{checkpoint}`, {_made(first)},
in the study `{first["study"]}`: a model for studying training dynamics, not for use.

## Fine-tuning

{settings}

## Scores

{_scores_table(scores)}
"""
    return str(ModelCard(content))


def _made(score: Mapping[str, Any]) -> str:
    """What was done to the checkpoint, in words."""
    parts = []
    if score["method"]:
        setting = f" ({score['setting']})" if score["setting"] else ""
        parts.append(
            f"fine-tuned on `{score['train_task']}`\nby method `{score['method']}`{setting} with "
            f"seed {score['seed']}"
        )
    if score["derived"]:
        parts.append(f"its weights changed by `{score['derived']}` {score['strength']:g}")
    return ", ".join(parts)


def _card_metadata(name: str, scores: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> str:
    """A card's metadata for the Hub, as YAML: the base model and every score."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type=TASK_TYPE[row["kind"]],
            dataset_type=row["dataset"],
            dataset_name=row["dataset"],
            dataset_config=f"{row['format']}, shots: {_shots(row)}",
            metric_type=row["metric"],
            metric_value=round(row["value"], 4),
        )
        for row in scores
    ]
    return ModelCardData(
        model_name=name,
        base_model=about["repository"],
        license=about["license"],
        pipeline_tag="text-generation",
        eval_results=results,
    ).to_yaml()


def _scores_table(scores: Iterable[Mapping[str, Any]]) -> str:
    """The scores as a table in Markdown."""
    lines = [
        "| dataset | format | shots | metric | score | 95 % interval | n |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in scores:
        known = row["ci_low"] is not None
        interval = f"{row['ci_low']:.3f} to {row['ci_high']:.3f}" if known else "–"
        lines.append(
            f"| {row['dataset']} | {row['format']} | {_shots(row)} | {row['metric']} "
            f"| {row['value']:.3f} | {interval} | {row['n']} |"
        )
    return "\n".join(lines)
