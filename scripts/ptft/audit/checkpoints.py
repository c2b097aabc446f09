"""The checkpoints of a study are of one architecture, or its curves compare different models."""

from collections.abc import Iterable
from pathlib import Path

from ptft.audit.training import AuditError
from ptft.hub.pins import SUFFIX, pinned_folder


def refuse_other_architectures(checkpoints: Iterable[Path]) -> None:
    """Compare the shapes of the models' weights; no weights are read.

    The audit compares what is there, and each later fetch compares itself with that, so that
    fine-tuning need not wait for the last checkpoint.

    Args:
        checkpoints: model folders, or the pins that they were fetched by; those that are not
            there yet are left out.

    Raises:
        AuditError: one differs from the first.
        ValueError: one can't be loaded.
    """
    from ptft.models.loading import load_model

    first: dict[str, list[int]] = {}
    for path in checkpoints:
        folder = pinned_folder(path) if path.name.endswith(SUFFIX) else path
        if not folder.exists():
            continue
        model = load_model(folder, device="meta")
        shapes = {name: list(weight.shape) for name, weight in model.named_parameters()}
        first = first or shapes
        for name in sorted(first.keys() | shapes.keys()):
            if shapes.get(name) != first.get(name):
                raise AuditError(
                    f"{folder} is of another architecture than the study's first checkpoint: the "
                    f"shape of {name} is {shapes.get(name)}, not {first.get(name)}; leave it out, "
                    "or correct its `branch` or `repository` in the model's file"
                )
