"""A study that is redrawn: what its file says, what the archive says, and what is refused."""

import pytest
import yaml

from ptft.files.archive import stage_versions, write_archive
from ptft.study import StudyError
from ptft.study.archived import read_archived_study

RESOLVED = {
    "study": {
        "study": "old",
        "description": "what it was",
        "analysis": {"shots": 0, "stop_margin": 0.05},
        "report": {"language": "ja", "axis": "tokens", "overlay": None},
    },
    "model": {"source": {"kind": "pocket"}},
}


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Function: the study of a file with this text; an archive lies beside it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(RESOLVED))
    write_archive("old", {"study.yaml": tmp_path / "study.yaml"}, tmp_path / "old.tar.gz")

    def read(text):
        file = tmp_path / "redraw.yaml"
        file.write_text(text)
        return read_archived_study(yaml.safe_load(text), [file])

    return read


def test_what_is_not_named_is_as_in_the_archive(read):
    found = read("study: new\npublished: {archive: old.tar.gz}\nreport: {language: en}\n")
    assert (found.study.study, found.study.report.language) == ("new", "en")
    assert found.study.report.axis == "tokens"
    assert (found.study.analysis.shots, found.study.analysis.stop_margin) == (0, 0.05)
    told = found.resolved["study"]
    assert (told["study"], told["description"]) == ("old", "what it was")
    assert told["report"] == {"language": "en", "axis": "tokens", "overlay": None}
    assert told["analysis"]["stop_margin"] == 0.05
    assert found.resolved["model"] == RESOLVED["model"]
    assert found.resolved["versions"] == stage_versions()
    assert list(found.members) == ["study.yaml"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("published: {archive: none.tar.gz}", "redraw.yaml:2: published.archive: none.tar.gz: No "),
        ("published: {archive: study.yaml}", "published.archive: study.yaml: not a whole .tar.gz"),
        (
            "published: {archive: old.tar.gz, root: x}",
            "redraw.yaml:2: unknown key 'published.root'",
        ),
        ("published: {archive: old.tar.gz}\nmodel: pocket", "redraw.yaml:3: unknown key 'model'"),
        ("published: {archive: old.tar.gz}\nreport: {axis: time}", "redraw.yaml:3: report.axis"),
    ],
)
def test_mistakes_name_file_line_and_key(read, text, said):
    with pytest.raises(StudyError) as error:
        read(f"study: new\n{text}\n")
    assert said in str(error.value)
