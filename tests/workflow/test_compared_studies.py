"""Finished studies side by side."""

import polars as pl
import pytest

import compare_studies
from ptft.errors import StudyError
from ptft.tools.compare import compare_studies as compare


@pytest.fixture
def twins(finished, monkeypatch):
    """A finished study and its twin; no model differs from itself."""
    twin = finished.root / "results/twin"
    (twin / "tables").mkdir(parents=True)
    for file in (finished.root / "results/tiny/tables").glob("*.parquet"):
        (twin / "tables" / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(finished.root)
    return finished.root / "results"


def test_two_studies_are_compared(twins):
    compare_studies.main(["tiny", "twin", "-o", "results/both"])
    made = twins / "both"
    gains = pl.read_parquet(made / "tables/gains.parquet")
    alone = pl.read_parquet(twins / "twin/tables/gains.parquet")
    assert gains["study"].unique().sort().to_list() == ["tiny", "twin"]
    assert len(gains) == 2 * len(alone)
    differences = pl.read_parquet(made / "tables/differences.parquet")
    assert differences["sd"].max() == 0
    assert differences["n_studies"].unique().to_list() == [2]
    assert {path.stem for path in (made / "figures").glob("*.svg")} == {"base", "gain", "kept"}


REFUSED = [
    (["tiny", "olmo-1b"], "both", "study 'olmo-1b' has no results/olmo-1b/tables/cells.parquet"),
    (["tiny", "tiny"], "both", "study 'tiny' is named twice"),
    (["tiny"], "both", "found one study; name two or more"),
    (["tiny", "twin"], "tiny", "results/tiny is the folder of a study that is compared"),
]


def test_what_can_not_be_compared_is_refused(twins):
    for studies, output, said in REFUSED:
        with pytest.raises(StudyError, match=said):
            compare(studies, twins.relative_to(twins.parent) / output)
