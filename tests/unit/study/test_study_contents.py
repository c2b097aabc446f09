"""What a study has decides which figures are planned of it."""

from pathlib import Path

import pytest
import yaml

from ptft.errors import ConfigFiles
from ptft.figures import FIGURES, figures_of
from ptft.study import read_study

NEEDED = {"transitions", "formats", "remedies", "generic_text", "along_finetuning"}


@pytest.mark.parametrize(
    ("study", "drawn"),
    [
        ("pocket", {"transitions", "formats", "remedies", "generic_text"}),
        ("pocket-full", {"transitions", "formats"}),
        ("pocket-remedies", {"transitions", "remedies", "generic_text"}),
        ("olmo-1b", {"transitions", "formats"}),  # instruction tuning is on a task of its own
        ("overtraining", {"transitions", "generic_text"}),  # learning rates are no methods
        ("pythia-410m", {"transitions", "remedies"}),
        ("saturation", {"transitions", "remedies", "generic_text"}),
        ("table3", {"transitions"}),
    ],
)
def test_figures_are_planned_where_there_is_something_to_draw(repository, study, drawn):
    file = repository / f"config/{study}.yaml"
    config = yaml.safe_load(file.read_text())
    grid = read_study(config, ConfigFiles([Path(file)], config), repository / "config")
    planned = figures_of(grid.contents)
    assert set(planned) == set(FIGURES) - NEEDED | drawn
    assert {name for name, spec in FIGURES.items() if spec.needs} == NEEDED
