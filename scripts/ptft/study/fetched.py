"""What a study fetches from the Hub, and into which folders."""

from ptft import paths
from ptft.study.grid import Grid


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
