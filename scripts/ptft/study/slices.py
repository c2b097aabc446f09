"""What each job sees of a study, and nothing else: what is in its rule's ``params``.

An edit of the study makes those jobs run again whose slice it changes. The versions of
``ptft.versions`` are part of the slices.
"""

from __future__ import annotations

from dataclasses import asdict

from ptft.errors import locate, present
from ptft.evaluation.cells import KINDS
from ptft.models.derive import DERIVATIONS
from ptft.study.arms import value_of
from ptft.study.families import Family
from ptft.study.grid import Arm, Grid
from ptft.study.load import dump
from ptft.training.methods import METHODS
from ptft.versions import DATA_VERSION, SCORING_VERSION, TRAINING_VERSION

OPTIONAL = ("swept", "setting", "derived", "strength")
"""of an arm; they are in a slice only where there are some"""


def split_slice(grid: Grid, dataset: str, split: str) -> dict:
    """What decides the rows of a prepared split."""
    spec, family = grid.dataset(dataset), grid.families[grid.family(dataset)]
    content = dump(spec)
    # They do not decide what a row holds.
    unread = ("splits", "formats", "metric", "max_new_tokens", "stop", "window", "stride")
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


def finetune_slice(grid: Grid, arm: str) -> dict:
    """What decides the weights of an arm, apart from its checkpoint and its training split."""
    method, task = grid.arms[arm].tuning
    settings = grid.settings(arm)
    replay = settings.replay
    return {
        "training_version": TRAINING_VERSION,
        "method": method,
        "seed": grid.arms[arm].seed,
        "template": grid.training_template(grid.task_dataset(task)),
        **({"replay_template": grid.training_template(replay.dataset)} if replay else {}),
        "settings": asdict(settings),
    }


def evaluation_slice(grid: Grid, arm: str | None = None) -> dict:
    """What decides the scores of one checkpoint and arm, apart from the model and the data.

    It differs between arms by what is derived from them alone; None for any without such.
    """
    backend = grid.generation_backend
    derived = {
        child.name: {
            "derivation": child.derived,
            "version": DERIVATIONS[present(child.derived, "derivation")].version,
            "strength": child.strength,
            "seed": child.draw,
        }
        for child in (grid.parents[arm] if arm else ())
    }
    return {
        "scoring_version": SCORING_VERSION,
        "shots_seed": grid.study.evaluate.shots_seed,
        "datasets": {dataset: _scoring(grid, dataset) for dataset in grid.datasets},
        **({"generation_backend": backend} if backend else {}),
        **({"derived": derived} if derived else {}),
    }


def audit_slice(grid: Grid) -> dict:
    """What decides the audit, apart from the prepared splits and the tokenizer."""
    names = list(dict.fromkeys(dataset for dataset, _ in grid.splits()))
    format_name = grid.study.train_format
    templates = {name: grid.templates(name) for name in names}
    return {
        **({"same_weights": same} if (same := grid.study.same_weights) else {}),
        "splits": [list(pair) for pair in grid.splits()],
        "sources": {name: grid.dataset(name).source for name in names},
        "templates": {
            name: found.get(format_name, next(iter(found.values()), None))
            for name, found in templates.items()
        },
        "shots_seed": grid.study.evaluate.shots_seed,
        "scores": {dataset: _scoring(grid, dataset) for dataset in grid.datasets},
        **({"windows": places} if (places := _window_places(grid)) else {}),
        "tuning": _tuning(grid),
        "train_rows": {
            name: limit
            for name, split in grid.splits()
            if split == "train" and (limit := grid.limit(name, split)) is not None
        },
    }


def collection_slice(grid: Grid) -> dict:
    """What turns per-example files into the cells table."""
    return {
        "study": grid.name,
        "model": grid.study.model,
        "checkpoints": {name: info.model_dump() for name, info in grid.checkpoints.items()},
        "arms": {arm.name: _about(grid, arm) for arm in grid.arms.values()},
        "datasets": {
            dataset: {
                "family": grid.family(dataset),
                "kind": grid.families[grid.family(dataset)].kind,
                "metric": grid.families[grid.family(dataset)].metric(dataset),
            }
            for dataset in grid.datasets
        },
        "in_domain": {
            task: grid.families[grid.task_family[task]].tasks[task].in_domain for task in grid.tasks
        },
        "task_family": {task: grid.task_family[task] for task in grid.tasks},
        "scores": [list(score) for score in grid.scores()],
        "bootstrap": grid.study.bootstrap.model_dump(),
    }


def arms_slice(grid: Grid) -> dict:
    """What is known of the fine-tuned models without them."""
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
                "changes": list(arm.changes),
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
    """What the tables say of an arm, and the checkpoints that it is at, if not all of them."""
    at = grid.checkpoints_of(arm.name)
    return {
        "method": arm.method,
        "train_task": arm.task,
        "seed": arm.seed,
        **{key: value for key in OPTIONAL if (value := getattr(arm, key)) is not None},
        **({} if at == list(grid.checkpoints) else {"checkpoints": at}),
    }


def _tuning(grid: Grid) -> dict[str, dict]:
    """What decides whether an arm can be trained on its rows, by method, task and setting."""
    keys = ("batch_size", "max_length", "validation_examples")
    found = {}
    for arm in grid.arms.values():
        if not arm.trained:
            continue
        (method, task), settings = arm.tuning, grid.settings(arm.name)
        # A sweep of other settings than these has nothing more to be audited.
        setting = [arm.setting] if arm.setting and arm.changes.keys() & set(keys) else []
        found[".".join([method, task, *setting])] = {
            "method": method,
            "task": task,
            "dataset": grid.task_dataset(task),
            "template": grid.training_template(grid.task_dataset(task)),
            "settings": {key: getattr(settings, key) for key in keys},
            **({"replay": _replay(grid, settings.replay.dataset)} if settings.replay else {}),
        }
    return found


def _replay(grid: Grid, dataset: str) -> dict:
    return {"dataset": dataset, "template": grid.training_template(dataset)}


def _window_places(grid: Grid) -> dict[str, str]:
    """Where the window of each dataset of text is written down, for messages."""
    places = {}
    for dataset in filter(grid.is_text, grid.datasets):
        family = grid.family(dataset)
        own = grid.dataset(dataset).window is not None
        loc = ("datasets", dataset, "window") if own else ("window",)
        places[dataset] = f"{locate(loc, grid.family_files[family])}: {'.'.join(loc)}"
    return places


def _scoring(grid: Grid, dataset: str) -> dict:
    spec, family = grid.dataset(dataset), grid.families[grid.family(dataset)]
    if family.kind == "text":
        window, stride = family.windows(dataset)
        return {
            "kind": family.kind,
            "formats": grid.templates(dataset),
            "shots": grid.shots(dataset),
            "metric": family.metric(dataset),
            "window": window,
            "stride": stride,
        }
    also = [way for way in grid.study.evaluate.also if way in KINDS[family.kind]]
    return {
        **({"also": also} if also else {}),
        "kind": family.kind,
        "labels": spec.labels or family.labels,
        "formats": {
            format_name: grid.templates(dataset)[format_name]
            for format_name in grid.formats(dataset)
        },
        "shots": grid.shots(dataset),
        "metric": family.metric(dataset),
        "max_new_tokens": grid.max_new_tokens(dataset),
        "stop": family.stops(dataset),
    }
