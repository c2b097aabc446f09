"""Archives of studies: what is written is read, a study is read from one, bad ones are refused."""

import gzip
import io
import json
import tarfile
from pathlib import Path

import polars as pl
import pytest
import yaml
from polars.testing import assert_frame_equal

from ptft import versions
from ptft.analysis.cell_scores import COLUMN, REPLICATES_SCHEMA
from ptft.analysis.collect import CELLS_SCHEMA
from ptft.analysis.tuned_models import FIXED
from ptft.study import StudyError
from ptft.study.finished import (
    FORMAT,
    ArchivedCells,
    ArchiveError,
    read_archive,
    read_finished,
    unpack,
    write_archive,
)

FILES = {"study.yaml": b"study: {study: s}\n", "tables/cells.csv": b"a\n1\n", "figures/f.svg": b"<"}


@pytest.fixture
def archive(tmp_path):
    """An archive of three files."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    output = tmp_path / "s.tar.gz"
    write_archive("s", {name: tmp_path / name for name in FILES}, output)
    return output


def members(archive):
    """Name -> content, in the order of the file."""
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar}


def rewrite(archive, contents, **changes):
    """The archive with other members; `changes` are those of one member's header."""
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            for key, value in changes.get(name, {}).items():
                setattr(member, key, value)
            tar.addfile(member, io.BytesIO(content) if member.isfile() else None)


def test_what_is_written_is_read(archive, tmp_path):
    study, names = read_archive(archive)
    assert study == {"study": {"study": "s"}, "versions": versions.stages()}
    assert names == ["figures/f.svg", "tables/cells.csv"]
    assert list(members(archive)) == ["archive.json", "study.yaml", *names]
    unpack(archive, {"tables/cells.csv"}, tmp_path / "out")
    assert (tmp_path / "out/tables/cells.csv").read_bytes() == FILES["tables/cells.csv"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tables"]


def test_the_same_files_give_the_same_bytes(archive, tmp_path):
    again = tmp_path / "again.tar.gz"
    write_archive("s", {name: tmp_path / name for name in reversed(FILES)}, again)
    assert again.read_bytes() == archive.read_bytes()


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "tables/../../evil"])
def test_nothing_is_written_outside_the_folder(archive, tmp_path, name):
    rewrite(archive, members(archive) | {name: FILES["tables/cells.csv"]})
    unpack(archive, {name, "tables/cells.csv"}, tmp_path / "in" / "out")
    assert (tmp_path / "in/out/tables/cells.csv").exists()
    evil = [file.relative_to(tmp_path).parts[:2] for file in tmp_path.rglob("evil")]
    assert not Path("/tmp/evil").exists() and all(place == ("in", "out") for place in evil)


def test_a_link_is_no_member(archive, tmp_path):
    link = {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd", "size": 0}
    rewrite(archive, members(archive), **{"tables/cells.csv": link})
    unpack(archive, {"tables/cells.csv", "figures/f.svg"}, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["figures"]


def test_another_format_is_refused(archive):
    contents = members(archive)
    about = json.loads(contents["archive.json"]) | {"format": FORMAT + 1}
    rewrite(archive, contents | {"archive.json": json.dumps(about).encode()})
    with pytest.raises(ArchiveError, match=f"found format {FORMAT + 1}, expected format {FORMAT}"):
        read_archive(archive)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no archive", "not a whole .tar.gz file"),
        (gzip.compress(b"no tar", mtime=0), "not a whole .tar.gz file"),
        (None, "No such file or directory"),
    ],
)
def test_what_is_no_archive_is_refused(archive, content, why):
    archive.unlink()
    if content is not None:
        archive.write_bytes(content)
    with pytest.raises(ArchiveError, match=why):
        read_archive(archive)


def test_half_an_archive_is_refused(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(ArchiveError, match="not a whole .tar.gz file"):
        unpack(archive, FILES, tmp_path / "out")


def test_an_archive_with_another_byte_is_refused(archive, tmp_path):
    content = bytearray(archive.read_bytes())
    content[-8] ^= 1  # the first byte of gzip's checksum
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match="not a whole .tar.gz file"):
        unpack(archive, FILES, tmp_path / "out")


def test_an_archive_of_another_kind_is_refused(archive):
    rewrite(archive, {"thesis.tex": b""})
    with pytest.raises(ArchiveError, match=r"found \['thesis\.tex'\], expected archive\.json"):
        read_archive(archive)


@pytest.fixture
def tables(tmp_path):
    """Function: the folder that tables are in which went through an archive; an empty row each."""
    columns = {"cells": CELLS_SCHEMA, "replicates": REPLICATES_SCHEMA, "arms": FIXED}

    def tables(drop=None, **changes):
        files = {"study.yaml": tmp_path / "study.yaml"}
        files["study.yaml"].write_text("study: {study: s}")
        for name, schema in columns.items():
            files[f"tables/{name}.parquet"] = file = tmp_path / f"{name}.parquet"
            table = pl.DataFrame({key: [None] for key in schema}, schema=schema)
            table.with_columns(**changes.get(name, {})).drop(
                drop or (), strict=False
            ).write_parquet(file)
        (tmp_path / "cells.csv").write_text("of another version")
        files["tables/cells.csv"] = tmp_path / "cells.csv"
        write_archive("s", files, tmp_path / "s.tar.gz")
        members = [name for name in files if name != "study.yaml"]
        ArchivedCells(archive=str(tmp_path / "s.tar.gz"), members=members).read_into(
            tmp_path / "out"
        )
        return tmp_path / "out/tables"

    return tables


def test_tables_of_other_versions_get_the_columns_of_this_one(tables, caplog):
    caplog.set_level("INFO")
    swept = {"cells": {"mood": pl.lit("x")}, "arms": {"rank": pl.lit(16)}}
    folder = tables(drop=["truncated", "label_mass", "n_updates"], **swept)
    for name, schema in (("cells", CELLS_SCHEMA), ("replicates", REPLICATES_SCHEMA)):
        found = pl.read_parquet(folder / f"{name}.parquet")
        assert_frame_equal(found, pl.DataFrame({key: [None] for key in schema}, schema=schema))
    arms = pl.read_parquet(folder / "arms.parquet")
    assert arms.columns == [*FIXED, "rank"] and arms["rank"].to_list() == [16]
    assert (folder / "cells.csv").read_text().startswith(",".join(CELLS_SCHEMA))
    assert len([told for told in caplog.messages if "s.tar.gz: tables/" in told]) == 3


def test_tables_of_this_version_are_left_alone(tables):
    assert (tables() / "cells.csv").read_text() == "of another version"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"drop": "value"}, r"cells\.parquet: columns \['value'\] are missing"),
        ({"drop": COLUMN}, rf"replicates\.parquet: columns \['{COLUMN}'\]"),
        ({"cells": {"step": pl.lit("1")}}, r"columns \['step'\] .* other types"),
    ],
)
def test_tables_that_cannot_be_read_as_ours_are_refused(tables, changes, said):
    with pytest.raises(ArchiveError, match=said):
        tables(**changes)


RESOLVED = {
    "study": {
        "study": "old",
        "description": "what it was",
        "analysis": {"shots": 0, "stop_margin": 0.05},
        "report": {"language": "ja"},
    },
    "contents": ["examples", "texts"],
    "model": {"source": {"kind": "pocket"}},
}


@pytest.fixture
def read(tmp_path, repository, monkeypatch):
    """Function: the study of a file with this text; an archive lies beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(RESOLVED))
    write_archive("old", {"study.yaml": tmp_path / "study.yaml"}, tmp_path / "old.tar.gz")

    def read(text):
        file = tmp_path / "redraw.yaml"
        file.write_text(text)
        return read_finished(yaml.safe_load(text), [file], repository / "config")

    return read


def test_what_is_not_named_is_as_in_the_archive(read):
    found = read("study: new\npublished: {archive: old.tar.gz}\nreport: {language: en}\n")
    assert (found.study.study, found.study.report.language) == ("new", "en")
    assert (found.study.analysis.shots, found.study.analysis.stop_margin) == (0, 0.05)
    told = found.resolved["study"]
    assert (told["study"], told["description"]) == ("old", "what it was")
    assert told["report"] == {"language": "en"}
    assert told["analysis"]["stop_margin"] == 0.05
    assert found.resolved["model"] == RESOLVED["model"]
    assert found.resolved["versions"] == versions.stages()
    assert found.contents == {"examples", "texts"} and found.sources == ["old.tar.gz"]
    assert found.read == [] and found.reading == {"archive": "old.tar.gz", "members": []}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("published: {archive: none.tar.gz}", "redraw.yaml:2: published.archive: none.tar.gz: No "),
        ("published: {archive: study.yaml}", "published.archive: study.yaml: not a whole .tar.gz"),
        ("published: {archive: old.tar.gz, root: x}", "redraw.yaml:2: published.root: unknown key"),
        ("published: {archive: old.tar.gz}\nmodel: pocket", "redraw.yaml:3: model: unknown key"),
        (
            "published: {archive: old.tar.gz}\nreport: {language: x}",
            "redraw.yaml:3: report.language",
        ),
    ],
)
def test_mistakes_name_file_line_and_key(read, text, said):
    with pytest.raises(StudyError) as error:
        read(f"study: new\n{text}\n")
    assert said in str(error.value)
