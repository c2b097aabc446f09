"""Released result tables of the paper as ``cells``, with model ids and formats parsed.

An unknown id or dataset is listed with its reason, never guessed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from ptft.analysis.cell_scores import KEY, domain_of, replicate_table
from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.statistics import normal_replicates, score_interval

SHOTS = r"(?:_(?P<shots>\d+)shots)?"
# `_cot_chat` is the one variant of a prompt that an id and not the dataset's name carries.
VARIANT = r"(?:_(?P<format>cot_chat))?"
MODEL_IDS = (
    re.compile(r"(?:olmo1b_)?checkpoint-(?P<step>\d+)(?:_original(?:_hf)?)?" + SHOTS + VARIANT),
    re.compile(r"olmo1b_original_hf" + SHOTS + VARIANT),
    re.compile(
        r"olmo1b_hf_(?:ckpt(?P<step>\d+)|main)_(?P<task>[a-z]+)_\d+epoch_(?P<lr>\d+e-\d+)"
        + SHOTS
        + VARIANT
    ),
)
FORMAT_SUFFIXES = {"_instruct": "instruct", "_inputoutput": "io"}


@dataclass(frozen=True)
class ReleasedModel:
    """Parts of a released model id."""

    step: int | None
    """None for `main`."""
    task: str | None
    """None for a base model."""
    lr: float | None
    shots: int
    format: str | None
    """A format in the id itself."""


@dataclass(frozen=True)
class Published:
    """Result of :func:`read_published`."""

    cells: pl.DataFrame
    replicates: pl.DataFrame
    """Normal draws in place of bootstrap means, independent between cells."""
    unknown: pl.DataFrame
    """Rows left out: table, row (of the file, the header is 1), model_id, dataset, reason."""


def parse_model_id(model_id: str) -> ReleasedModel | None:
    """Parse a released id; None if it follows no documented pattern."""
    for pattern in MODEL_IDS:
        match = pattern.fullmatch(model_id)
        if match:
            found = {"step": None, "task": None, "lr": None} | match.groupdict()
            return ReleasedModel(
                step=int(found["step"]) if found["step"] else None,
                task=found["task"],
                lr=float(found["lr"]) if found["lr"] else None,
                shots=int(found["shots"] or 0),
                format=found["format"],
            )
    return None


def split_format(dataset: str) -> tuple[str, str]:
    """`xsum_instruct` -> (`xsum`, `instruct`)."""
    for suffix, name in FORMAT_SUFFIXES.items():
        if dataset.endswith(suffix):
            return dataset.removesuffix(suffix), name
    return dataset, "default"


def fetch_table(root: str, name: str, sha256: str) -> str:
    """Text of one released table from a folder or an address, its bytes checked.

    Raises:
        ValueError: the bytes differ from the pinned ones.
        FileNotFoundError: the folder has no such file.
    """
    if root.startswith(("http://", "https://")):
        with urllib.request.urlopen(f"{root.rstrip('/')}/{name}", timeout=60) as answer:
            content = answer.read()
    else:
        content = (Path(root) / name).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f"{root}/{name}: SHA-256 is {found}, the study pins {sha256}; the table has changed, "
            "compare it before you pin the new one under published.tables"
        )
    return content.decode("utf-8")


def read_published(
    study: str, source: Mapping[str, Any], resamples: int = 3000, seed: int = 0
) -> Published:
    """Read the tables of ``source`` (`published:` of the study's file) into cells.

    A score without a released error gets the binomial one, sqrt(p (1 - p) / n), if the study gives
    the dataset's size n; else none.

    Raises:
        ValueError: a table has changed, or two rows give the same cell; both are named.
    """
    rows: list[dict] = []
    unknown: list[tuple] = []
    seen: dict[tuple, str] = {}
    about = _study_slice(source)
    for table, sha256 in source["tables"].items():
        text = fetch_table(source["root"], table, sha256)
        for number, line in enumerate(csv.DictReader(io.StringIO(text)), start=2):
            row = _cell(study, table, line, source, about)
            if isinstance(row, str):
                unknown.append((table, number, line["model_id"], line["eval dataset"], row))
                continue
            key, place = tuple(row[k] for k in KEY), f"{table} row {number} ({line['model_id']})"
            if key in seen:
                raise ValueError(
                    f"cell {dict(zip(KEY, key, strict=True))} occurs twice: {seen[key]} and "
                    f"{place}; name one of the models under published.ignored_models"
                )
            seen[key] = place
            rows.append(row)
    cells = pl.DataFrame(rows, schema=CELLS_SCHEMA).sort(*KEY)
    drawn = normal_replicates(
        cells["value"].to_numpy(), cells["stderr"].fill_null(math.nan).to_numpy(), resamples, seed
    )
    columns = ["table", "row", "model_id", "dataset", "reason"]
    return Published(
        cells, replicate_table(cells, drawn), pl.DataFrame(unknown, schema=columns, orient="row")
    )


def _study_slice(source: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a study that ``domain_of`` needs."""
    return {
        "in_domain": {task: about["in_domain"] for task, about in source["tasks"].items()},
        "task_family": {task: about["family"] for task, about in source["tasks"].items()},
        "datasets": {
            about.get("name", name): about
            for datasets in source["datasets"].values()
            for name, about in datasets.items()
        },
    }


def _cell(
    study: str,
    table: str,
    line: Mapping[str, str],
    source: Mapping[str, Any],
    about_study: Mapping[str, Any],
) -> dict[str, Any] | str:
    """A row of ``cells``, or why it is left out."""
    model_id = line["model_id"]
    if model_id in source.get("ignored_models", {}):
        return source["ignored_models"][model_id]
    model = parse_model_id(model_id)
    if model is None:
        return "unknown model id"
    if model.task is not None:
        if model.task not in source["tasks"]:
            return f"unknown task {model.task!r}"
        expected = float(source["tasks"][model.task]["lr"])
        if model.lr != expected:
            return f"learning rate {model.lr:g}, the study's is {expected:g}"
    name, format_name = split_format(line["eval dataset"])
    if name not in source["datasets"][table]:
        return f"unknown dataset {name!r}"
    about = source["datasets"][table][name]
    value = float(line["Performance"])
    stderr = float(line["std"]) if line.get("std") else None
    if stderr is None and "n" in about:
        stderr = math.sqrt(value * (1 - value) / about["n"])
    dataset = about.get("name", name)
    low, high = _limits(value, stderr, about.get("n"))
    step = source.get("main_step") if model.step is None else model.step
    tokens = None if step is None else step * source["tokens_per_step"]
    return {
        "study": study,
        "model": source["model"],
        "checkpoint": "main" if model.step is None else f"step{model.step}",
        "step": step,
        "tokens": tokens,
        "arm": "base" if model.task is None else f"full.{model.task}.s0",
        "method": None if model.task is None else "full",
        "train_task": model.task,
        "seed": None if model.task is None else 0,
        "family": about["family"],
        "dataset": dataset,
        "domain": domain_of(model.task, dataset, about_study),
        "kind": about["kind"],
        "format": model.format or format_name,
        "shots": model.shots,
        "metric": about.get("metric", source["kinds"][about["kind"]]),
        "value": value,
        "stderr": stderr,
        "ci_low": low,
        "ci_high": high,
        "n": about.get("n"),
        "chance": about.get("chance"),
        "main": True,
    }


def _limits(value: float, stderr: float | None, n: int | None) -> tuple[float | None, float | None]:
    """None if the error is unknown, or zero with an unknown number of examples."""
    if stderr is None or (stderr == 0 and n is None):
        return None, None
    low, high = score_interval(value, stderr**2, math.nan if n is None else n)
    return float(low), float(high)
