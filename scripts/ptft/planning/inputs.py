"""What jobs read, from their wildcards: input functions of the rules, and parameters."""

import os
from pathlib import Path
from typing import Any, cast

from ptft import paths
from ptft.errors import present
from ptft.models.folder import model_files
from ptft.runtime.contents import MADE, Contents
from ptft.study.grid import Grid
from ptft.study.models import PocketSource
from ptft.study.slices import check_of, checked_trainings


class Inputs:
    """Input functions of a grid's rules; each gets the job's wildcards.

    Attributes:
        contents: of the files that jobs read, where these may be replaced.
        trainings: checks of trainings, each with an arm that it is for.
    """

    def __init__(self, grid: Grid, contents: Contents) -> None:
        self.grid, self.results, self.contents = grid, grid.results, contents
        self.trainings = checked_trainings(grid)

    # Data ---------------------------------------------------------------------------------------

    def split_source(self, wildcards: Any) -> str | list[str]:
        """What makes a split's rows; nothing of files that are given (``source_read``)."""
        study, dataset = self.grid.study, wildcards.dataset
        if self.grid.dataset(dataset).files:
            files = self.grid.split_files(dataset, wildcards.split)
            return [file for file in files if Path(file).is_relative_to(paths.pocket_text())]
        if study.root == paths.POCKET:
            return paths.pocket_datasets()
        split = self.grid.split_on_hub(dataset, wildcards.split)
        return (
            paths.hub_split(split["repository"], split["config"], split["split"]) if split else []
        )

    def source_read(self, wildcards: Any) -> str:
        """Parameter: what a split's rows were read from, where that is replaced."""
        note = Path(self.results.seen("datasets", wildcards.dataset, wildcards.split))
        found = self.grid.source_files(wildcards.dataset, wildcards.split) if note.exists() else []
        source = self.split_source(wildcards)
        made = Path(source) / MADE if isinstance(source, str) else next(map(Path, source), None)
        return self.contents.told(note, found, made)

    def task_source(self, wildcards: Any) -> list[str]:
        """What a harness task's documents are made of: splits, files, or a group's members."""
        spec = self.grid.harness[wildcards.dataset]
        if spec.members:
            return [self.results.split(member, "test") for member in spec.members]
        if self.grid.study.root is None:
            task = spec.task
            return [
                paths.hub_split(task["repository"], task["config"], split) for split in spec.wanted
            ]
        return [file for files in spec.task.get("files", {}).values() for file in files]

    def scored_splits(self, wildcards: Any) -> list[str]:
        """Prepared examples that a dataset is scored on, and those that its shots are from."""
        splits = ["test", *(["shots"] if self.grid.draws_shots(wildcards.dataset) else [])]
        return [self.results.split(wildcards.dataset, split) for split in splits]

    def checked_splits(self, wildcards: Any) -> list[str]:
        """Prepared examples that a training learns, and those that its own texts begin with."""
        arm = self.trainings[wildcards.training].name
        text = self.grid.self_text_of(arm)
        begin = self.grid.self_texts[text].prompts if text else None
        names = [*self.grid.learned(arm), *([begin] if begin else [])]
        return [self.results.split(name, "train") for name in names]

    def state_before(self, wildcards: Any) -> list[str]:
        """Where the pocket model's pre-training goes on from; nothing for its first checkpoint."""
        before = cast(PocketSource, self.grid.model.source).before(wildcards.checkpoint)
        return [paths.pretraining_state(self.grid.study.model, before)] if before else []

    # Models -------------------------------------------------------------------------------------

    def checkpoint(self, wildcards: Any) -> str:
        """Folder of the checkpoint."""
        return self.grid.checkpoint_folder(wildcards.checkpoint)

    def model(self, wildcards: Any) -> str:
        """Folder of the model that is scored."""
        return self.grid.model_folder(wildcards.checkpoint, wildcards.arm)

    def weights_read(self, checkpoint: str, arm: str) -> str:
        """Parameter: the model of an arm, where other weights are put in its place."""
        note = Path(self.results.seen("models", checkpoint, arm))
        folder = Path(self.grid.model_folder(checkpoint, arm))
        files = model_files(folder) if note.exists() and folder.exists() else []
        return self.contents.told(note, files, folder / MADE)

    def trained_from(self, wildcards: Any) -> str:
        """Folder of the model that a training begins from."""
        return self.grid.trained_from(wildcards.checkpoint, wildcards.arm)

    def training_files(self, wildcards: Any) -> list[str]:
        """What an arm is trained on; behind its examples those that are replayed."""
        found = [self.results.split(name, "train") for name in self.grid.learned(wildcards.arm)]
        text = self.grid.self_text_of(wildcards.arm)
        return [*found, *([self.results.self_text(wildcards.checkpoint, text)] if text else [])]

    def training_check(self, wildcards: Any) -> str:
        """The check that an arm's training waits for."""
        return self.results.trained_check(check_of(self.grid, self.grid.arms[wildcards.arm]))

    def finished_training(self, wildcards: Any) -> list[str]:
        """The model that a snapshot is on the way to: its job comes first, and may leave it."""
        arm = self.grid.arms[wildcards.arm]
        if arm.snapshot is None or arm.parent is None:
            return []
        return [self.results.tuned(wildcards.checkpoint, arm.parent)]

    def left_on_the_way(self, wildcards: Any) -> bool:
        """Whether a training leaves this model, or has left it: then its job only links files."""
        left = self.results.tuning_state(wildcards.checkpoint, wildcards.arm)
        parent = self.finished_training(wildcards)
        return bool(parent) and (os.path.exists(left) or not os.path.exists(parent[0]))

    def snapshots(self, wildcards: Any) -> list[str]:
        """Models on the way of an arm, which its evaluation scores as well."""
        arms = [arm for arm in self.grid.parents[wildcards.arm] if arm.snapshot is not None]
        return [self.results.tuned(wildcards.checkpoint, arm.name) for arm in arms]

    def merged(self, wildcards: Any) -> list[str]:
        """Folders of the models that arms of an evaluation are merged from."""
        return self.grid.merged_with(wildcards.checkpoint, wildcards.arm)

    def adopted_source(self, wildcards: Any) -> str:
        """Folder of a tuned model of others."""
        spec = self.grid.study.adopt[wildcards.arm]
        return spec.path or paths.adopted(present(spec.repository, "repository"), spec.revision)

    def adopted_files(self, wildcards: Any) -> str | list[str]:
        """What was fetched of it; of somebody's own folder its files, which may be replaced."""
        source, own = self.adopted_source(wildcards), self.grid.study.adopt[wildcards.arm].path
        return [str(file) for file in model_files(Path(source))] if own else source

    # Texts that checkpoints write ---------------------------------------------------------------

    def text_prompts(self, wildcards: Any) -> list[str]:
        """Prepared texts that a checkpoint's own text begins with, if there are any."""
        begin = self.grid.self_texts[wildcards.text].prompts
        return [self.results.split(begin, "train")] if begin else []

    def texts(self, wildcards: Any) -> list[str]:
        """All texts that checkpoints write, in the study's order."""
        texts = [
            self.results.self_text(checkpoint, text)
            for checkpoint, arm in self.grid.models()
            if arm.trained and (text := self.grid.self_text_of(arm.name))
        ]
        return list(dict.fromkeys(texts))

    # All models ---------------------------------------------------------------------------------

    def tuned_models(self, wildcards: Any) -> list[str]:
        """All fine-tuned models."""
        models = self.grid.models()
        return [self.results.tuned(checkpoint, arm.name) for checkpoint, arm in models if arm.made]

    def scored_models(self, wildcards: Any) -> list[str]:
        """Records of all models that are scored, listed for a job that asks.

        And the digests of their data: were these lost, nobody would see that the data is another.
        """
        models = [
            (checkpoint, arm.name) for checkpoint, arm in self.grid.models() if not arm.parent
        ]
        return [self.results.digests, *(self.results.scored_model(*model) for model in models)]
