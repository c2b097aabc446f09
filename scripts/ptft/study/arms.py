"""Arms: what was done to a checkpoint; what a study sweeps, derives and merges."""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ptft.errors import explain, locate, present, refusal, require_known
from ptft.models.derive import DERIVATIONS
from ptft.models.merging import AVERAGE, MERGES
from ptft.models.snapshots import SNAPSHOT, snapshot_name
from ptft.study.schema import MethodGroup, Soup, Study
from ptft.study.types import NAME, strict_settings
from ptft.training.methods import METHODS
from ptft.training.settings import TrainingSettings

BASE = "base"


@dataclass(frozen=True)
class Arm:
    """A treatment of a checkpoint: none (base), or a method x task x setting x seed.

    A derived arm is computed from the weights of another, without training.
    """

    name: str
    method: str | None = None
    task: str | None = None
    seed: int | None = None
    setting: str | None = None
    """what a sweep changes, as it is in the name; None where nothing is swept"""
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """the swept settings and their values"""
    after: str | None = None
    """name of the arm whose model it goes on from; None: from the checkpoint"""
    derived: str | None = None
    """how its weights are computed from its parent's; None if they are not"""
    strength: float | None = None
    """how far the derivation goes"""
    parent: str | None = None
    """name of the arm that it is derived from"""
    draw: int = 0
    """seed of what its derivation draws"""
    merge: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    """of an arm merged from several: what `ptft.models.merging.Merge` is given"""
    adopted: bool = False
    """whether somebody else tuned it, or the arm that it is derived from"""

    @property
    def swept(self) -> str | None:
        """Names of the swept settings, or that it is a further link; None where neither is.

        Arms with the same are one method at several strengths, so a word belongs to it: replay of
        one dataset is not that of another.
        """
        named = (f"{k} {v}" if isinstance(v, str) else k for k, v in self.changes.items())
        return "then" if self.after else ", ".join(named) or None

    @property
    def trained(self) -> bool:
        """Whether it is fine-tuned, not the base model or derived."""
        return self.method is not None and self.derived is None and not self.adopted

    @property
    def made(self) -> bool:
        """Whether a job makes its model: it is trained, or left on the way of a training."""
        return self.trained or self.snapshot is not None

    @property
    def snapshot(self) -> float | None:
        """The point of a training that it was left at; None if it was not."""
        return self.strength if self.derived == SNAPSHOT else None

    @property
    def tuning(self) -> tuple[str, str]:
        """Method and task of an arm that is fine-tuned here, or derived from one that is.

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
        parents = [
            arm
            for arm in arms
            if (arm.method or BASE) in group.of and (group.swept or arm.setting is None)
        ]
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


def snapshot_arms(study: Study, arms: Sequence[Arm]) -> Iterator[Arm]:
    """Arms on the way of these, in the order that their method lists."""
    for parent in arms:
        group = study.groups.get(parent.method or BASE)
        for point in group.snapshots if group else ():
            yield dataclasses.replace(
                parent,
                name=snapshot_name(parent.name, point),
                derived=SNAPSHOT,
                strength=point,
                parent=parent.name,
            )


def adopted_arms(study: Study) -> Iterator[Arm]:
    """Arms of tuned models of others; the name of one is its method, too."""
    for name, spec in study.adopt.items():
        yield Arm(name, name, spec.task, adopted=True)


# Sweeps -------------------------------------------------------------------------------------------

Sweep = Mapping[str, Sequence]


def swept(sweep: Sweep | Sequence[Sweep] | None) -> list[tuple[str | None, dict[str, Any]]]:
    """Name and changes of each setting of a sweep; one without either where nothing is swept."""
    found: list[tuple[str | None, dict[str, Any]]] = []
    for one in parts_of(sweep):
        for values in product(*one.values()):
            changes = dict(zip(one, values, strict=True))
            name = "-".join(_part(*change) for change in changes.items())
            found.append((name or None, changes))
    return found


def parts_of(sweep: Sweep | Sequence[Sweep] | None) -> Sequence[Sweep]:
    """The sweeps of a method; one of nothing where nothing is swept."""
    return [sweep or {}] if sweep is None or isinstance(sweep, Mapping) else sweep


def swept_values(sweep: Sweep | Sequence[Sweep] | None) -> dict[str, list]:
    """Setting -> all values that it is swept over, each once."""
    found: dict[str, dict] = {}
    for one in parts_of(sweep):
        for key, values in one.items():
            found.setdefault(key, {}).update(dict.fromkeys(values))
    return {key: list(values) for key, values in found.items()}


def changed(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some changed; ``replay.share`` is the setting share of the setting replay."""
    new = dict(values)
    for key, value in changes.items():
        first, _, rest = key.partition(".")
        inner = new.get(first)
        inner = inner if isinstance(inner, Mapping) else {}
        new[first] = changed(inner, {rest: value}) if rest else value
    return new


def value_of(values: Mapping[str, Any], key: str) -> Any:
    """A setting by its key; None where there is none."""
    first, _, rest = key.partition(".")
    found = values.get(first)
    return value_of(found if isinstance(found, Mapping) else {}, rest) if rest else found


def check_sweep(method: str, group: MethodGroup, files: Sequence[Path]) -> None:
    """Everything that a method's sweep changes is a setting of it and in its range.

    Args:
        method: its name.
        group: its arms.
        files: of the study, for messages.

    Raises:
        StudyError: the first thing that is not, by its place.
    """
    place = ("finetune", method, "sweep")
    several = not isinstance(group.sweep, Mapping)
    for number, sweep in enumerate(parts_of(group.sweep)):
        for key, values in sweep.items():
            at = (*place, number, key) if several else (*place, key)
            for task, own in group.tasks.items():
                if value_of(own, key) is not None:
                    told = locate(("finetune", method, "tasks", task, *key.split(".")), files)
                    message = f"task {task} also sets it ({told}); remove one of the two"
                    raise refusal(files, at, message)
            for position, value in enumerate(values):
                _check_value(method, group, key, value, files, (*at, position))
    names = [name for name, _ in swept(group.sweep)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise refusal(files, place, f"two of its settings would be named {twice!r}")
    if names.count(None) > 1:
        raise refusal(files, place, "{} is in the list twice; remove one")


def _check_value(
    method: str, group: MethodGroup, key: str, value: Any, files: Sequence[Path], at: tuple
) -> None:
    """It is one value of a setting in its range, and can be part of a name."""
    if not isinstance(value, (bool, int, float, str)):
        message = f"found {value!r}, expected one number, word or true or false"
        raise refusal(files, at, message)
    own = changed(dataclasses.asdict(group.settings), {key: value})
    checked_settings(method, own, files, at, at)
    if not re.match(NAME, part := _part(key, value)):
        message = f"{part!r} would be part of a file's name, which it can't be"
        raise refusal(files, at, message)


def checked_settings(
    method: str,
    values: Mapping[str, Any],
    files: Sequence[Path],
    place: tuple,
    at: tuple | None = None,
) -> TrainingSettings:
    """A method's settings, checked.

    Args:
        method: its name.
        values: of the settings.
        files: of the study.
        place: where in the study they are.
        at: where what may be wrong with them is, if not at the setting's own place.

    Raises:
        StudyError: one is unknown or out of range.
    """
    settings: type = METHODS[method]
    try:
        return TypeAdapter(strict_settings(settings)).validate_python(values)
    except ValidationError as error:
        raise explain(error, files, place, at) from None


def _part(key: str, value: Any) -> str:
    """The part that a value adds to the name of an arm: `lr2e-06`."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, float):
        short = f"{value:g}"
        text = (short if float(short) == value else repr(value)).replace("e+", "e")
    return key.rpartition(".")[2] + text


# Merges -------------------------------------------------------------------------------------------


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


def check_derived(study: Study, files: Sequence[Path]) -> None:
    """What is derived has a parent in the study, or two at least, and strengths that can be.

    Raises:
        StudyError: naming what else there is.
    """
    groups: dict[str, Any] = {
        name: group
        for name in (*DERIVATIONS, *MERGES)
        if (group := getattr(study.derive, name, None)) is not None
    }
    for name, group in groups.items():
        place = ("derive", name)
        if name == AVERAGE:
            if (most := max(group.last)) > len(study.checkpoints):
                message = f"found {most}, the study has {len(study.checkpoints)} checkpoints"
                raise refusal(files, (*place, "last"), message)
            continue
        known = [*study.groups, *(study.adopt if name in DERIVATIONS else ())]
        if name in DERIVATIONS and DERIVATIONS[name].of_base:
            known.append(BASE)
        require_known(files, (*place, "of"), group.of, known)
        if name in DERIVATIONS:
            for position, strength in enumerate(group.strengths):
                if not DERIVATIONS[name]().takes(strength):
                    message = f"found {strength:g}, expected {DERIVATIONS[name].strengths}"
                    raise refusal(files, (*place, "strengths", position), message)
            continue
        for method in group.of:
            if name != "soup":
                require_known(files, (*place, "add"), group.add, study.groups[method].tasks)
            elif len(getattr(study.groups[method], group.over)) < 1 + (group.over == "seeds"):
                message = f"a soup of one: add some under finetune.{method}.{group.over}"
                raise refusal(files, (*place, "of"), message)
