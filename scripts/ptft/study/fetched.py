"""Where the checkpoints of a study are, and what it fetches from the Hub into which folders."""

from pathlib import Path

from ptft import paths
from ptft.study.grid import Grid


def checkpoint_folder(grid: Grid, checkpoint: str) -> str:
    """Model folder of a checkpoint of the study."""
    source = grid.model.source
    if source.kind == "folder":
        return str(Path(source.path) / checkpoint)
    return paths.pretrained(grid.study.model, checkpoint)


def hub_folder(split: dict) -> str:
    """Folder of a split that is fetched."""
    return paths.hub_split(split["repository"], split["config"], split["split"])


def fetched_splits(grid: Grid) -> dict[str, dict]:
    """Folder -> what is looked up for it (``Grid.split_on_hub``)."""
    found = [grid.split_on_hub(dataset, split) for dataset, split in grid.splits()]
    return {hub_folder(split): split for split in found if split}


def fetched_checkpoints(grid: Grid) -> dict[str, dict]:
    """Folder -> what is looked up for it; nothing where checkpoints are made or given."""
    source = grid.model.source
    if source.kind != "hub":
        return {}
    return {
        paths.pretrained(grid.study.model, name): source.reference(name)
        for name in grid.checkpoints
    }
