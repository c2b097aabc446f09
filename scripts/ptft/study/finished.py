"""Studies whose cells are finished: others released their tables, or an archive holds them.

Nothing is trained or scored; the same analyses, figures and pages are made from their cells.

An archive is one file with all that a study's tables, figures and pages are made from, and with
them. Its members lie as in `results/{study}`. The first, ``archive.json``, says what the archive
is: its format, the versions of the stages that computed the results, the names of the members
behind the second, which is the resolved study.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import tarfile
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import yaml
from pydantic import Field

from ptft import versions
from ptft.errors import checked, refusal, require_keys_once
from ptft.paths import Results, replacing
from ptft.study.families import Kind, Title
from ptft.study.load import read_families, titles
from ptft.study.schema import AnalysisSettings, Report
from ptft.study.types import ONCE, Name, Part, Strict, StrictSettings

FORMAT = 1
"""of archives; raise it when what is in one, or how it is read, changes"""
ABOUT, STUDY = "archive.json", "study.yaml"
Share = Annotated[float, Field(ge=0, le=1)]
RELEASED_FILES = ("tables/cells.parquet", "tables/replicates.parquet", "tables/cells.csv")
"""what released tables are read into, in the study's folder; and a table of what was left out"""


class ReleasedDataset(Strict):
    """A dataset of a released table."""

    name: Part | None = None
    """its name here, if not the one in the table"""
    title: Title | None = None
    """name in figures and report, if no family of config/ has one"""
    family: Part
    """family that it belongs to"""
    kind: Kind
    """how it was scored"""
    metric: Part | None = None
    """main metric, if not its kind's"""
    chance: Share | None = None
    """score of guessing"""
    n: Annotated[int, Field(ge=1)] | None = None
    """number of examples, for standard errors that the table lacks"""


class ReleasedTask(Strict):
    """A fine-tuning task of the released models."""

    family: Part
    """family of its training data"""
    lr: float
    """models with another learning rate are left out, and listed"""
    in_domain: Annotated[list[Part], *ONCE]
    """the task's own test sets"""


class Released(Strict):
    """Where the tables are and what their names mean."""

    model: Name
    """name of the model in tables and figures"""
    root: str
    """folder of the tables, or http(s) address to which a table's name is added"""
    tokens_per_step: Annotated[int, Field(ge=1)]
    """tokens of one optimizer step of pre-training"""
    main_step: Annotated[int, Field(ge=1)] | None = None
    """optimizer step of `main`, the end of pre-training; default: unknown"""
    tables: Annotated[dict[str, str], Field(min_length=1)]
    """file name -> SHA-256 of its bytes"""
    ignored_models: dict[str, str] = {}
    """model id -> why it is left out"""
    tasks: dict[Part, ReleasedTask]
    """task as named in the tables -> what it is"""
    kinds: dict[Kind, Part]
    """kind -> its main metric"""
    datasets: dict[str, dict[Part, ReleasedDataset]]
    """table -> dataset as named in it -> what it is"""


class Finished(Strict):
    """A file of config/ with `published:`: no grid, scores that are there."""

    study: Name
    """name of the study and of its folder in results/"""
    description: str = ""
    """description in words; default: the archived study's, as the settings below"""
    analysis: StrictSettings[AnalysisSettings] = AnalysisSettings()
    """settings of the analyses"""
    report: Report = Report()
    """how figures and report look"""


class ReleasedStudy(Finished):
    """One whose scores others released."""

    published: Released
    """the released tables"""


class Archive(Strict):
    """Where the scores are."""

    archive: str
    """file that `snakemake export` wrote"""


class ArchivedStudy(Finished):
    """One with `published: {archive: …}`."""

    published: Archive
    """the archive"""


class ReleasedCells(Strict):
    """All that decides the cells of a study whose tables others released."""

    study: Name
    """name of the study"""
    published: Released
    """the tables"""

    def read_into(self, results: Path) -> None:
        """Write the tables of cells, of their replicates, and of the rows that are left out."""
        from ptft.analysis.csv_tables import write_csv
        from ptft.analysis.released_scores import read_published

        source = self.published.model_dump(mode="json", exclude_none=True)
        found, tables = read_published(self.study, source), results / "tables"
        tables.mkdir(parents=True, exist_ok=True)
        found.cells.write_parquet(tables / "cells.parquet")
        write_csv(found.cells, tables / "cells.csv")
        found.replicates.write_parquet(tables / "replicates.parquet")
        write_csv(found.unknown, tables / "unknown.csv")
        models = found.unknown.unique(["table", "model_id", "reason"], keep="first")
        for row in models.sort("table", "row").rows():
            logging.warning("left out: %s row %d: %s on %s: %s", *row)
        logging.info("%d cells", len(found.cells))


class ArchivedCells(Strict):
    """All that decides the cells of a study that is redrawn."""

    archive: str
    """file"""
    members: list[str]
    """files in it that are unpacked"""

    def read_into(self, results: Path) -> None:
        """Unpack the tables that no job here can make, with the columns that they have here.

        Raises:
            ArchiveError: the archive is damaged, or a table in it can't be read as ours.
        """
        from ptft.analysis.cell_scores import COLUMN, KEY, REPLICATES_SCHEMA
        from ptft.analysis.collect import CELLS_SCHEMA
        from ptft.analysis.tuned_models import FIXED

        unpack(Path(self.archive), self.members, results)
        tables, key = results / "tables", {*KEY, "metric"}
        told = key | {"kind", "value", "n", "main"}
        self._fit(tables / "cells.parquet", CELLS_SCHEMA, told)
        self._fit(tables / "replicates.parquet", REPLICATES_SCHEMA, key | {COLUMN})
        self._fit(tables / "arms.parquet", FIXED, {"checkpoint", "arm"}, sweeps=True)

    def _fit(
        self, file: Path, columns: Mapping[str, Any], needed: set[str], sweeps: bool = False
    ) -> None:
        """Give a table that another version of this workflow wrote the columns of this one.

        Args:
            columns: of the table here, with their types; those that are not there are null.
            needed: those that have to be there.
            sweeps: whether it may have further ones; else they are dropped.
        """
        import polars as pl

        from ptft.analysis.csv_tables import write_csv

        if not file.exists():
            return
        told, found = f"{self.archive}: tables/{file.name}", pl.read_parquet_schema(file)
        if wrong := [
            name
            for name, kind in columns.items()
            if (name in needed if name not in found else found[name] != kind)
        ]:
            raise ArchiveError(
                f"{told}: columns {wrong} are missing or have other types than here; read it with "
                "the version of the workflow that wrote it"
            )
        new = [name for name in columns if name not in found]
        gone = [] if sweeps else [name for name in found if name not in columns]
        if new or gone:
            logging.info("%s: columns %s are empty, %s are left out", told, new, gone)
            empty = (pl.lit(None, columns[name]).alias(name) for name in new)
            table = pl.read_parquet(file).drop(gone).with_columns(empty)
            table = table.select(*columns, pl.exclude(*columns))
            table.write_parquet(file)
            if (beside := file.with_suffix(".csv")).exists():
                write_csv(table, beside)


class FinishedStudy:
    """A study of which every cell is there. Beside :class:`ptft.study.grid.Grid`: nothing to run.

    Args:
        study: its file, checked.
        files: the study's own files, for messages.
        resolved: what its file and what it is read from say together, as plain data.
        sources: files that its cells are read from; none at an address.
        library: config folder whose families name datasets as people write them.
        members: files of an archive, as in `results/{study}`.
    """

    finished = True

    def __init__(
        self,
        study: ReleasedStudy | ArchivedStudy,
        files: Sequence[Path],
        resolved: dict[str, Any],
        sources: list[str],
        library: Path,
        members: Sequence[str] = (),
    ) -> None:
        self.study, self.files, self.resolved, self.sources = study, files, resolved, sources
        self.name, self.results = study.study, Results(study.study)
        self._library, self._members = library, members

    @property
    def contents(self) -> set[str]:
        """Things that not every study has (:attr:`ptft.study.grid.Grid.contents`)."""
        return set(self.resolved["contents"])

    @property
    def titles(self) -> dict[str, dict[str, str]]:
        """Names as people write them (:func:`ptft.study.load.titles`)."""
        found = titles(read_families([self._library])[0])
        if isinstance(self.study, ReleasedStudy):
            found["datasets"] |= {
                dataset.name or name: dataset.title
                for datasets in self.study.published.datasets.values()
                for name, dataset in datasets.items()
                if dataset.title
            }
        return found

    @property
    def reading(self) -> dict[str, Any]:
        """All that decides its cells: the slice of the program that reads them."""
        if isinstance(self.study, ArchivedStudy):
            trained = self.results.trained.removeprefix(f"{self.results.root}/")
            records = [name for name in self._members if name.startswith(f"{trained}/")]
            return {"archive": self.sources[0], "members": [*self._unpacked(), *records]}
        return {
            "study": self.name,
            "published": self.study.published.model_dump(mode="json", exclude_none=True),
        }

    @property
    def read(self) -> list[str]:
        """Paths of the files that its cells and what is known of them are read into."""
        archived = isinstance(self.study, ArchivedStudy)
        names = self._unpacked() if archived else [*RELEASED_FILES, "tables/unknown.csv"]
        return [f"{self.results.root}/{name}" for name in names]

    def _unpacked(self) -> list[str]:
        """Members that no job here can make: cells, and what only the study's own jobs knew."""
        beside = [
            "missing",
            "unknown",
            "costs",
            "arms",
            "audit_splits",
            "audit_prompts",
            "self_text",
        ]
        wanted = {f"tables/{name}.{kind}" for name in beside for kind in ("parquet", "csv")}
        return [name for name in self._members if name in {*RELEASED_FILES, *wanted}]


def read_finished(config: Mapping, files: Sequence[Path], library: Path) -> FinishedStudy:
    """Check the config of a study whose cells are finished, and that they are there.

    Raises:
        StudyError: naming file, line, key, what was found and what was expected.
    """
    require_keys_once(files)
    published = config["published"]
    archived = isinstance(published, Mapping) and "archive" in published
    return (_archived if archived else _released)(config, files, library)


def _released(config: Mapping, files: Sequence[Path], library: Path) -> FinishedStudy:
    study = checked(ReleasedStudy, dict(config), files)
    resolved = {"study": study.model_dump(mode="json"), "contents": ["formats"]}
    root = study.published.root
    if root.startswith(("http://", "https://")):
        return FinishedStudy(study, files, resolved, [], library)
    tables = [Path(root, name) for name in study.published.tables]
    for table in tables:
        if not table.is_file():
            raise refusal(
                files,
                ("published", "root"),
                f"no {table.name} in {table.parent.absolute()}; a path counts from the folder that "
                "snakemake is called in (the clone, for the tables that come with the workflow)",
            )
    return FinishedStudy(study, files, resolved, list(map(str, tables)), library)


def _archived(config: Mapping, files: Sequence[Path], library: Path) -> FinishedStudy:
    """A study out of its archive, with what its file says otherwise."""
    archive = checked(ArchivedStudy, dict(config), files).published.archive
    try:
        resolved, members = read_archive(Path(archive))
    except ArchiveError as error:
        message = f"{error}; a path counts from the folder that snakemake is called in"
        raise refusal(files, ("published", "archive"), message) from None
    known = {"analysis": {*AnalysisSettings.__dataclass_fields__}, "report": {*Report.model_fields}}
    chosen = {  # an archive may have settings that later versions lack
        part: {k: v for k, v in resolved["study"].get(part, {}).items() if k in fields}
        | config.get(part, {})
        for part, fields in known.items()
    }
    study = checked(ArchivedStudy, {**config, **chosen}, files)
    resolved["study"] |= study.model_dump(mode="json", include={"analysis", "report"})
    if study.description:
        resolved["study"]["description"] = study.description
    return FinishedStudy(study, files, resolved, [archive], library, members)


# Archives ----------------------------------------------------------------------------------------


class ArchiveError(ValueError):
    """A file is no archive of a study, or not one that this workflow can read."""


def write_archive(study: str, files: Mapping[str, Path], output: Path) -> None:
    """Write the archive of a study; the same files give the same bytes.

    Args:
        study: its name.
        files: path in the archive -> file; ``STUDY`` must be among them.
        output: the archive, `.tar.gz`.
    """
    contents = {name: file.read_bytes() for name, file in sorted(files.items())}
    resolved = contents.pop(STUDY)
    about = {"format": FORMAT, "study": study, "versions": versions.stages()}
    about["members"] = list(contents)
    first = {ABOUT: json.dumps(about, indent=1).encode(), STUDY: resolved}
    with (
        replacing(output) as draft,
        draft.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in {**first, **contents}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def read_archive(archive: Path) -> tuple[dict, list[str]]:
    """The resolved study of an archive, with the versions that computed it; the others' names.

    Only the first two members are read, as each start of Snakemake does.

    Raises:
        ArchiveError: naming the archive, what was found and what was expected.
    """
    head = dict(islice(_members(archive), 2))
    if list(head) != [ABOUT, STUDY]:
        raise ArchiveError(
            f"{archive}: found {list(head)}, expected {ABOUT} and {STUDY} as the first two "
            "members: this is no archive that `snakemake export` wrote"
        )
    about = json.loads(head[ABOUT])
    if about["format"] != FORMAT:
        raise ArchiveError(
            f"{archive}: found format {about['format']!r}, expected format {FORMAT}; read it with "
            "the version of the workflow that wrote it"
        )
    return {**yaml.safe_load(head[STUDY]), "versions": about["versions"]}, list(about["members"])


def unpack(archive: Path, wanted: Collection[str], folder: Path) -> None:
    """Write members of an archive into a folder, and nothing outside of it.

    Raises:
        ArchiveError: the archive is damaged.
    """
    for name, content in _members(archive):
        if name in wanted and ".." not in PurePosixPath(name).parts:
            target = folder / name.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of each file in an archive."""
    try:
        with gzip.open(archive) as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
            for member in tar:
                if (file := tar.extractfile(member) if member.isfile() else None) is not None:
                    yield member.name, file.read()
            while packed.read(1 << 20):  # to its end, where gzip compares the checksum of all
                pass
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        why = getattr(error, "strerror", None) or f"not a whole .tar.gz file ({error})"
        raise ArchiveError(f"{archive}: {why}; `snakemake export` writes one") from None
