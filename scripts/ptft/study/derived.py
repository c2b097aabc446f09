"""Arms that are computed from others: what a study may ask for, and which arms that makes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import product
from typing import TYPE_CHECKING

from ptft.files.errors import suggest
from ptft.models.derive import DERIVATIONS
from ptft.study.checks import refusal
from ptft.training.methods import METHODS

if TYPE_CHECKING:
    from ptft.study.grid import Arm, Grid

BASE = "base"
"""in a list of methods: the checkpoint as it is"""


def derived_arms(grid: Grid) -> Iterator[Arm]:
    """Derived arms, by derivation; of the seeds, 0 has no suffix."""
    for name, derivation in DERIVATIONS.items():
        group = getattr(grid.study.derive, name, None)
        if group is None:
            continue
        parents = [arm for arm in grid.arms.values() if (arm.method or BASE) in group.of]
        seeds = group.seeds if derivation.seeded else [0]
        for parent, strength, seed in product(parents, group.strengths, seeds):
            suffix = f".s{seed}" if seed else ""
            yield dataclasses.replace(
                parent,
                name=f"{parent.name}@{name}{strength:.12g}{suffix}",
                seed=seed if derivation.seeded and not parent.trained else parent.seed,
                derived=name,
                strength=float(strength),
                parent=parent.name,
                draw=seed,
            )


def check_derivations(grid: Grid) -> None:
    """What is derived has a parent in the study, strengths that can be, and an engine that can.

    Raises:
        StudyError: naming what else there is.
    """
    trained = [name for name in METHODS if getattr(grid.study.finetune, name)]
    for name, derivation in DERIVATIONS.items():
        group = getattr(grid.study.derive, name, None)
        if group is None:
            continue
        known = [*([BASE] if derivation.of_base else []), *trained]
        for position, parent in enumerate(group.of):
            loc = ("derive", name, "of", position)
            if parent == BASE and not derivation.of_base:
                message = "'base' is what it starts from; name methods of the study under finetune"
                raise refusal(grid, loc, message)
            if parent not in known:
                message = f"{parent!r} is no method of this study; {suggest(parent, known)}"
                raise refusal(grid, loc, message)
        for position, strength in enumerate(group.strengths):
            if not derivation().takes(strength):
                message = f"found {strength:g}, expected {derivation.strengths}"
                raise refusal(grid, ("derive", name, "strengths", position), message)
        if grid.generation_backend is not None:
            message = (
                f"{grid.generation_backend} has weights of its own, which can't be derived; leave "
                "derive out, or generate with transformers"
            )
            raise refusal(grid, ("evaluate", "generation_backend"), message)
