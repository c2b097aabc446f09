"""Captions of figures tell the settings of the study."""

from types import SimpleNamespace

import jinja2
import pytest


@pytest.mark.parametrize("folder", ["workflow/report", "workflow/report/ja"])
@pytest.mark.parametrize(
    ("config", "said"), [({}, "95 %"), ({"analysis": {"level": 0.9, "rise_margin": 0.2}}, "90 %")]
)
def test_level_of_the_intervals(repository, folder, config, said):
    captions = {
        path.stem: jinja2.Template(path.read_text(encoding="utf-8")).render(
            snakemake=SimpleNamespace(config=config)
        )
        for path in (repository / folder).glob("*.rst")
    }
    banded = {name for name, text in captions.items() if said in text}
    assert banded == {
        *("abstract", "base_scores", "base_vs_tuned", "domains", "forgetting", "gain_by_group"),
        *("generic_text", "overtraining", "remedies", "tradeoff"),
    }
    other = "90 %" if said == "95 %" else "95 %"
    assert not [name for name, text in captions.items() if other in text]
