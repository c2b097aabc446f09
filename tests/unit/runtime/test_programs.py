"""Results that can't be written: one sentence, whichever library found out."""

import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import save_file
from slice_files import slice_file

import write_study
from ptft.runtime.programs import cant_write
from ptft.training.state import StateFolder

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@pytest.mark.parametrize(
    ("place", "reason"),
    [("/dev/full", "No space left on device"), ("a_file/study.yaml", "Not a directory")],
)
def test_a_program_says_where_it_can_not_write(tmp_path, place, reason):
    (tmp_path / "a_file").write_text("")
    study = slice_file(tmp_path / "study.json", {"a": 1})
    command = [sys.executable, write_study.__file__, "--study", study, "--output", place]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert reason in done.stderr and "Results need a place with room" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda: pl.DataFrame({"a": ["x" * 99] * 9999}).write_csv("/dev/full"),
        lambda: pl.DataFrame({"a": ["x" * 99] * 9999}).write_parquet("/dev/full"),
        lambda: save_file({"a": torch.zeros(2)}, "/dev/null/weights"),
        lambda: StateFolder(Path("/dev/null/state"), "x").save({}),
    ],
    ids=["csv", "parquet", "safetensors", "state"],
)
def test_each_librarys_way_of_saying_so_is_known(write):
    with pytest.raises(Exception) as error:  # noqa: PT011  (of many kinds)
        write()
    assert cant_write(error.value)
