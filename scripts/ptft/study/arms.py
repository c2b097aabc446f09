"""Arms: what was done to a checkpoint. Derived ones are computed from the weights of others."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from ptft.errors import present, refusal, suggest
from ptft.evaluation.cells import OWN_WEIGHTS
from ptft.models.derive import DERIVATIONS
from ptft.study.schema import Study
from ptft.training.methods import METHODS

BASE = "base"


@dataclass(frozen=True)
class Arm:
    """What was done to a checkpoint: nothing (base), or a method x task x setting x seed.

    A derived arm is computed from the weights of another, without training.
    """

    name: str
    method: str | None = None
    task: str | None = None
    seed: int | None = None
    setting: str | None = None
    """what a sweep changes, as it is in the name; None where nothing is swept"""
    changes: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """the swept settings and their values"""
    derived: str | None = None
    """how its weights are computed from its parent's; None if they are not"""
    strength: float | None = None
    """how far the derivation goes"""
    parent: str | None = None
    """name of the arm that it is derived from"""
    draw: int = 0
    """seed of what its derivation draws"""

    @property
    def swept(self) -> str | None:
        """Names of the swept settings; None where nothing is swept."""
        return ", ".join(self.changes) or None

    @property
    def trained(self) -> bool:
        """Whether it is fine-tuned, not the base model or derived."""
        return self.method is not None and self.derived is None

    @property
    def tuning(self) -> tuple[str, str]:
        """Method and task of an arm that is fine-tuned, or derived from one that is.

        Raises:
            LookupError: it is the base model, or derived from it.
        """
        return present(self.method, f"method of {self.name}"), present(self.task, "task")


def derived_arms(study: Study, arms: Sequence[Arm]) -> Iterator[Arm]:
    """Arms derived from these, by derivation; of the seeds, 0 has no suffix."""
    for name, derivation in DERIVATIONS.items():
        group = getattr(study.derive, name, None)
        if group is None:
            continue
        parents = [arm for arm in arms if (arm.method or BASE) in group.of]
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


def check_derivations(study: Study, backend: str | None, files: Sequence[Path]) -> None:
    """What is derived has a parent in the study, strengths that can be, and an engine that can.

    Raises:
        StudyError: naming what else there is.
    """
    trained = [name for name in METHODS if getattr(study.finetune, name)]
    for name, derivation in DERIVATIONS.items():
        group = getattr(study.derive, name, None)
        if group is None:
            continue
        known = [*([BASE] if derivation.of_base else []), *trained]
        for position, parent in enumerate(group.of):
            loc = ("derive", name, "of", position)
            if parent == BASE and not derivation.of_base:
                message = "'base' is what it starts from; name methods of the study under finetune"
                raise refusal(files, loc, message)
            if parent not in known:
                message = f"{parent!r} is not a method of this study; {suggest(parent, known)}"
                raise refusal(files, loc, message)
        for position, strength in enumerate(group.strengths):
            if not derivation().takes(strength):
                message = f"found {strength:g}, expected {derivation.strengths}"
                raise refusal(files, ("derive", name, "strengths", position), message)
        if backend in OWN_WEIGHTS:
            message = (
                f"{backend} has weights of its own, which can't be derived; leave "
                "derive out, or generate with transformers"
            )
            raise refusal(files, ("evaluate", "generation_backend"), message)
