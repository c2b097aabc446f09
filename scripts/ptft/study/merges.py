"""Arms that are merged from several: soups of seeds or snapshots, checkpoints, task vectors."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ptft.errors import refusal, suggest
from ptft.models.merging import AVERAGE, MERGES
from ptft.models.snapshots import snapshot_name
from ptft.study.arms import BASE, Arm, refuse_own_weights
from ptft.study.schema import Soup, Study


def merged_arms(study: Study, arms: Sequence[Arm]) -> Iterator[Arm]:
    """Arms merged from these: each is derived from the first of those that it is merged from."""
    derive: Any = study.derive  # its keys are those of MERGES and of other derivations
    if derive is None:
        return
    if derive.soup:
        for arm, members in _soups(study, derive.soup, arms):
            yield _merged(arm, "soup", len(members) + 1, members)
    if group := derive.checkpoint_average:
        base = next(arm for arm in arms if arm.name == BASE)
        for last in group.last:
            yield _merged(base, AVERAGE, last, study.checkpoints)
    for name in ("task_vectors", "ties", "dare"):
        if (group := getattr(derive, name)) is None:
            continue
        for arm in arms:
            if arm.method not in group.of or arm.task != group.add[0]:
                continue
            named = {other.task: other.name for other in arms if _alike(arm, other)}
            members = [named[task] for task in group.add[1:]]
            for scale in group.strengths:
                yield _merged(arm, name, scale, members, getattr(group, "density", None))


def _soups(study: Study, soup: Soup, arms: Sequence[Arm]) -> Iterator[tuple[Arm, list[str]]]:
    """Each arm that begins a soup, and the others that are in it."""
    for arm in arms:
        if arm.method not in soup.of:
            continue
        group = study.groups[arm.tuning[0]]
        if soup.over == "snapshots":
            yield arm, [snapshot_name(arm.name, point) for point in group.snapshots]
        elif arm.seed == group.seeds[0]:
            alike = [other for other in arms if other.task == arm.task and _alike(arm, other, ())]
            yield arm, [other.name for other in alike if other.seed != arm.seed]


def _alike(arm: Arm, other: Arm, keys: Sequence[str] = ("seed",)) -> bool:
    """Whether two arms are trained alike, with what else has to be equal."""
    return all(getattr(arm, key) == getattr(other, key) for key in ("method", "setting", *keys))


def _merged(
    arm: Arm, name: str, strength: float, members: Sequence[str], density: float | None = None
) -> Arm:
    return dataclasses.replace(
        arm,
        name=f"{arm.name}@{name}{strength:.12g}",
        derived=name,
        strength=float(strength),
        parent=arm.name,
        merge={"members": list(members), **({} if density is None else {"density": density})},
    )


def check_merges(study: Study, backend: str | None, files: Sequence[Path]) -> None:
    """Merged arms have at least two models to be merged from, all of them in the study.

    Raises:
        StudyError: naming what else there is.
    """
    derive = study.derive
    groups = {name: getattr(derive, name, None) for name in MERGES} if derive else {}
    trained = study.groups
    for name, group in groups.items():
        if group is None:
            continue
        refuse_own_weights(backend, files, "derive")
        place = ("derive", name)
        if name == AVERAGE:
            for position, last in enumerate(group.last):
                if last > len(study.checkpoints):
                    message = f"found {last}, the study has {len(study.checkpoints)} checkpoints"
                    raise refusal(files, (*place, "last", position), message)
            continue
        for position, method in enumerate(group.of):
            at = (*place, "of", position)
            if method not in trained:
                message = f"{method!r} is not a method of this study; {suggest(method, trained)}"
                raise refusal(files, at, message)
            of_method = trained[method]
            if name == "soup":
                if len(getattr(of_method, group.over)) < (2 if group.over == "seeds" else 1):
                    message = (
                        f"a soup of one: {method} has no more {group.over}; add some under "
                        f"finetune.{method}.{group.over}"
                    )
                    raise refusal(files, at, message)
                continue
            for number, task in enumerate(group.add):
                if task not in of_method.tasks:
                    known = list(of_method.tasks)
                    message = f"{task!r} is not a task of {method}; {suggest(task, known)}"
                    raise refusal(files, (*place, "add", number), message)
