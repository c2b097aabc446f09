"""Fixtures of several rooms."""

import importlib.util

import pytest
from synthetic_scores import add_text, study_slice, write_evaluations

from ptft.analysis.collect import collect
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, make_table


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluations")
    study = study_slice()
    write_evaluations(study, folder, n=60)
    collected = collect(add_text(study, folder), folder)
    scores = Scores.build(collected.cells, collected.replicates)
    return {name: make_table(name, scores, Settings()) for name in TABLES}


@pytest.fixture
def load_benchmark(repository, monkeypatch):
    """Function: a program of benchmarks/ by its name; a package of that name may be installed."""
    folder = repository / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"benchmark_of_{name}", folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
