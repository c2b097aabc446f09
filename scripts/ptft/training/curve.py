"""The learning curve: a row for every update and for every validation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

COLUMNS = {
    "step": "int64",  # updates done
    "epoch": "float64",
    "examples": "int64",  # seen so far
    "tokens": "int64",  # seen so far
    "replayed_examples": "int64",  # of the examples; null without replay
    "replayed_tokens": "int64",  # of the tokens
    "lr": "float64",  # of this update
    "loss": "float64",  # the weighted loss of this update's batch, with what l2sp and kl add
    "grad_norm": "float64",  # before clipping
    "seconds": "float64",  # of training so far, resumed parts added up
    "validation_loss": "float64",
    "validation_exact": "float64",  # share of completions that greedy decoding would reproduce
}


def write_curve(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write rows, null where a row lacks a column, as parquet."""
    import pyarrow
    from pyarrow import parquet

    columns = {
        name: pyarrow.array([row.get(name) for row in rows], type=kind)
        for name, kind in COLUMNS.items()
    }
    parquet.write_table(pyarrow.table(columns), path)


def write_tensorboard(rows: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """Write the same curve as TensorBoard events, one scalar per column, against the step."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for row in rows:
            for name in ("loss", "lr", "grad_norm", "validation_loss", "validation_exact"):
                if row.get(name) is not None:
                    writer.add_scalar(name, row[name], row["step"])
