"""Pages of made-up studies, whose true scores are known."""

import shutil

import pytest
import yaml
from synthetic_scores import add_text, collect, study_slice, write_evaluations

from ptft.analysis.csv_tables import write_csv
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, make_table
from ptft.figures import FIGURES
from ptft.report.page import StudyFiles, write_page
from ptft.study import named_study
from ptft.study.slices import resolved_study


@pytest.fixture(scope="session")
def resolved_pocket(repository):
    """The resolved pocket study."""
    return resolved_study(named_study(repository / "config/pocket.yaml"))


@pytest.fixture(scope="session")
def collected(tmp_path_factory):
    """Cells and replicates of a study with generic text, in two formats."""
    folder = tmp_path_factory.mktemp("evaluations")
    study = study_slice(formats=("default", "io"))
    study["bootstrap"]["resamples"] = 100
    write_evaluations(study, folder, n=60)
    return collect(add_text(study, folder), folder)


@pytest.fixture(scope="session")
def tables_of(collected, tmp_path_factory):
    """Function: the folder of all tables of the cells of ``collected`` that pass a test."""
    made = {}

    def make(*tests):
        key = tuple(test.meta.serialize() for test in tests)
        if key in made:
            return made[key]
        tables = made[key] = tmp_path_factory.mktemp("tables")
        cells, replicates = collected.cells.filter(*tests), collected.replicates.filter(*tests)
        cells.write_parquet(tables / "cells.parquet")
        replicates.write_parquet(tables / "replicates.parquet")
        write_csv(collected.missing, tables / "missing.csv")
        scores = Scores.build(cells, replicates)
        for name in TABLES:
            make_table(name, scores, Settings()).write_parquet(tables / f"{name}.parquet")
        return tables

    return make


@pytest.fixture
def page_of(tmp_path, tables_of, resolved_pocket):
    """Function: the page of the cells of ``collected`` that pass a test, its study changed so."""

    def make(*tests, progress=None, **changed):
        tables = tmp_path / "tables"
        shutil.copytree(tables_of(*tests), tables, dirs_exist_ok=True)
        study = {**resolved_pocket, "study": {**resolved_pocket["study"], **changed}}
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
        files = StudyFiles(tmp_path / "study.yaml", tables, tmp_path / "figures")
        write_page(files, tmp_path / "report.html", list(FIGURES), progress)
        return (tmp_path / "report.html").read_text()

    return make
