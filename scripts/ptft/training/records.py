"""Learning curve, verdict and summary: what a training leaves beside its model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptft.training.loop import Trainer

COLUMNS = {
    "step": "int64",  # updates done
    "epoch": "float64",
    "examples": "int64",  # seen so far
    "tokens": "int64",  # seen so far
    "replayed_examples": "int64",  # of the examples; null without replay
    "replayed_tokens": "int64",  # of the tokens
    "lr": "float64",  # of this update
    "loss": "float64",  # the weighted loss of this update's batch, with what remedies add
    "grad_norm": "float64",  # before clipping
    "seconds": "float64",  # of training so far, resumed parts added up
    "validation_loss": "float64",
    "validation_exact": "float64",  # share of completions that greedy decoding would reproduce
}

MOSTLY = 0.9
"""A training with more exact answers to its own examples has learned, however unsure they are."""
NO_BETTER = 0.9
"""A loss above this share of that of the constant answer, or of the start, is not learned."""


def write_curve(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a row for every update and validation, null where a row lacks a column, as parquet."""
    import pyarrow
    from pyarrow import parquet

    columns = {
        name: pyarrow.array([row.get(name) for row in rows], type=kind)
        for name, kind in COLUMNS.items()
    }
    parquet.write_table(pyarrow.table(columns), path)


def verdict(
    final: float,
    start: float,
    constant: float | None = None,
    moved: bool = True,
    exact: float = 0.0,
) -> str:
    """Whether a training learned, by the loss on its own training examples; no test set is
    involved.

    Args:
        final, start: the loss after and before training.
        constant: that of the best answer that ignores its input (``losses.constant_loss``); None
            where there is no such answer.
        moved: whether the saved weights differ from the checkpoint's.
        exact: share of its training examples whose completion comes out exactly.

    Returns:
        ``learned``, or why not: ``not moved``; ``no lower`` than at the start; ``constant``: hardly
        below the constant answer. A loss that is not a number is ``no lower``. Other seeds are
        compared where all are there (``analysis.tuned_models``).
    """
    if not moved:
        return "not moved"
    if not final < start:
        return "no lower"
    if exact > MOSTLY:
        return "learned"
    if constant is not None and final > NO_BETTER * constant:
        return "constant"
    return "learned"


def summary_of(trainer: "Trainer") -> dict[str, Any]:
    """For training.json: of all updates what they took, of the saved weights how good they are."""
    import torch
    import transformers

    from ptft.training.gradients import peak_memory

    run, model = trainer.run, trainer.run.model
    device, reached, best = run.devices.device, trainer.outcome, trainer.stopping.step
    return {
        "lr": run.settings.lr,
        "steps": trainer.step,
        **({"best_step": best} if best else {}),
        **trainer.seen,
        "updates": run.way.name,
        "token_budget": trainer.gradients.budget.whole,
        "seconds": trainer.seconds,
        "peak_memory_bytes": peak_memory(device),
        **{key: reached.get(key) for key in ("loss", "validation_loss", "validation_exact")},
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in trainer.trained.values()),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "devices": run.devices.world,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
