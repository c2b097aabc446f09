"""Sources that a study reads and does not make: are they where its files say they are?

Nothing is asked for whose results are there, so that a finished study can be analysed elsewhere.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ptft import paths
from ptft.data.rows import split_files, split_name
from ptft.errors import present, refusal, require_known
from ptft.evaluation.records import names_in
from ptft.hub.pins import (
    ArchitectureError,
    Pin,
    TwinsError,
    refuse_other_architectures,
    refuse_twins,
    unresolved,
)
from ptft.models.folder import check_model, check_tokenizer, untied_shapes
from ptft.study.grid import Grid
from ptft.study.models import FolderSource, HubSource


def require_sources(grid: Grid) -> None:
    """Refuse a study with rows or checkpoints that are not there.

    Raises:
        StudyError: naming the file and line with the path, and the folder it was looked for in.
    """
    for loc, files, path in _expected(grid):
        if not Path(path).exists():
            where = f" in {Path.cwd()}, where snakemake was called and paths begin"
            where = "" if Path(path).is_absolute() else where
            raise refusal(files, loc, f"{path} does not exist{where}; correct the path")
    if isinstance(grid.model.source, FolderSource):
        _require_models(grid, Path(grid.model.source.path))
    _require_distinct(grid)


def _expected(grid: Grid) -> Iterator[tuple[tuple, Sequence[Path], str]]:
    """(key, files with that key, path that has to exist) of all sources that are still needed."""
    source, root, results = grid.model.source, grid.study.root, grid.results
    if isinstance(source, FolderSource):
        for checkpoint in _unscored(grid):
            yield ("source", "path"), [grid.model_file], source.path
            listed = ("source", "checkpoints", checkpoint)
            yield listed, [grid.model_file], str(Path(source.path) / checkpoint)
    for name, adopted in grid.study.adopt.items():
        if adopted.path and not Path(results.scored_model(adopted.base, name)).exists():
            yield ("adopt", name, "path"), grid.files, adopted.path
    for dataset, split in grid.splits():
        if Path(results.split(dataset, split)).exists():
            continue
        if dataset in grid.harness:
            yield from _expected_of_task(grid, dataset)
            continue
        spec, name = grid.dataset(dataset), split_name(grid.split_expression(dataset, split))
        if spec.files is not None:
            loc = ("datasets", dataset, "files", name)
            for file in grid.split_files(dataset, split):
                if not (source.kind == "pocket" and Path(file).is_relative_to(paths.pocket_text())):
                    yield loc, grid.family_files[grid.family(dataset)], file
        elif root is not None and not (root == paths.POCKET and source.kind == "pocket"):
            yield ("root",), grid.files, root
            repository = present(spec.repository, f"repository of {dataset}")
            yield ("root",), grid.files, paths.hub_dataset(root, repository, spec.config)
            _require_split(grid, dataset, split, root)


def _expected_of_task(grid: Grid, dataset: str) -> Iterator[tuple[tuple, Sequence[Path], str]]:
    """The same of a harness task: its files, or its repository in the study's root."""
    spec, root = grid.harness[dataset], grid.study.root
    for file in (file for files in spec.task.get("files", {}).values() for file in files):
        yield ("evaluate", "harness", "tasks"), grid.files, file
    if root is not None and spec.wanted:
        known = split_files(Path(root), dict(spec.task))
        for split in spec.wanted:
            if split not in known:
                place = paths.hub_dataset(root, spec.task["repository"], spec.task["config"])
                yield ("root",), grid.files, f"{place}/{split}"


def _require_split(grid: Grid, dataset: str, split: str, root: str) -> None:
    """Of a dataset in the study's root, the split has to be among the files."""
    found = split_files(Path(root), grid.dataset(dataset).model_dump(exclude_none=True))
    use = split if getattr(grid.dataset(dataset).splits, split) else "train"
    wanted = split_name(grid.split_expression(dataset, split))
    files = grid.family_files[grid.family(dataset)]
    require_known(files, ("datasets", dataset, "splits", use), [wanted], found)


def _require_models(grid: Grid, folders: Path) -> None:
    """The checkpoints can be loaded and are of one architecture; their weights are not read."""
    first: dict[str, list[int]] = {}
    for checkpoint in _unscored(grid):
        folder = folders / checkpoint
        try:
            check_model(folder)
            check_tokenizer(folder)
            shapes = untied_shapes(folder)
            first = first or shapes
            for name in sorted(first.keys() | shapes.keys()):
                if shapes and shapes.get(name) != first.get(name):
                    raise ValueError(
                        f"{folder} is of another architecture than the study's first checkpoint: "
                        f"the shape of {name} is {shapes.get(name)}, not {first.get(name)}"
                    )
        except ValueError as error:
            loc = ("source", "checkpoints", checkpoint)
            raise refusal([grid.model_file], loc, str(error)) from None


def references(grid: Grid) -> dict[str, dict]:
    """Pin of what is fetched -> what it is for (``ptft.hub.resolve.Reference``)."""
    return {paths.pin(folder): found for folder, found in grid.fetched().items()}


def shared_and_absent(grid: Grid) -> list[str]:
    """Shared files that somebody has yet to make: a main process locks them."""
    shared = [*references(grid), *grid.fetched()]
    source = grid.model.source
    if source.kind == "pocket":
        names = list(source.checkpoints())
        last = max(names.index(name) for name in grid.checkpoints)
        shared += [paths.pocket_corpus()]
        shared += [paths.pretrained(grid.study.model, name) for name in names[: last + 1]]
        for dataset, split in grid.splits():
            files = grid.split_files(dataset, split) if grid.dataset(dataset).files else []
            shared += [file for file in files if Path(file).is_relative_to(paths.pocket_text())]
    return [path for path in dict.fromkeys(shared) if not Path(path).exists()]


def _require_distinct(grid: Grid) -> None:
    """Checkpoints that are known here, by folder or pin, are different points of one model."""
    source = grid.model.source
    known: dict[str, Pin | Path] = {}
    if isinstance(source, FolderSource):
        known = {name: Path(source.path) / name for name in _unscored(grid)}
    elif isinstance(source, HubSource):
        pins = {name: paths.pin(grid.checkpoint_folder(name)) for name in grid.checkpoints}
        absent = unresolved(references(grid))
        known = {name: Pin.read(Path(pin)) for name, pin in pins.items() if pin not in absent}
    try:
        refuse_twins(known, grid.study.same_weights)
        pinned = {name: pin for name, pin in known.items() if isinstance(pin, Pin)}
        refuse_other_architectures(pinned)
    except (ArchitectureError, TwinsError) as error:
        raise refusal([grid.model_file], ("source",), str(error)) from None


def _unscored(grid: Grid) -> list[str]:
    """Checkpoints that some cell is still missing of, or the record that it was scored."""
    wanted, results = {paths.cell_file(*score) for score in grid.scores()}, grid.results

    def scored(checkpoint: str, arm: str) -> bool:
        recorded = Path(results.scored_model(checkpoint, arm)).exists()
        return recorded and wanted <= names_in(Path(results.evaluation(checkpoint, arm)))

    return [name for name in grid.checkpoints if not all(scored(name, arm) for arm in grid.arms)]
