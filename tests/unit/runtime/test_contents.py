"""Content counts, not dates; and files that hold the same are not hashed again and again."""

import os
import shutil

import pytest

from ptft.models.folder import hash_files
from ptft.runtime.contents import MADE, Contents, Note, looks

OLD = 1_000_000_000


@pytest.fixture
def read(tmp_path):
    """A file, and the note of a job that has read it."""
    file, note = tmp_path / "rows.jsonl", tmp_path / "seen/rows.json"
    file.write_text("a\n")
    Note(looks([file]), hash_files([file])).write(note)
    return file, note


@pytest.fixture
def hashed():
    """Hashes files, and counts how often."""

    def hash_counted(files):
        hash_counted.times += 1
        return hash_files(files)

    hash_counted.times = 0
    return hash_counted


def test_another_content_is_told_whatever_its_date(read, hashed):
    file, note = read
    assert Contents(hashed).told(note, [file]) == "" and hashed.times == 0
    file.write_text("b\n")  # as long as before
    for date in (OLD, 2 * OLD):
        os.utime(file, (date, date))
        assert Contents(hashed).told(note, [file]) == hash_files([file])
    # The job that ran for it notes what it was told: nothing is left to do.
    Note(looks([file]), hash_files([file]), hash_files([file])).write(note)
    assert Contents(hashed).told(note, [file]) == hash_files([file])
    # The old file put back is another content again.
    file.write_text("a\n")
    told = Contents(hashed).told(note, [file])
    assert told == hash_files([file]) != Note.read(note).told


def test_what_holds_the_same_is_hashed_once(read, hashed, tmp_path):
    """A study that was copied: other inodes and times, nothing to do."""
    file, note = read
    shutil.copy(file, tmp_path / "copy")
    os.replace(tmp_path / "copy", file)
    contents, before = Contents(hashed), note.stat().st_mtime_ns
    assert contents.told(note, [file]) == "" and hashed.times == 1
    contents.write()
    assert Contents(hashed).told(note, [file]) == "" and hashed.times == 1
    assert note.stat().st_mtime_ns == before


def test_what_the_workflow_made_again_is_snakemakes_to_see(read, hashed):
    file, note = read
    file.write_text("c\n")
    made = file.with_name(MADE)
    made.touch()
    os.utime(made, (OLD, OLD))
    assert Contents(hashed).told(note, [file], made) == hash_files([file])
    os.utime(made)
    assert Contents(hashed).told(note, [file], made) == ""


def test_before_a_job_has_run_and_where_files_are_gone_nothing_is_told(read, hashed, tmp_path):
    file, note = read
    assert Contents(hashed).told(tmp_path / "none.json", [file]) == ""
    Note({}, "x", "told before").write(note)
    assert Contents(hashed).told(note, []) == "told before"
    assert hashed.times == 0
