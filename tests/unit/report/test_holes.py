"""A study in progress lacks models: every table, figure and page is made of what is there."""

from itertools import product

import docutils.core
import polars as pl
import pytest
from synthetic_scores import add_text, study_slice, write_evaluations

from ptft.analysis.collect import collect
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, make_table
from ptft.figures import FIGURES, LINKED, draw
from ptft.report.front_page import FrontPage, front_page

CHECKPOINTS, ARMS = ("step10", "step100", "main"), ("base", "full.nli.s0", "full.story.s0")
MODELS = [f"{checkpoint}/{arm}" for checkpoint, arm in product(CHECKPOINTS, ARMS)]
THERE = {
    "one base": {"step10/base"},
    "one tuned": {"main/full.nli.s0"},
    "a first checkpoint": {model for model in MODELS if model.startswith("step10")},
    "bases": {model for model in MODELS if model.endswith("base")},
    "no base": {model for model in MODELS if not model.endswith("base")},
    "no last base": {*MODELS} - {"main/base"},
    "no first base": {*MODELS} - {"step10/base"},
    "no last tuned": {*MODELS} - {"main/full.nli.s0", "main/full.story.s0"},
    "one task at the first, one at the last": {
        *("step10/base", "main/base", "step10/full.nli.s0", "main/full.story.s0")
    },
    "none at the middle": {model for model in MODELS if "step100" not in model},
}
SETTINGS = {"halt_level": 2, "file_insertion_enabled": False}


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluations")
    study = study_slice(formats=("default", "io"))
    study["bootstrap"]["resamples"] = 100
    write_evaluations(study, folder, n=40)
    return collect(add_text(study, folder), folder)


@pytest.mark.parametrize("name", THERE)
def test_what_is_there_is_shown(collected, name):
    model = pl.concat_str("checkpoint", "arm", separator="/")
    cells, replicates = (
        table.filter(model.is_in(sorted(THERE[name])))
        for table in (collected.cells, collected.replicates)
    )
    scores = Scores.build(cells, replicates)
    tables = {table: make_table(table, scores, Settings()) for table in TABLES}
    page = FrontPage(
        "made-up",
        "",
        tables | {"cells": cells},
        Settings(),
        LINKED,
        missing=1,
        progress=["At work."],
    )
    text = front_page(page)
    targets = "\n".join(f".. _{link}: figures/{link}" for link in LINKED)
    docutils.core.publish_string(f"{text}\n{targets}", settings_overrides=SETTINGS)
    bases = sum(model.endswith("base") for model in THERE[name])
    assert len(tables["base_scores"]) == 4 * bases
    pairs = {model for model in THERE[name] if f"{model.split('/')[0]}/base" in THERE[name]}
    gains = tables["gains"].select("checkpoint", "train_task").unique()
    assert len(gains) == sum(not model.endswith("base") for model in pairs)
    if name in ("one tuned", "no last base", "one task at the first, one at the last"):
        for figure in FIGURES:
            drawn = draw(figure, tables)
            assert drawn.axes or drawn.texts  # a plot, or why there is none
