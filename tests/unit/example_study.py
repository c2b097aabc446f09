"""A small made-up study with answers to look at, and hostile texts in every place."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from ptft.files import write_examples
from ptft.paths import cell_path

CHECKPOINTS = {"step10": 10, "main": None}
ARMS = {"base": (None, None), "full.nli.s0": ("full", "nli"), "lora.nli.s0": ("lora", "nli")}
KINDS = {"nli": "classification", "quiz": "multiple_choice", "story": "generation"}
LABELS = ["no", "yes"]
HOSTILE = [
    "</script><script>window.struck = 'script'</script>",
    "<!--<script>",
    "<img src=x onerror=\"window.struck = 'image'\">",
    "a\u2028b\u2029c 😀 \\u003c \"quoted\" 'single' `${window.struck = 1}`",
    "<iframe src='http://example.org/'></iframe><link rel=stylesheet href=http://example.org/x>",
    "javascript:window.struck=1 {shown} __proto__ </textarea></select></style>",
]


def write(folder: Path, examples: int = 6, language: str = "en") -> list[str]:
    """Write cells, prepared splits, settings and plan; the arguments of scripts/write_examples.py.

    In format ``default`` base models answer the even examples rightly, full fine-tuning the odd
    ones, LoRA all; in ``io`` all do the opposite.
    """
    for dataset, kind in KINDS.items():
        (folder / "datasets" / dataset).mkdir(parents=True)
        for split in ("test", "shots"):
            rows = [_example(dataset, kind, split, i) for i in range(examples)]
            write_examples(rows, folder / f"datasets/{dataset}/{split}.jsonl")
    cells = []
    for checkpoint, step in CHECKPOINTS.items():
        for arm, (method, task) in ARMS.items():
            for dataset, kind in KINDS.items():
                for name in ("default", "io"):
                    file = Path(
                        cell_path(folder / "evaluations", checkpoint, arm, dataset, name, 1)
                    )
                    file.parent.mkdir(parents=True, exist_ok=True)
                    _answers(dataset, kind, arm, name, examples).write_parquet(file)
                    cells.append([checkpoint, step, None, arm, method, task, None, dataset, kind])
                    cells[-1] += [name, 1, True, None if method is None else 0]
    columns = ["checkpoint", "step", "tokens", "arm", "method", "train_task", "derived", "dataset"]
    columns += ["kind", "format", "shots", "main", "seed"]
    pl.DataFrame(cells, schema=columns, orient="row").with_columns(
        pl.col("tokens", "step").cast(pl.Int64), pl.col("derived").cast(pl.String)
    ).write_parquet(folder / "cells.parquet")
    arms = [
        {"checkpoint": checkpoint, "arm": arm, "chosen": None}
        for checkpoint in CHECKPOINTS
        for arm, (method, _) in ARMS.items()
        if method
    ]
    pl.DataFrame(arms, schema_overrides={"chosen": pl.Boolean}).write_parquet(
        folder / "arms.parquet"
    )
    for name, content in {
        "plan": {"scoring_version": 1, "shots_seed": 0, "datasets": {d: _asked(d) for d in KINDS}},
        "settings": {},
        "wording": {
            "language": language,
            "titles": {"datasets": {"quiz": f"Quiz {HOSTILE[0]}"[:40]}},
        },
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    files = ["cells.parquet", "arms.parquet", "plan.json", "settings.json", "wording.json"]
    arguments = [["--" + name.split(".")[0], str(folder / name)] for name in files]
    arguments += [["--evaluations", str(folder / "evaluations")]]
    arguments += [["--data", str(folder / "datasets")], ["--seed", "0"]]
    return [part for pair in arguments for part in pair]


def _example(dataset: str, kind: str, split: str, number: int) -> dict:
    hostile = HOSTILE[number % len(HOSTILE)]
    example = {
        "example_id": f"{dataset}-{split}-{number}",
        "fields": {"text": f"{number} {hostile}"},
    }
    if kind == "classification":
        return example | {"gold": LABELS[number % 2]}
    if kind == "multiple_choice":
        return example | {"gold": number % 2, "choices": [f"first {hostile}", f"second {hostile}"]}
    return example | {"gold": f"gold {hostile}"}


def _asked(dataset: str) -> dict:
    kind = KINDS[dataset]
    return {
        "kind": kind,
        "formats": {"default": "Text: {text}\nAnswer:", "io": "{text} →"},
        "shots": [1],
        **({"labels": LABELS} if kind == "classification" else {}),
        **({"max_new_tokens": 9} if kind == "generation" else {}),
    }


def _answers(dataset: str, kind: str, arm: str, name: str, examples: int) -> pl.DataFrame:
    rows = []
    for number in range(examples):
        known = {"base": number % 2 == 0, "full.nli.s0": number % 2 == 1}.get(arm, True)
        right = known if name == "default" else not known
        gold = number % 2
        said = gold if right else 1 - gold
        logprobs = [-0.1, -0.1]
        logprobs[1 - said] = -2.5
        texts = {"classification": LABELS, "multiple_choice": ["0", "1"]}.get(kind)
        hostile = HOSTILE[number % len(HOSTILE)]
        rows.append(
            {
                "example_id": f"{dataset}-test-{number}",
                "prediction": texts[said] if texts else f"{arm} {hostile}",
                "gold": texts[gold] if texts else f"gold {hostile}",
                "score": float(right) if texts else 0.75 if right else 0.25,
                "logprobs": logprobs if texts else None,
                "truncated": number == 0,
            }
        )
    return pl.DataFrame(rows, schema_overrides={"logprobs": pl.List(pl.Float64)})
