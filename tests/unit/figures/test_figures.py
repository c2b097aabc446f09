"""Figures: drawn from real tables, the same bytes twice, honest where there is nothing."""

import re
from pathlib import Path

import polars as pl
import pytest

import plot_figure
from ptft.analysis.arms import CHOSEN
from ptft.analysis.tables import TABLES
from ptft.figures import FIGURES, Overlay, draw
from ptft.figures.style import short_number


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
    assert drawn["nli\n→ nli_in", "tuned"] == rows.sort("index")["tuned"].to_list()
    assert drawn["nli\n→ nli_in", "base"] == rows.sort("index")["base"].to_list()


@pytest.mark.parametrize(("chosen", "label"), [(True, "chosen"), (None, "lr0.1")])
def test_one_setting_of_a_sweep_is_drawn_and_named(tables, chosen, label):
    gains = tables["gains"]
    settings = {"lr0.1": 0.0, "lr0.01": 0.5, CHOSEN: 0.1}
    swept = pl.concat(
        gains.with_columns(setting=pl.lit(setting), tuned=pl.col("tuned") + more)
        for setting, more in settings.items()
    )
    arms = gains.select("checkpoint", "method", "train_task").unique()
    arms = pl.concat(
        arms.with_columns(setting=pl.lit(setting), chosen=pl.lit(chosen, pl.Boolean))
        for setting in ("lr0.1", "lr0.01")
    )
    drawn = lines(draw("base_vs_tuned", {"gains": swept}, arms=arms))
    rows = gains.filter(dataset="nli_in", train_task="nli").sort("index")["tuned"]
    more = settings[CHOSEN if chosen else label]
    assert drawn["nli\n→ nli_in", f"tuned (full, {label})"] == (rows + more).to_list()
    assert {name for _, name in drawn} == {"base", "chance", f"tuned (full, {label})"}


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


@pytest.fixture
def other(tables):
    """Another study: scores 0.1 higher, the first checkpoint missing, one dataset of its own."""
    gains = tables["gains"].with_columns(pl.col("base", "tuned") + 0.1, index=pl.col("index") - 1)
    base = tables["base_scores"].with_columns(pl.col("value") + 0.1, index=pl.col("index") - 1)
    changed = {"gains": gains, "base_scores": base}
    foreign = pl.col("dataset").replace("nli_out", "foreign")
    return Overlay(
        "paper",
        {k: v.filter(pl.col("index") >= 0).with_columns(foreign) for k, v in changed.items()},
    )


def test_another_study_is_laid_over_base_and_tuned(tables, other):
    drawn = lines(draw("base_vs_tuned", tables, overlay=other))
    for which in ("base", "tuned"):
        ours = drawn["nli\n→ nli_in", which]
        assert drawn["nli\n→ nli_in", f"{which} (paper)"] == [v + 0.1 for v in ours[1:]]
    assert ("nli\n→ nli_out\n(out of domain)", "tuned (paper)") not in drawn


def test_another_study_is_laid_over_base_scores(tables, other):
    figure = draw("base_scores", tables, overlay=other)
    drawn = lines(figure)
    assert drawn["nli", "_nli_in (paper)"] == [v + 0.1 for v in drawn["nli", "nli_in"][1:]]
    assert not [label for _, label in drawn if "foreign" in label]
    assert "paper" in [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    at = {ln.get_label(): list(ln.get_xdata()) for ax in figure.axes for ln in ax.get_lines()}
    assert at["nli_in"] == [0, 1, 2] and at["_nli_in (paper)"] == [1, 2]


def test_overlay_without_a_common_checkpoint_needs_tokens(tables, other):
    renamed = {
        name: table.with_columns(
            checkpoint=pl.lit("x") + pl.col("checkpoint"), tokens=500 + pl.col("index")
        )
        for name, table in other.tables.items()
    }
    with pytest.raises(ValueError, match="study 'paper' has no checkpoint in common"):
        draw("base_scores", tables, overlay=Overlay("paper", renamed))
    known = {"base_scores": tables["base_scores"].filter(pl.col("tokens").is_not_null())}
    figure = draw("base_scores", known, axis="tokens", overlay=Overlay("paper", renamed))
    at = {ln.get_label(): list(ln.get_xdata()) for ax in figure.axes for ln in ax.get_lines()}
    assert at["nli_in"] == [1000, 10_000] and at["_nli_in (paper)"] == [500, 501]
    with pytest.raises(ValueError, match="no study can be laid over figure 'domains'"):
        draw("domains", tables, overlay=other)


def test_unknown_figure_and_missing_table(tables):
    with pytest.raises(ValueError, match="no figure named 'gain'"):
        draw("gain", tables)
    with pytest.raises(ValueError, match="needs table 'gains'"):
        draw("base_vs_tuned", {})


def test_registry_imports_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys; import ptft.figures, ptft.analysis.tables; "
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
