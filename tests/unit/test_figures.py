"""Figures: drawn from real tables, the same bytes twice, honest where there is nothing."""

import re
from pathlib import Path

import polars as pl
import pytest
from synthetic_scores import study_slice, write_evaluations

import plot_figure
from ptft.analysis import TABLES, make_table
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.collect import collect
from ptft.figures import FIGURES, draw
from ptft.figures.style import short_number


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluations")
    study = study_slice()
    write_evaluations(study, folder, n=60)
    collected = collect(study, folder)
    scores = Scores.build(collected.cells, collected.replicates)
    return {name: make_table(name, scores, Settings()) for name in TABLES}


def lines(figure):
    """(title, label) -> y values of every line drawn."""
    return {
        (ax.get_title(), line.get_label()): list(line.get_ydata())
        for ax in figure.axes
        for line in ax.get_lines()
    }


def test_every_module_is_a_figure_with_a_caption(repository):
    modules = {p.stem for p in (repository / "scripts/ptft/figures").glob("*.py")}
    assert modules - {"__init__", "style"} == set(FIGURES)
    for name, spec in FIGURES.items():
        assert (repository / f"workflow/report/{name}.rst").exists(), name
        assert set(spec.tables) <= set(TABLES), name


def test_lines_are_the_tables_values(tables):
    drawn = lines(draw("base_vs_tuned", tables))
    rows = tables["gains"].filter(pl.col("dataset") == "nli_in", pl.col("train_task") == "nli")
    assert drawn["nli → nli_in", "tuned"] == rows.sort("index")["tuned"].to_list()
    assert drawn["nli → nli_in", "base"] == rows.sort("index")["base"].to_list()


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figure_is_drawn_without_its_rows(tables, name):
    empty = {table: tables[table].clear() for table in FIGURES[name].tables}
    figure = draw(name, empty)
    assert figure.texts[0].get_text()


def test_program_writes_the_same_bytes_twice(tables, tmp_path):
    tables["domains"].write_parquet(tmp_path / "domains.parquet")
    written = []
    for run in ("a", "b"):
        svg, png = tmp_path / run / "f.svg", tmp_path / run / "f.png"
        plot_figure.main(
            [
                "--figure",
                "domains",
                "--tables-dir",
                str(tmp_path),
                "--svg",
                str(svg),
                "--png",
                str(png),
            ]
        )
        written.append((svg.read_bytes(), png.read_bytes()))
    assert written[0] == written[1]
    # Nothing in the picture refers to the outside, and text does not need the reader's fonts.
    svg = written[0][0].decode()
    assert not re.search(r'(href|src)="http', svg) and "<text" not in svg


def test_unknown_figure_and_missing_table(tables):
    with pytest.raises(ValueError, match="no figure named 'gain'"):
        draw("gain", tables)
    with pytest.raises(ValueError, match="needs table 'gains'"):
        draw("base_vs_tuned", {})


def test_registry_imports_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys; import ptft.figures, ptft.analysis; "
        "print([m for m in ('matplotlib', 'polars', 'numpy') if m in sys.modules])"
    )
    scripts = Path(plot_figure.__file__).parent
    out = subprocess.run([sys.executable, "-c", code], cwd=scripts, capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_short_number():
    assert [short_number(v) for v in (25, 1000, 342_000, 4e9, 3.094e12)] == [
        "25",
        "1k",
        "342k",
        "4B",
        "3.09T",
    ]
