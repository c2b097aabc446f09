"""Benchmarks that need more than the project says so."""

import pytest


def test_texts_that_are_not_there_are_asked_for(repository, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    from training_texts import read_training_texts

    with pytest.raises(SystemExit, match=rf"no folder {tmp_path}/hub.*--shared or PTFT_SHARED"):
        read_training_texts(tmp_path)
