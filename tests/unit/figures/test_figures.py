"""Figures: drawn from real tables, the same bytes twice, honest where there is nothing."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

import plot_figures
from ptft.analysis.tables.learning import hidden_labels
from ptft.figures import FIGURES
from ptft.figures.drawing import draw
from ptft.figures.marks import TOLD
from ptft.figures.style import PALE, WARNED


def lines(figure):
    """(title, label) -> y values of every line drawn."""
    return {
        (ax.get_title("left"), line.get_label()): list(line.get_ydata())
        for ax in figure.axes
        for line in ax.get_lines()
    }


def test_lines_are_the_tables_values(tables):
    drawn = lines(draw("base_vs_tuned", tables))
    rows = tables["gains"].filter(pl.col("dataset") == "nli_in", pl.col("train_task") == "nli")
    assert drawn["nli", "nli_in"] == rows.sort("index")["tuned"].to_list()
    assert drawn["nli", "_base"] == rows.sort("index")["base"].to_list()


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figure_is_drawn_without_its_rows(tables, name):
    empty = {table: tables[table].clear() for table in FIGURES[name].tables}
    figure = draw(name, empty)
    assert figure.texts[0].get_text()


def test_where_nothing_could_be_forgotten_the_figure_says_so(tables):
    nothing = tables["forgetting"].with_columns(headroom=pl.lit(None, pl.Float64))
    figure = draw("forgetting", tables | {"forgetting": nothing})
    assert figure.texts[0].get_text() == "no base model knows what could be forgotten"


def title(figure):
    return figure.texts[0].get_text().replace("\n", " ")


@pytest.mark.parametrize(
    ("name", "claim", "verdict", "neutral", "shown"),
    [
        ("base_scores", "rise", "rises", None, "teaches 4 of 4 datasets"),
        ("overtraining", "drop", "rises", None, "best checkpoint: 2 of 2"),
        ("formats", "gap", "falls", "Scores by prompt format", "costs tuned models up to"),
        (
            "forgetting",
            "headroom",
            "falls",
            "Change on other families",
            "of what is above guessing",
        ),
    ],
)
def test_a_title_says_no_more_than_the_claims(tables, name, claim, verdict, neutral, shown):
    own = pl.col("claim") == claim

    def judged(word):
        claims = tables["claims"].with_columns(
            verdict=pl.when(own).then(pl.lit(word)).otherwise("verdict")
        )
        return title(draw(name, tables | {"claims": claims}))

    assert shown in judged(verdict)
    assert judged("undecided") == neutral or " 0 of " in judged("undecided")


def test_program_writes_the_same_bytes_twice(tables, tmp_path):
    for name in FIGURES["gain_by_group"].tables:
        tables[name].write_parquet(tmp_path / f"{name}.parquet")
    written = []
    for run in (tmp_path / "a", tmp_path / "b"):
        plot_figures.main(
            ["--figures", "gain_by_group", "--tables-dir", str(tmp_path), "--output-dir", str(run)]
        )
        written.append([(run / f"gain_by_group.{kind}").read_bytes() for kind in ("svg", "png")])
    assert written[0] == written[1]
    # Nothing in the picture refers to the outside, and text does not need the reader's fonts.
    svg = written[0][0].decode()
    assert not re.search(r'(href|src)="http', svg) and "<text" not in svg


def test_registry_imports_nothing_heavy():
    import subprocess
    import sys

    code = (
        "import sys; import ptft.figures, ptft.analysis.tables; "
        "print([m for m in ('matplotlib', 'polars', 'numpy') if m in sys.modules])"
    )
    scripts = Path(plot_figures.__file__).parent
    out = subprocess.run([sys.executable, "-c", code], cwd=scripts, capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_hidden_labels_are_no_scores(tables):
    columns = {"format": "default", "shots": 4, "flag": "near perfect untuned"}
    flagged = pl.DataFrame(
        [{"dataset": "nli_out", "index": at, **columns} for at in (0, 2)]
        # Perfect at the end, or once only at the start: it may have been learned, or luck.
        + [{"dataset": "quiz", "index": at, **columns} for at in (1, 2)]
        + [{"dataset": "story", "index": 0, **columns}]
    )
    assert hidden_labels(flagged) == ["nli_out"]
    blank = tables["suspicious"].clear()
    marked = tables | {"suspicious": pl.concat([blank, flagged], how="diagonal_relaxed")}
    axes = draw("base_vs_tuned", marked).axes
    label = {line.get_label(): line for ax in axes for line in ax.get_lines()}
    assert label["nli_out (no score)"].get_color() == PALE and label["nli_in"].get_color() != PALE


def at_last_only(tables):
    """Tables of the last checkpoint; what compares checkpoints is empty."""
    across = {"groups", "latent", "group_gains", "gain_trends", "stopping"}
    return {
        name: table.clear() if name in across
        else table.filter(pl.col("index") == 2) if "index" in table.columns else table
        for name, table in tables.items()
    }  # fmt: skip


def test_a_study_of_one_checkpoint_has_bars_with_intervals(tables):
    [ax] = draw("base_vs_tuned", at_last_only(tables)).axes
    row = tables["gains"].row(
        by_predicate=(pl.col("train_task") == "nli")
        & (pl.col("dataset") == "nli_in")
        & (pl.col("checkpoint") == "main"),
        named=True,
    )
    names = [text.get_text() for text in ax.get_yticklabels()]
    base, tuned = ([bar.get_width() for bar in kind] for kind in ax.containers)
    at = names.index("nli → nli_in")
    assert (base[at], tuned[at]) == pytest.approx((row["base"], row["tuned"]))
    intervals = [list(line.get_xdata()) for line in ax.lines]
    assert [row["tuned_ci_low"], row["tuned_ci_high"]] in intervals


def test_a_study_of_base_models_shows_their_scores(tables):
    quiz = tables["base_scores"].filter(dataset="quiz").sort("index")["value"].to_list()
    [ax] = draw("base_scores", at_last_only(tables)).axes
    assert quiz[-1] in [bar.get_width() for bar in ax.patches]


def test_points_of_trainings_that_failed_are_crossed_out(tables):
    failed = (pl.col("train_task") == "nli") & (pl.col("index") == 1)
    gains = tables["gains"].with_columns(n_learned=pl.when(failed).then(0).otherwise(1))
    figure = draw("base_vs_tuned", tables | {"gains": gains})
    crossed = [
        list(line.get_ydata())
        for ax in figure.axes
        for line in ax.lines
        if line.get_marker() == "x" and len(line.get_xdata())
    ]
    own = gains.filter(failed, dataset="nli_in")["tuned"].to_list()
    assert crossed[0] == own
    assert "×: not every seed learned." in figure.texts[1].get_text()


def told(figure):
    """Series -> texts of its points, as the SVG has them for pages."""
    ids = [str(artist.get_gid()) for artist in figure.findobj()]
    found = {}
    for one in filter(lambda one: one.startswith(TOLD), ids):
        about = json.loads(one.removeprefix(TOLD))
        found.setdefault(about["series"], []).extend(about["points"])
    return found


def test_bars_cells_and_points_tell_their_numbers(tables):
    gains = tables["gains"].filter(pl.col("domain") == "in").sort("train_task", "index")
    row = gains.filter(train_task="nli", index=2).row(0, named=True)
    score = f"main: {row['tuned']:.3f} ({row['tuned_ci_low']:.3f} to {row['tuned_ci_high']:.3f})"
    assert (
        f"{score}, n {row['n']}, one seed"
        in told(draw("base_vs_tuned", at_last_only(tables)))["tuned"]
    )
    change = tables["gains"].filter(train_task="nli", dataset="quiz", index=2)
    [value] = change["gain"]
    cells = told(draw("cross_evaluation", tables))["nli"]
    assert [text for text in cells if text.startswith(f"quiz: {value:.3f} (")]
    points = tables["tradeoff"].filter(train_task="nli", index=2).row(0, named=True)
    [text] = [t for t in told(draw("tradeoff", tables))["full"] if f"{points['gain']:.3f} (" in t]
    assert f"{points['kept']:.3f} (" in text


def test_scores_with_a_warning_have_a_ring_and_say_which(tables):
    flagged = {"flag": "constant answer", "checkpoint": "main", "dataset": "quiz", "method": None}
    base = tables["base_scores"].filter(dataset="quiz", index=2).row(0, named=True)
    flagged |= {name: base[name] for name in ("format", "shots", "index")}
    blank = tables["suspicious"].clear()
    marked = pl.concat([blank, pl.DataFrame([flagged])], how="diagonal_relaxed")
    figure = draw("base_scores", tables | {"suspicious": marked})
    rings = [line for ax in figure.axes for line in ax.lines if line.get_label() == WARNED]
    assert [list(line.get_ydata()) for line in rings] == [[base["value"]]]
    assert "○: a score with a warning." in figure.texts[1].get_text()
    [text] = [text for text in told(figure)["quiz"] if "⚠" in text]
    assert text.startswith("main: ") and text.endswith("⚠ constant answer")
