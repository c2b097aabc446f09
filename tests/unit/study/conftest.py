"""The small study (``small_study.py``) in a folder, read as it is after edits."""

from pathlib import Path

import pytest
import yaml
from small_study import edit, write_study

from ptft.errors import require_readable
from ptft.study import StudyError, read_study


@pytest.fixture
def files(tmp_path, repository) -> Path:
    """Folder of the small study."""
    write_study(tmp_path, repository)
    return tmp_path


@pytest.fixture
def read(files):
    """Function: the grid of the study, with a section in front of `evaluate`."""
    study = files / "study.yaml"
    text = study.read_text()

    def read(section: str | None = None):
        if section is not None:
            study.write_text(text)
            edit(study, "evaluate:\n", f"{section}evaluate:\n")
        return read_study(yaml.safe_load(study.read_text()), [study], files / "config")

    return read


@pytest.fixture
def refused(files, read):
    """Function: why the study is refused, in words; nothing if it is good."""

    def refused(section: str | None = None) -> str:
        try:
            require_readable([files / "study.yaml"])
            read(section)
        except StudyError as error:
            return str(error).replace(f"{files}/", "")
        return ""

    return refused
