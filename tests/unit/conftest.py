"""Fixtures of several rooms."""

import pytest
from synthetic_scores import add_text, collect, study_slice, write_evaluations

from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, make_table
from ptft.study import named_study


@pytest.fixture(scope="session")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluations")
    study = study_slice()
    write_evaluations(study, folder, n=60)
    collected = collect(add_text(study, folder), folder)
    scores = Scores.build(collected.cells, collected.replicates)
    return {name: make_table(name, scores, Settings()) for name in TABLES}


@pytest.fixture
def grid(repository):
    """Of tests/studies/cluster.yaml: two checkpoints x (base and two seeds), two cells each."""
    return named_study(repository / "tests/studies/cluster.yaml")
