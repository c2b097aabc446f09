"""The grid of a study: checkpoints x arms x datasets x formats x shots."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from ptft import paths
from ptft.data.rows import split_files, split_name
from ptft.errors import present, refusal
from ptft.evaluation.cells import CHAT_FORMAT, OWN_WEIGHTS, TEXT_FORMAT, generates
from ptft.models.merging import AVERAGE, averaged
from ptft.study.arms import (
    BASE,
    Arm,
    adopted_arms,
    changed,
    checked_settings,
    derived_arms,
    merged_arms,
    snapshot_arms,
    swept,
    swept_values,
)
from ptft.study.families import Dataset
from ptft.study.harness import FAMILY, HarnessDataset, HarnessFamily
from ptft.study.load import Loaded, titles
from ptft.study.models import CheckpointInfo
from ptft.training.settings import Replay, TrainingSettings


@dataclass(frozen=True)
class Cell:
    """One score."""

    checkpoint: str
    arm: str
    dataset: str
    format: str
    shots: int


class Grid:
    """A study, expanded; :func:`ptft.study.checks.check` says whether what it names is there."""

    finished = False

    def __init__(self, loaded: Loaded):
        self.study, self.model, self.families = loaded.study, loaded.model, loaded.families
        self.name, self.files = self.study.study, loaded.files
        self.results = paths.Results(self.name)
        self.model_file, self.family_files = loaded.model_file, loaded.family_files
        self.family_of = {d: f for f, spec in self.families.items() for d in spec.datasets}
        self.task_family = {t: f for f, spec in self.families.items() for t in spec.tasks}
        self._read_settings: dict[tuple, TrainingSettings] = {}

    @property
    def titles(self) -> dict[str, dict[str, str]]:
        """Names as people write them (:func:`ptft.study.load.titles`)."""
        return titles(self.families)

    @property
    def contents(self) -> set[str]:
        """Those of `formats`, `methods`, `snapshots` and `texts` that the study has.

        Figures are planned by it. `methods`: full fine-tuning on a task, and another method on it
        to compare, which another learning rate is not (``ptft.analysis.tables.remedies``).
        """
        full, methods = ("full", None, None), defaultdict(set)
        for arm in self.arms.values():
            if arm.method is not None:
                swept = None if arm.swept == "lr" else arm.swept
                methods[arm.task].add((arm.method, swept, arm.derived))
        found = {
            "formats": any(len(self.formats(dataset)) > 1 for dataset in self.prompted),
            "methods": any(full in known and len(known) > 1 for known in methods.values()),
            "snapshots": any(arm.snapshot is not None for arm in self.arms.values()),
            "texts": any(map(self.is_text, self.datasets)),
        }
        return {name for name, there in found.items() if there}

    # Names ------------------------------------------------------------------------------------

    @cached_property
    def checkpoints(self) -> dict[str, CheckpointInfo]:
        """The study's checkpoints in its order."""
        info = self.model.source.info
        return {name: present(info(name), f"checkpoint {name}") for name in self.study.checkpoints}

    @cached_property
    def arms(self) -> dict[str, Arm]:
        """Every arm by its name: the base model, those that are trained, then derived ones."""
        found = {arm.name: arm for arm in [*self._expand_arms(), *adopted_arms(self.study)]}
        made = list(found.values())
        derived = [
            *derived_arms(self.study, made),
            *snapshot_arms(self.study, made),
            *merged_arms(self.study, made),
        ]
        return found | {arm.name: arm for arm in derived}

    @cached_property
    def made(self) -> list[str]:
        """Arms whose model a job makes: those that are trained, and their snapshots."""
        return [name for name, arm in self.arms.items() if arm.made]

    @property
    def snapshots(self) -> dict[str, list[float]]:
        """Method -> points at which its trainings leave a model."""
        return {method: group.snapshots for method, group in self.study.groups.items()}

    @property
    def datasets(self) -> list[str]:
        """Datasets that are evaluated."""
        return [*self.study.evaluate.datasets, *self.harness]

    @property
    def harness(self) -> dict[str, HarnessDataset]:
        """Those of them that are tasks of lm-evaluation-harness."""
        family = self.families.get(FAMILY)
        return dict(family.datasets) if isinstance(family, HarnessFamily) else {}

    @property
    def prompted(self) -> list[str]:
        """Those of them that are scored by prompts: all but text."""
        return [dataset for dataset in self.datasets if not self.is_text(dataset)]

    @property
    def tasks(self) -> list[str]:
        """Tasks that some arm is fine-tuned on."""
        return list(dict.fromkeys(arm.task for arm in self.arms.values() if arm.task))

    @cached_property
    def generation_backend(self) -> str | None:
        """Backend that generates in place of the engine's usual way; None if none does."""
        evaluate = self.study.evaluate
        if evaluate.generation_backend == "transformers":
            return None
        kinds = {self.families[self.family(dataset)].kind for dataset in self.datasets}
        tasks = [dataset.task for dataset in self.harness.values()]
        needed = any(generates(kind, evaluate.also) for kind in kinds)
        needed |= any(generates("harness", (), task) for task in tasks)
        return evaluate.generation_backend if needed else None

    @property
    def model_copies(self) -> int:
        """How often an evaluation holds the weights that it scores."""
        return 1 + (self.generation_backend in OWN_WEIGHTS)

    def family(self, dataset: str) -> str:
        """Name of a dataset's family."""
        return self.family_of[dataset]

    def is_text(self, dataset: str) -> bool:
        """Whether a dataset is scored by its loss: one cell, whatever the formats and shots."""
        return self.families[self.family(dataset)].kind_of(dataset) == "text"

    def dataset(self, name: str) -> Dataset:
        """A dataset's description."""
        return self.families[self.family_of[name]].datasets[name]

    def task_dataset(self, task: str) -> str:
        """The dataset whose train split a task uses."""
        return self.families[self.task_family[task]].tasks[task].dataset

    def checkpoints_of(self, arm: str) -> list[str]:
        """Checkpoints at which there is an arm, in the study's order."""
        spec, known = self.arms[arm], list(self.checkpoints)
        if spec.adopted:
            return [self.study.adopt[present(spec.method, "name")].base]
        own = self.study.groups[spec.method].checkpoints if spec.method else None
        if spec.derived == AVERAGE:
            own = [name for name in known if averaged(known, name, int(spec.strength or 0))]
        return [name for name in known if own is None or name in own]

    def sweep(self, method: str) -> dict[str, list]:
        """Settings that a method's group sweeps, and their values."""
        group = self.study.groups.get(method)
        return swept_values(group.sweep if group else None)

    def models(self) -> Iterator[tuple[str, Arm]]:
        """Every checkpoint with each of its arms."""
        at = {arm: self.checkpoints_of(arm) for arm in self.arms}
        for checkpoint in self.checkpoints:
            for name, arm in self.arms.items():
                if checkpoint in at[name]:
                    yield checkpoint, arm

    def learned(self, arm: str) -> list[str]:
        """Datasets whose train splits an arm learns: its task's, and one that is replayed."""
        _, task = self.arms[arm].tuning
        replay = self.settings(arm).replay
        return [self.task_dataset(task), *([replay.dataset] if replay and not replay.own else [])]

    @property
    def learned_datasets(self) -> list[str]:
        """Those of all arms: first of tasks, then what is replayed, or begins what is."""
        pairs = [self.learned(arm.name) for arm in self.arms.values() if arm.trained]
        begin = [replay.prompts for replay in self.self_texts.values() if replay.prompts]
        return list(
            dict.fromkeys([pair[0] for pair in pairs] + [pair[-1] for pair in pairs] + begin)
        )

    @cached_property
    def self_texts(self) -> dict[str, Replay]:
        """Name of a text that checkpoints write for their replay -> how they do."""
        replays = [self.settings(arm.name).replay for arm in self.arms.values() if arm.trained]
        return {replay.text: replay for replay in replays if replay and replay.own}

    def self_text_of(self, arm: str) -> str | None:
        """Name of the text that an arm replays of its checkpoint; None if it replays none."""
        replay = self.settings(arm).replay
        return replay.text if replay and replay.own else None

    @cached_property
    def parents(self) -> dict[str, list[Arm]]:
        """Arm that a job scores -> those derived from it, which the job scores as well."""
        found: dict[str, list[Arm]] = {arm.name: [] for arm in self.arms.values() if not arm.parent}
        for arm in self.arms.values():
            if arm.parent:
                found[arm.parent].append(arm)
        return found

    def derived_at(self, checkpoint: str, arm: str) -> list[Arm]:
        """Arms that the job of a checkpoint and arm scores beside it."""
        return [
            child for child in self.parents[arm] if checkpoint in self.checkpoints_of(child.name)
        ]

    def merged_with(self, checkpoint: str, arm: str) -> list[str]:
        """Folders of the models that arms of a job are merged from, beside its own."""
        found = []
        for child in self.derived_at(checkpoint, arm):
            members = child.merge.get("members", [])
            if child.derived == AVERAGE:
                last = averaged(members, checkpoint, int(child.strength or 0))
                found += [self.checkpoint_folder(name) for name in last[:-1]]
            else:
                found += [self.results.tuned(checkpoint, name) for name in members]
        return list(dict.fromkeys(found))

    def cells(self) -> Iterator[Cell]:
        """Every cell of the study."""
        for checkpoint, arm in self.models():
            for dataset, format_name, shots in self.scores():
                yield Cell(checkpoint, arm.name, dataset, format_name, shots)

    def scores(self) -> Iterator[tuple[str, str, int]]:
        """(dataset, format, shots) of every cell of one checkpoint and arm."""
        for dataset in self.datasets:
            for format_name in self.formats(dataset):
                for shots in self.shots(dataset):
                    yield dataset, format_name, shots

    def splits(self) -> list[tuple[str, str]]:
        """(dataset, split) of every prepared file: train for tasks, test and shots for scores."""
        train = [(dataset, "train") for dataset in self.learned_datasets]
        test = [(dataset, "test") for dataset in self.datasets]
        shots = [(dataset, "shots") for dataset in self.datasets if self.draws_shots(dataset)]
        return list(dict.fromkeys([*train, *test, *shots]))

    def draws_shots(self, dataset: str) -> bool:
        """Whether examples for prompts are drawn from a split; the harness draws its own."""
        return max(self.shots(dataset)) > 0 and dataset not in self.harness

    def shots(self, dataset: str) -> list[int]:
        """Numbers of shots that a dataset is scored with."""
        if self.is_text(dataset):
            return [0]
        if dataset in self.harness:
            return [self.harness[dataset].task["shots"] or 0]
        evaluate = self.study.evaluate
        return list(evaluate.family_shots.get(self.family(dataset), evaluate.shots))

    # Data --------------------------------------------------------------------------------------

    def split_expression(self, dataset: str, split: str) -> str:
        """The part of a dataset's rows that is used as a split, in the notation of `datasets`.

        Raises:
            StudyError: the dataset names none.
        """
        splits = self.dataset(dataset).splits
        found = getattr(splits, split) or (splits.train if split == "shots" else None)
        if found is None:
            loc = ("datasets", dataset, "splits")
            files = self.family_files[self.family(dataset)]
            raise refusal(files, loc, f"`{split}` is missing, which the study needs")
        return found

    def split_on_hub(self, dataset: str, split: str) -> dict | None:
        """The reference of a split that is looked up on the Hub; None where it is on disk."""
        spec = self.dataset(dataset)
        if self.study.root is not None or spec.repository is None:
            return None
        return {
            "repository": spec.repository,
            "config": spec.config,
            "split": split_name(self.split_expression(dataset, split)),
            "revision": spec.revision,
        }

    def split_files(self, dataset: str, split: str) -> list[str]:
        """Files of a split of a dataset that is given by files."""
        found = split_files(Path(), self.dataset(dataset).model_dump())
        return found[split_name(self.split_expression(dataset, split))]

    def source_files(self, dataset: str, split: str) -> list[Path]:
        """Files that hold the rows of a split; none where they are not there yet."""
        root = Path(self.study.root or paths.HUB)
        found = split_files(root, self.dataset(dataset).model_dump(exclude_none=True))
        files = [
            Path(file) for file in found.get(split_name(self.split_expression(dataset, split)), [])
        ]
        return files if all(file.exists() for file in files) else []

    # Where it is -------------------------------------------------------------------------------

    def checkpoint_folder(self, checkpoint: str) -> str:
        """Model folder of a checkpoint."""
        source = self.model.source
        if source.kind == "folder":
            return str(Path(source.path) / checkpoint)
        return paths.pretrained(self.study.model, checkpoint)

    def model_folder(self, checkpoint: str, arm: str) -> str:
        """Model folder of an arm: the checkpoint itself, or what a training made of it."""
        tuned = self.arms[arm].method is not None
        return self.results.tuned(checkpoint, arm) if tuned else self.checkpoint_folder(checkpoint)

    def trained_from(self, checkpoint: str, arm: str) -> str:
        """Model folder that a training begins from: the checkpoint, or the link before it."""
        return self.model_folder(checkpoint, self.arms[arm].after or BASE)

    def fetched_splits(self) -> dict[str, dict]:
        """Folder -> what is looked up on the Hub for it (:meth:`split_on_hub`)."""
        found = [self.split_on_hub(dataset, split) for dataset, split in self.splits()]
        for dataset in self.harness.values() if self.study.root is None else ():
            for split in dataset.wanted:
                where = {key: dataset.task[key] for key in ("repository", "config")}
                found.append({**where, "split": split, "revision": None})
        return {
            paths.hub_split(split["repository"], split["config"], split["split"]): split
            for split in found
            if split
        }

    def fetched_adopted(self) -> dict[str, dict]:
        """Folder -> what is looked up for it, of tuned models of others."""
        return {
            paths.adopted(spec.repository, spec.revision): {
                "repository": spec.repository,
                "branch": spec.revision,
                "adapter": True,
            }
            for spec in self.study.adopt.values()
            if spec.repository
        }

    def fetched_checkpoints(self) -> dict[str, dict]:
        """Folder -> what is looked up for it; nothing where checkpoints are made or given."""
        source = self.model.source
        if source.kind != "hub":
            return {}
        return {self.checkpoint_folder(name): source.reference(name) for name in self.checkpoints}

    def fetched_metrics(self) -> dict[str, dict]:
        """Folder -> what is looked up for it, of the metrics that are named without a path."""
        found = {}
        for dataset in self.datasets:
            for metric in self.families[self.family(dataset)].named_metrics(dataset):
                if metric.path is None:
                    where = {"repository": metric.space, "revision": metric.revision}
                    found[paths.metric(metric.name)] = {"name": metric.name, **where}
        return found

    def fetched(self) -> dict[str, dict]:
        """Folder -> what is looked up on the Hub for it (``ptft.hub.resolve.Reference``)."""
        kinds = {
            "checkpoint": self.fetched_checkpoints() | self.fetched_adopted(),
            "split": self.fetched_splits(),
            "metric": self.fetched_metrics(),
        }
        return {
            folder: {kind: found}
            for kind, folders in kinds.items()
            for folder, found in folders.items()
        }

    # Expansion ------------------------------------------------------------------------------------

    def _expand_arms(self) -> Iterator[Arm]:
        yield Arm(BASE)
        for method, group in self.study.groups.items():
            for task, (setting, changes), seed in product(
                group.tasks, swept(group.sweep), group.seeds
            ):
                name = ".".join([method, task, *([setting] if setting else []), f"s{seed}"])
                yield Arm(name, method, task, seed, setting, changes)
            for (name, link), seed in product(group.then.items(), group.seeds):
                own = f"{method}.{link.task}.{name}.s{seed}"
                after = f"{link.after}.s{seed}"
                yield Arm(own, method, link.task, seed, name, link.settings, after)

    def limit(self, dataset: str, split: str) -> int | None:
        """Examples that are drawn of a split; None for all."""
        data = self.study.data
        if dataset in self.harness:
            return self.harness[dataset].task.get("limit")
        return getattr(data, split) if split != "train" else data.train_of.get(dataset, data.train)

    def formats(self, dataset: str) -> list[str]:
        """Prompt formats that a dataset is scored in."""
        if self.is_text(dataset):
            return [TEXT_FORMAT]
        known = {*self.templates(dataset), CHAT_FORMAT}
        return [format_name for format_name in self.study.evaluate.formats if format_name in known]

    def template(self, dataset: str, format_name: str) -> str:
        """The template of a format; `chat`, where it is not given, asks as `instruct` does."""
        known = self.templates(dataset)
        first = next(iter(known.values()))
        fallback = known.get("instruct", known.get("default", first))
        return known.get(format_name, fallback if format_name == CHAT_FORMAT else first)

    def templates(self, dataset: str) -> dict[str, str]:
        """The prompt formats of a dataset."""
        return self.families[self.family(dataset)].templates(dataset)

    def training_template(self, dataset: str) -> str | None:
        """The prompt format that a dataset is trained in; None where it has no prompts."""
        known = {} if self.is_text(dataset) else self.templates(dataset)
        return known.get(self.study.train_format)

    def max_new_tokens(self, dataset: str) -> int:
        """Longest answer that is generated."""
        family = self.families[self.family(dataset)]
        if dataset in self.harness:
            return self.harness[dataset].task.get("max_new_tokens", 0)
        return self.dataset(dataset).max_new_tokens or family.max_new_tokens

    def settings(self, arm: str) -> TrainingSettings:
        """Settings that an arm is trained with, or its parent; read once, every job asks for them.

        Raises:
            LookupError: it is the base model, or derived from it.
        """
        spec = self.arms[arm]
        key = (*spec.tuning, spec.setting)
        if key not in self._read_settings:
            self._read_settings[key] = self._merged_settings(spec)
        return self._read_settings[key]

    def _merged_settings(self, arm: Arm) -> TrainingSettings:
        """The method's settings in this study, with what the task and the sweep change."""
        method, task = arm.tuning
        group, place = self.study.groups[method], ("finetune", method)
        own = {**dataclasses.asdict(group.settings), **group.tasks[task]}
        # Alone first: what is wrong without the sweep is said at its own place.
        settings = checked_settings(method, own, self.files, (*place, "tasks", task))
        if arm.changes:
            own = changed(own, arm.changes)
            at = (*place, "then", arm.setting, "settings") if arm.after else (*place, "sweep")
            settings = checked_settings(method, own, self.files, place, at)
        none = settings.replay is not None and settings.replay.share == 0
        return dataclasses.replace(settings, replay=None) if none else settings
