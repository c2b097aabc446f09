"""Slices: all that each job sees of a study, in its rule's ``params``.

An edit of the study makes those jobs run again whose slice it changes. The versions of
``ptft.versions`` are part of the slices.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ptft import paths
from ptft.errors import present
from ptft.evaluation.cells import KINDS
from ptft.models.merging import get_derivation
from ptft.study.arms import value_of
from ptft.study.families import Family
from ptft.study.grid import Arm, Grid
from ptft.study.load import dump
from ptft.training.methods import METHODS
from ptft.training.settings import TrainingSettings
from ptft.versions import CHECKS_VERSION, DATA_VERSION, SCORING_VERSION, TRAINING_VERSION

CHECKED_SETTINGS = ("batch_size", "max_length", "validation_examples")
"""of a training, that its check hangs on"""
OPTIONAL = ("swept", "setting", "derived", "strength")
"""of an arm; they are in a slice only where there are some"""


def split_slice(grid: Grid, dataset: str, split: str) -> dict:
    """All that decides the rows of a prepared split."""
    spec, family = grid.dataset(dataset), grid.families[grid.family(dataset)]
    content = dump(spec)
    # They do not decide what a row holds.
    unread = (
        "splits",
        "formats",
        "metric",
        "max_new_tokens",
        "stop",
        "metrics",
        "window",
        "stride",
    )
    for key in ("title", *unread):
        content.pop(key, None)
    return {
        "version": DATA_VERSION,
        "kind": family.kind,
        "labels": spec.labels or family.labels,
        "dataset": content,
        "split": grid.split_expression(dataset, split),
        "limit": grid.limit(dataset, split),
        "seed": grid.study.data.seed,
    }


def task_slice(grid: Grid, dataset: str) -> dict:
    """All that decides the documents of a harness task, apart from the rows of its splits."""
    return {"version": DATA_VERSION, "task": dict(grid.harness[dataset].task)}


def finetune_slice(grid: Grid, arm: str) -> dict:
    """All that decides the weights of an arm, apart from its checkpoint and its training split."""
    method, task = grid.arms[arm].tuning
    settings = grid.settings(arm)
    replay, snapshot = _replayed_dataset(settings), grid.arms[arm].snapshot
    return {
        "training_version": TRAINING_VERSION,
        "method": method,
        "seed": grid.arms[arm].seed,
        "template": grid.training_template(grid.task_dataset(task)),
        **({"replay_template": grid.training_template(replay)} if replay else {}),
        "settings": asdict(settings),
        **({} if snapshot is None else {"snapshot": snapshot}),
    }


def self_text_slice(grid: Grid, text: str) -> dict:
    """All that decides the text that a checkpoint writes, apart from it and how texts begin."""
    replay = grid.self_texts[text]
    return {
        "training_version": TRAINING_VERSION,
        "samples": replay.samples,
        "tokens": replay.tokens,
        "temperature": replay.temperature,
        "seed": grid.study.data.seed,
    }


def adopted_slice(grid: Grid, arm: str) -> dict:
    """Somebody else's tuned model, and the checkpoint that it is from."""
    return dump(grid.study.adopt[arm])


def evaluation_slice(grid: Grid, arm: str | None = None) -> dict:
    """All that decides the scores of one checkpoint and arm, apart from the model and the data.

    It differs between arms by what is derived from them alone; None for any without such.
    """
    evaluate, backend = grid.study.evaluate, grid.generation_backend
    derived = {
        child.name: {
            "derivation": child.derived,
            "version": get_derivation(present(child.derived, "derivation")).version,
            "strength": child.strength,
            "seed": child.draw,
            **child.merge,
        }
        for child in (grid.parents[arm] if arm else ())
    }
    return {
        "scoring_version": SCORING_VERSION,
        "shots_seed": evaluate.shots_seed,
        "datasets": {dataset: _scoring(grid, dataset) for dataset in grid.datasets},
        **({"generation_backend": backend} if backend else {}),
        **({"dtype": evaluate.dtype} if evaluate.dtype != "auto" else {}),
        **({"derived": derived} if derived else {}),
    }


def scored_slice(grid: Grid, dataset: str) -> dict:
    """All that decides the check of an evaluated dataset, apart from splits and tokenizer."""
    known, scoring = grid.templates(dataset), _scoring(grid, dataset)
    return {
        "dataset": dataset,
        "template": known.get(grid.study.train_format, next(iter(known.values()), None)),
        "shots_seed": grid.study.evaluate.shots_seed,
        "scoring": scoring,
        **({"window_key": _window_key(grid, dataset)} if scoring["kind"] == "text" else {}),
    }


def trained_slice(grid: Grid, name: str) -> dict:
    """All that decides the check of a training, apart from its rows and the tokenizer.

    Args:
        name: one of ``checked_trainings``.
    """
    arm = checked_trainings(grid)[name]
    (method, task), settings = arm.tuning, grid.settings(arm.name)
    dataset, replay = grid.task_dataset(task), _replayed_dataset(settings)
    begin = settings.replay.prompts if settings.replay else None
    learned = grid.learned(arm.name)
    return {
        "method": method,
        "task": task,
        "dataset": dataset,
        "template": grid.training_template(dataset),
        "settings": {key: getattr(settings, key) for key in CHECKED_SETTINGS},
        **_given(replay=replay and {"dataset": replay, "template": grid.training_template(replay)}),
        **({"self_text": begin} if grid.self_text_of(arm.name) else {}),
        "limits": {
            name: limit for name in learned if (limit := grid.limit(name, "train")) is not None
        },
    }


def checked_trainings(grid: Grid) -> dict[str, Arm]:
    """Name of a check of a training -> the first of the arms that it is for (``check_of``)."""
    found: dict[str, Arm] = {}
    for arm in grid.arms.values():
        if arm.trained:
            found.setdefault(check_of(grid, arm), arm)
    return found


def check_of(grid: Grid, arm: Arm) -> str:
    """The check that an arm waits for: all seeds, and settings that decide no check, share one."""
    own = [arm.setting] if arm.setting and arm.changes.keys() & set(CHECKED_SETTINGS) else []
    replay = grid.settings(arm.name).replay
    parts = (
        ["replay", replay.dataset, *([replay.prompts] if replay.prompts else [])] if replay else []
    )
    return ".".join([*arm.tuning, *own, *(["-".join(parts)] if parts else [])])


def samples_slice(grid: Grid) -> dict:
    """All that models read: the slices of all checks, from which samples are shown."""
    return {
        "scored": [scored_slice(grid, dataset) for dataset in grid.datasets],
        "trained": {name: trained_slice(grid, name) for name in checked_trainings(grid)},
    }


def checks_slice(grid: Grid) -> dict:
    """All that puts the checks into tables."""
    names = dict.fromkeys(dataset for dataset, _ in grid.splits())
    return {
        "version": CHECKS_VERSION,
        "splits": [list(pair) for pair in grid.splits()],
        "sources": {name: grid.dataset(name).source for name in names},
    }


def collection_slice(grid: Grid) -> dict:
    """All that turns per-example files into the cells table."""
    return {
        "study": grid.name,
        "model": grid.study.model,
        "checkpoints": {name: info.model_dump() for name, info in grid.checkpoints.items()},
        "arms": {arm.name: _about(grid, arm) for arm in grid.arms.values()},
        "datasets": {
            dataset: {
                "family": grid.family(dataset),
                "kind": family.kind_of(dataset),
                "metric": family.metric(dataset),
                "labels": grid.dataset(dataset).labels or family.labels,
                **({"aside": True} if not getattr(grid.dataset(dataset), "asked", True) else {}),
            }
            for dataset in grid.datasets
            for family in [grid.families[grid.family(dataset)]]
        },
        "in_domain": {
            task: grid.families[grid.task_family[task]].tasks[task].in_domain for task in grid.tasks
        },
        "task_family": {task: grid.task_family[task] for task in grid.tasks},
        "scores": [list(score) for score in grid.scores()],
        "bootstrap": grid.study.bootstrap.model_dump(),
    }


def arms_slice(grid: Grid) -> dict:
    """Facts of the fine-tuned models that are known without them."""
    sweeps = {method: dict(sweep) for method in METHODS if (sweep := grid.sweep(method))}
    swept = dict.fromkeys(["lr", *(key for sweep in sweeps.values() for key in sweep)])
    arms = {}
    for arm in grid.arms.values():
        if arm.trained:
            settings = asdict(grid.settings(arm.name))
            values = {key: value_of(settings, key) for key in swept}
            arms[arm.name] = {
                **_about(grid, arm),
                "setting": arm.setting,
                "settings": values,
                "changes": [] if arm.after else list(arm.changes),
                "after": arm.after,
            }
    infos = {
        name: info.model_dump() | {"pretraining_lr": grid.model.learning_rate(info.step)}
        for name, info in grid.checkpoints.items()
    }
    return {"checkpoints": infos, "arms": arms, "sweeps": sweeps}


def resolved_study(grid: Grid) -> dict:
    """The whole study with everything it names, as plain data."""
    used = {grid.family(d) for d in grid.datasets} | {grid.task_family[t] for t in grid.tasks}
    return {
        "study": dump(grid.study),
        "contents": sorted(grid.contents),
        "model": dump(grid.model),
        "families": {name: _untitled(grid.families[name]) for name in sorted(used)},
    }


def _untitled(family: Family) -> dict:
    """A family as plain data, without the titles: they decide no result, and have a slice."""
    content = dump(family)
    for titled in (content, *content["datasets"].values(), *content.get("tasks", {}).values()):
        titled.pop("title", None)
    return content


def _about(grid: Grid, arm: Arm) -> dict:
    """An arm as the tables name it, and its checkpoints, if not all."""
    at = grid.checkpoints_of(arm.name)
    return {
        "method": arm.method,
        "train_task": arm.task,
        "seed": arm.seed,
        **{key: value for key in OPTIONAL if (value := getattr(arm, key)) is not None},
        **({} if at == list(grid.checkpoints) else {"checkpoints": at}),
    }


def _replayed_dataset(settings: TrainingSettings) -> str | None:
    """Dataset that is replayed; None if there is none, or the checkpoint writes what is."""
    replay = settings.replay
    return replay.dataset if replay and not replay.own else None


def _window_key(grid: Grid, dataset: str) -> list:
    """Family files and key that give the window of a dataset of text, for messages."""
    own = grid.dataset(dataset).window is not None
    files = list(map(str, grid.family_files[grid.family(dataset)]))
    return [files, ["datasets", dataset, "window"] if own else ["window"]]


def _scoring(grid: Grid, dataset: str) -> dict:
    """How a dataset is scored; what its kind has none of is left out."""
    spec, family = grid.dataset(dataset), grid.families[grid.family(dataset)]
    content = {
        "kind": family.kind,
        "formats": {name: grid.template(dataset, name) for name in grid.formats(dataset)},
        "shots": grid.shots(dataset),
        "metric": family.metric(dataset),
    }
    if dataset in grid.harness:
        most = grid.max_new_tokens(dataset)
        return content | {"task": grid.harness[dataset].task, **_given(max_new_tokens=most)}
    if family.kind == "text":
        window, stride = family.windows(dataset)
        return content | {"window": window, "stride": stride}
    return content | {
        "labels": spec.labels or family.labels,
        "max_new_tokens": grid.max_new_tokens(dataset),
        "stop": family.stops(dataset),
        **_given(
            also=[way for way in grid.study.evaluate.also if way in KINDS[family.kind]],
            metrics=_named_metrics(family, dataset),
        ),
    }


def _given(**parts: Any) -> dict:
    """Those that hold something."""
    return {key: value for key, value in parts.items() if value}


def _named_metrics(family: Family, dataset: str) -> list[dict]:
    """Metrics of `evaluate` that a dataset is scored by, too, and where their code is."""
    return [
        {
            "name": metric.name,
            "folder": metric.path or paths.metric(metric.name),
            "options": metric.options,
            "score": metric.score,
            "per": metric.per,
        }
        for metric in family.named_metrics(dataset)
    ]
