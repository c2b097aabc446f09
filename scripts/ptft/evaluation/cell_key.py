"""The key of a cell: a hash of everything that determines its content, and of nothing else."""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path

from ptft.evaluation.requests import CellRequest
from ptft.inference.model import Target
from ptft.models.folder import hash_files


def cell_key(
    cell: CellRequest,
    model_hash: str,
    data: Path,
    scoring_version: int,
    target: Target,
    base_hash: str | None = None,
) -> str:
    """Name of a cell's file in the store: a hash of all that determines its content.

    The names of format and dataset stay out: they do not change a score, so a renamed format
    is not computed again. Neither do the shots change a cell without any.

    Args:
        base_hash: of the model that a tuned one is compared with; it counts for text alone.
    """
    parts = asdict(cell)
    del parts["dataset"], parts["format"]
    for part in ("generation_backend", "window", "stride"):
        if parts[part] is None:
            del parts[part]
    if cell.kind == "text" and base_hash is not None:
        parts["base"] = base_hash
    splits = ["test", "shots"] if cell.shots else ["test"]
    if not cell.shots:
        del parts["shots_seed"]
    parts |= {
        "model": model_hash,
        "data": _hash_splits(data / cell.dataset, *splits),
        "scoring_version": scoring_version,
        **asdict(target),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def _hash_splits(folder: Path, *splits: str) -> str:
    return hash_files([folder / f"{split}.jsonl" for split in splits])
