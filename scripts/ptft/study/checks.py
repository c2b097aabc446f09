"""All that a study names must exist and fit together; else it is refused, by the study's key."""

from importlib.util import find_spec

from ptft.data.rows import may_overlap
from ptft.errors import refusal, require_known, suggest
from ptft.evaluation.cells import CHAT_FORMAT, OWN_WEIGHTS
from ptft.models.derive import Snapshot
from ptft.models.snapshots import updates_of
from ptft.study.arms import BASE, check_derived, check_sweep, swept
from ptft.study.grid import Arm, Grid
from ptft.study.models import HubSource
from ptft.training.methods import METHODS
from ptft.training.settings import replayed_count

SEEDS_OF_A_CLAIM = 3
"""from so many trainings alike a sentence may be about the method"""


def check(grid: Grid) -> None:
    """Everything that a study names is there, fits together, and can be trained and scored.

    Raises:
        StudyError: the first that is not, by file, line and key, with the way out.
    """
    check_names(grid)
    check_derived(grid.study, grid.files)
    if grid.generation_backend in OWN_WEIGHTS and any(arm.derived for arm in grid.arms.values()):
        message = (
            f"{grid.generation_backend} has weights of its own, which can't be derived; leave out "
            "derive and snapshots, or generate with transformers"
        )
        raise refusal(grid.files, ("evaluate", "generation_backend"), message)
    for method, group in grid.study.groups.items():
        check_sweep(method, group, grid.files)
    check_chains(grid)
    for arm in grid.arms.values():
        if arm.trained:
            grid.settings(arm.name)
    check_snapshots(grid)
    check_adopted(grid)
    check_tasks(grid)
    check_scores(grid)
    check_analysis(grid)


def check_names(grid: Grid) -> None:
    """Every name that the study uses is known.

    Raises:
        StudyError: the first that is not, with the one that it may have been meant for.
    """
    study = grid.study
    scored = [name for name, f in grid.family_of.items() if grid.families[f].kind != "chat"]
    require_known(grid.files, ("evaluate", "datasets"), study.evaluate.datasets, scored)
    if not grid.prompted:
        message = "all are of kind text; add one with prompts, which most analyses are about"
        raise refusal(grid.files, ("evaluate", "datasets"), message)
    formats = {format_name for dataset in grid.prompted for format_name in grid.templates(dataset)}
    formats.add(CHAT_FORMAT)
    require_known(grid.files, ("evaluate", "formats"), study.evaluate.formats, sorted(formats))
    require_known(
        grid.files, ("evaluate", "family_shots"), study.evaluate.family_shots, grid.families
    )
    require_known(grid.files, ("data", "train_of"), study.data.train_of, grid.family_of)
    _check_checkpoints(grid)
    require_known(grid.files, ("same_weights",), study.same_weights, study.checkpoints)
    for method, group in study.groups.items():
        require_known(grid.files, ("finetune", method, "tasks"), group.tasks, grid.task_family)
        only = group.checkpoints or ()
        require_known(grid.files, ("finetune", method, "checkpoints"), only, study.checkpoints)


def _check_checkpoints(grid: Grid) -> None:
    """Each checkpoint can be looked up, and none is of a stage after the next one has begun."""
    source, places = grid.model.source, {}
    for position, name in enumerate(grid.study.checkpoints):
        at = ("checkpoints", position)
        try:
            known = source.info(name) is not None
            place = source.place(name) if isinstance(source, HubSource) else None
        except ValueError as error:
            raise refusal(grid.files, at, str(error)) from None
        if not known:
            patterns = source.patterns() if isinstance(source, HubSource) else []
            others = f"; others are named {' or '.join(patterns)}" if patterns else ""
            message = f"unknown {name!r}; {suggest(name, list(source.checkpoints()))}{others}"
            raise refusal(grid.files, at, message)
        if place is not None:
            places[at] = place
    used = [place.stage for place in places.values()]
    for at, place in places.items():
        if isinstance(source, HubSource) and (overlap := source.overlap(place, used)):
            raise refusal(grid.files, at, overlap)


def check_chains(grid: Grid) -> None:
    """Each link goes on from a model of the study, with whole weights, and not from itself.

    Raises:
        StudyError: the first that does not.
    """
    for method, group in grid.study.groups.items():
        for name, link in group.then.items():
            at = ("finetune", method, "then", name)
            require_known(grid.files, (*at, "task"), [link.task], group.tasks)
            if name in {setting for setting, _ in swept(group.sweep)}:
                raise refusal(grid.files, at, f"{name!r} is a setting of the sweep; rename it")
            for arm in (f"{method}.{link.task}.{name}.s{seed}" for seed in group.seeds):
                _check_link(grid, arm, at)


def _check_link(grid: Grid, arm: str, at: tuple) -> None:
    """The arm that a link goes on from is there, at its checkpoints, and no later one."""
    after = grid.arms[arm].after or ""
    trained = [name for name, other in grid.arms.items() if other.trained and name != arm]
    if after not in trained:
        message = f"no arm {after!r} is trained in this study; {suggest(after, trained)}"
        raise refusal(grid.files, (*at, "after"), message)
    for name in (arm, after):
        if METHODS[grid.arms[name].tuning[0]].adapter:
            message = f"{name} trains an adapter; a chain needs methods that save whole weights"
            raise refusal(grid.files, (*at, "after"), message)
    if missing := set(grid.checkpoints_of(arm)) - set(grid.checkpoints_of(after)):
        message = f"{after} is not trained at {', '.join(sorted(missing))}; add it there"
        raise refusal(grid.files, (*at, "after"), message)
    seen = [arm]
    while (before := grid.arms[seen[-1]].after) in grid.arms:
        if before in seen:
            message = f"a circle: {' after '.join([*seen, before])}"
            raise refusal(grid.files, (*at, "after"), message)
        seen.append(before)


def check_snapshots(grid: Grid) -> None:
    """Points are those of a training whose length is known, as far as it is known here.

    Raises:
        StudyError: one is no point of a training, or beyond it.
    """
    for method, group in grid.study.groups.items():
        for position, point in enumerate(group.snapshots):
            if not Snapshot().takes(point):
                message = f"found {point:g}, expected {Snapshot.strengths}"
                at = ("finetune", method, "snapshots", position)
                raise refusal(grid.files, at, message)
    for arm in grid.arms.values():
        if arm.snapshot is None:
            continue
        method, task = arm.tuning
        settings, loc = grid.settings(arm.name), ("finetune", method, "snapshots")
        if settings.early_stopping:
            message = f"early_stopping is set for {task}, which decides the training by itself"
            raise refusal(grid.files, loc, f"{message}; leave it out")
        rows = grid.limit(grid.task_dataset(task), "train")
        try:
            if rows is not None:
                learned = rows - settings.validation_examples
                updates_of([arm.snapshot], settings.count_updates(learned))
        except ValueError as error:
            position = grid.study.groups[method].snapshots.index(arm.snapshot)
            raise refusal(grid.files, (*loc, position), f"of {task}: {error}") from None


def check_adopted(grid: Grid) -> None:
    """Tuned models of others have a name of their own, a checkpoint and a task of the study.

    Raises:
        StudyError: one has not.
    """
    for name, spec in grid.study.adopt.items():
        loc = ("adopt", name)
        if name in (BASE, *METHODS):
            raise refusal(grid.files, loc, f"{name!r} names arms of this workflow; rename it")
        require_known(grid.files, (*loc, "base"), [spec.base], grid.study.checkpoints)
        require_known(grid.files, (*loc, "task"), [spec.task], grid.task_family)


def check_tasks(grid: Grid) -> None:
    """Every split is there, and every task can be fine-tuned by its method and in its format.

    Numbers of training rows are for datasets that something is trained on.

    Raises:
        StudyError: one is not.
    """
    for arm in grid.arms.values():
        _check_remedies(grid, arm)
    for dataset, split in grid.splits():
        grid.split_expression(dataset, split)
    trained = grid.learned_datasets
    for name in grid.study.data.train_of:
        if name not in trained:
            expected = f"one of {', '.join(trained)}" if trained else "none"
            message = (
                f"no arm is fine-tuned on this dataset, expected {expected}; remove it, or add its "
                "task under finetune"
            )
            raise refusal(grid.files, ("data", "train_of", name), message)
    format_name = grid.study.train_format
    for arm in grid.arms.values():
        if arm.task is None or arm.adopted:
            continue
        known = list(grid.templates(grid.task_dataset(arm.task)))
        if (not known) != (arm.method == "instruct"):
            raise refusal(
                grid.files,
                ("finetune", arm.method, "tasks", arm.task),
                "conversations (kind chat) are for the method instruct, and only for it",
            )
        if known and format_name not in known:
            near = suggest(format_name, known)
            message = f"{format_name!r} is not a format of task {arm.task!r}; {near}"
            raise refusal(grid.files, ("train_format",), message)


def _check_remedies(grid: Grid, arm: Arm) -> None:
    """Replayed rows are there and no part of those scored; not all blocks are frozen."""
    if not arm.trained:
        return
    _, task = arm.tuning
    settings = grid.settings(arm.name)
    if getattr(settings, "quantize", False) and find_spec("bitsandbytes") is None:
        message = "bitsandbytes is not installed here; install it, or leave the key out"
        raise refusal(grid.files, _place(grid, arm, "quantize"), message)
    shape, place = grid.model.shape, _place(grid, arm, "freeze")
    if shape and settings.freeze >= shape.num_hidden_layers:
        message = f"{settings.freeze} is not below the model's {shape.num_hidden_layers} blocks"
        raise refusal(grid.files, place, message)
    if settings.replay is None:
        return
    replay, place = settings.replay, _place(grid, arm, "replay")
    rows = grid.limit(grid.task_dataset(task), "train")
    if rows is not None and not replayed_count(settings.epochs * rows, replay.share):
        message = f"{replay.share:g} of {settings.epochs} x {rows} examples leaves none; raise it"
        raise refusal(grid.files, (*place, "share"), message)
    key = "prompts" if replay.own else "dataset"
    dataset, place = getattr(replay, key), (*place, key)
    if dataset is None:
        return
    require_known(grid.files, place, [dataset], grid.family_of)
    if dataset == grid.task_dataset(task):
        message = f"{dataset!r} is what {task!r} is trained on; name another dataset"
        raise refusal(grid.files, place, message)
    if replay.own and not grid.is_text(dataset):
        message = f"{dataset!r} is no dataset of texts (kind text), with which others could begin"
        raise refusal(grid.files, place, message)
    known, wanted = grid.templates(dataset), grid.study.train_format
    if known and wanted not in known and not grid.is_text(dataset):
        message = f"{dataset!r} has no format {wanted!r} (train_format); {suggest(wanted, known)}"
        raise refusal(grid.files, place, message)
    _refuse_scored(grid, place, dataset)


def _refuse_scored(grid: Grid, place: tuple, dataset: str) -> None:
    """Refuse to replay rows that are scored, or that shots are drawn from."""
    train = grid.split_expression(dataset, "train")
    uses = ["test", "shots"] if max(grid.shots(dataset)) else ["test"]
    for use in uses if dataset in grid.datasets else ():
        if may_overlap(train, other := grid.split_expression(dataset, use)):
            message = (
                f"rows of {dataset!r} would be replayed ({train}) that are its {use} rows "
                f"({other}); give it other splits, or take it out of evaluate.datasets"
            )
            raise refusal(grid.files, place, message)


def _place(grid: Grid, arm: Arm, key: str) -> tuple[str, ...]:
    """Keys that lead to a setting of an arm: that of its task, or of its method."""
    method, task = arm.tuning
    own = key in grid.study.groups[method].tasks[task]
    return ("finetune", method, *(("tasks", task) if own else ("settings",)), key)


def check_scores(grid: Grid) -> None:
    """Every dataset is scored in the formats asked for, and its pool holds the shots.

    What has one format (multiple choice, as a rule) may be scored in that one alone.

    Raises:
        StudyError: a format is missing, or examples for shots are.
    """
    evaluate, pool = grid.study.evaluate, grid.study.data.shots
    for family in evaluate.family_shots:
        if grid.families[family].kind == "text":
            message = f"family {family!r} is of kind text, which has no prompts; remove the key"
            raise refusal(grid.files, ("evaluate", "family_shots", family), message)
    for dataset in grid.prompted:
        family, known = grid.family(dataset), list(grid.templates(dataset))
        asked = [format_name for format_name in evaluate.formats if format_name != CHAT_FORMAT]
        missing = [format_name for format_name in asked if format_name not in known]
        if missing and (len(known) > 1 or missing == asked):
            raise refusal(
                grid.files,
                ("evaluate", "formats", evaluate.formats.index(missing[0])),
                f"{missing[0]!r} is not a format of dataset {dataset!r} (family {family!r}), which "
                f"has {', '.join(known)}; add it there, or leave one of the two out",
            )
        if (most := max(grid.shots(dataset))) > pool:
            own = family in evaluate.family_shots
            loc = ("family_shots", family) if own else ("shots",)
            message = f"{most} shots can't be drawn from {pool} examples; raise data.shots"
            raise refusal(grid.files, ("evaluate", *loc), message)


def check_analysis(grid: Grid) -> None:
    """The analyses look at scores that there are.

    Raises:
        StudyError: at a format, shots or a dataset that nothing is scored in.
    """
    settings, evaluate = grid.study.analysis, grid.study.evaluate
    if settings.format not in evaluate.formats:
        message = f"{settings.format!r} is none of {evaluate.formats}, which are scored"
        raise refusal(grid.files, ("analysis", "format"), message)
    shots = sorted({count for dataset in grid.prompted for count in grid.shots(dataset)})
    if settings.shots is not None and settings.shots not in shots:
        message = f"{settings.shots} is none of {shots}, which are scored"
        raise refusal(grid.files, ("analysis", "shots"), message)
    loc = ("analysis", "transfer_datasets")
    require_known(grid.files, loc, settings.transfer_datasets, grid.prompted)


def notes(grid: Grid) -> list[str]:
    """Notes on the study that a user may not expect, for the beginning of a run."""
    return [*_single_formats(grid), *_few_seeds(grid)]


def _few_seeds(grid: Grid) -> list[str]:
    """Methods with too few seeds to say something about the method, not these models alone."""
    seeds = {method: group.seeds for method, group in grid.study.groups.items()}
    few = {method: own for method, own in seeds.items() if len(own) < SEEDS_OF_A_CLAIM}
    if not few:
        return []
    keys = ", ".join(f"finetune.{method}.seeds" for method in few)
    most = max(map(len, few.values()))
    return [
        f"{keys}: {most} seed{'s' if most > 1 else ''}: findings will be about these models; "
        f"claims about a method need {SEEDS_OF_A_CLAIM} seeds"
    ]


def _single_formats(grid: Grid) -> list[str]:
    """Datasets that are scored in one format alone, whatever was asked for."""
    asked = [name for name in grid.study.evaluate.formats if name != CHAT_FORMAT]
    single: dict[str, list[str]] = {}
    for dataset in grid.prompted:
        known = list(grid.templates(dataset))
        if len(known) == 1 and len(asked) > 1:
            single.setdefault(known[0], []).append(dataset)
    return [
        f"evaluate.formats: {', '.join(names)} in {format_name!r} alone, the only format there"
        for format_name, names in single.items()
    ]
