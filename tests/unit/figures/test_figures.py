"""Figures: drawn from real tables, the same bytes twice, honest where there is nothing."""

import re
from pathlib import Path

import polars as pl
import pytest

import plot_figure
from ptft import language
from ptft.analysis.tables.learning import hidden_labels
from ptft.analysis.tuned_models import CHOSEN
from ptft.figures import FIGURES, Overlay, draw
from ptft.figures.axis import distances
from ptft.figures.style import PALE
from ptft.language import short_number


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
    figure = draw("base_vs_tuned", tables | {"gains": swept}, arms=arms)
    drawn = lines(figure)
    rows = gains.filter(dataset="nli_in", train_task="nli").sort("index")["tuned"]
    more = settings[CHOSEN if chosen else label]
    assert drawn["nli", "nli_in"] == (rows + more).to_list()
    key = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert f"tuned (full, {label})" in key


@pytest.mark.parametrize("name", sorted(FIGURES))
def test_figure_is_drawn_without_its_rows(tables, name):
    empty = {table: tables[table].clear() for table in FIGURES[name].tables}
    figure = draw(name, empty)
    assert figure.texts[0].get_text()


def title(figure):
    return figure.texts[0].get_text().replace("\n", " ")


def test_titles_count_the_pages_claims_of_the_first_method(tables):
    claims = tables["claims"]
    gains = claims.filter(pl.col("claim") == "gain")
    assert len(gains) == 2 and set(gains["verdict"]) == {"rises"}
    both = pl.concat([claims, gains.with_columns(method=pl.lit("lora"))])
    unsure = pl.when(pl.col("train_task") == "nli").then(pl.lit("undecided"))
    one = claims.with_columns(verdict=unsure.otherwise("verdict"))
    for told, count in ((claims, 2), (both, 2), (one, 1)):
        assert title(draw("base_vs_tuned", tables | {"claims": told})) == (
            f"At the last checkpoint fine-tuning raises the score on {count} of its 2 own test sets"
        )


@pytest.mark.parametrize(
    ("name", "claim", "verdict", "neutral", "shown"),
    [
        ("base_scores", "rise", "rises", None, "teaches 4 of 4 datasets"),
        ("stopping", "stop", "earlier", None, "For 2 of 2 own test sets"),
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
    assert (
        judged("undecided") == neutral
        or " 0 of " in judged("undecided")
        or (judged("undecided").startswith("No own test set"))
    )


def test_program_writes_the_same_bytes_twice(tables, tmp_path):
    for name in FIGURES["domains"].tables:
        tables[name].write_parquet(tmp_path / f"{name}.parquet")
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
    for ours, theirs in (("_base", "_base (paper)"), ("nli_in", "_tuned (paper)")):
        assert drawn["nli", theirs] == [v + 0.1 for v in drawn["nli", ours][1:]]
    assert ("", "nli_out") in drawn and ("", "_tuned (paper)") not in drawn


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
    known = tables | {"base_scores": tables["base_scores"].filter(pl.col("tokens").is_not_null())}
    known |= {"suspicious": tables["suspicious"].clear()}
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
        "3.1T",
    ]


def test_distances_of_checkpoints():
    # As released: a jump over what nobody sampled, and an end that is 20 steps further.
    olmo = [1000, 18_000, 342_000, 424_000, 505_000, 592_000, 738_000, 738_020]
    assert distances(olmo) == [1, 1.4, 1, 1, 1, 1, 0.35]
    assert distances([25, 100, 300, 800, 1800, 4000]) == [1] * 5  # a log scale has no jump
    assert distances([10, 100, None]) == [1, 1] and distances([7]) == []


def test_names_as_people_write_them_are_no_formulas(tables):
    titles = {"tasks": {"nli": "NLI $x$"}, "datasets": {"nli_in": "NLI (in)"}}
    language.use("en", titles)
    drawn = lines(draw("base_vs_tuned", tables))
    language.use("en")
    assert ("NLI $x$", "NLI (in)") in drawn


def test_every_curve_has_its_own_interval(tables):
    row = (
        tables["gains"]
        .filter(train_task="nli", dataset="nli_in", checkpoint="main")
        .row(0, named=True)
    )
    for score in ("base", "tuned"):
        assert row[f"{score}_ci_low"] < row[score] < row[f"{score}_ci_high"] <= 1
    # 48 of 60 right: Wilson's interval is .682 to .882.
    assert row["tuned_ci_low"] == pytest.approx(0.682, abs=0.02)
    assert row["tuned_ci_high"] == pytest.approx(0.882, abs=0.02)


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


@pytest.mark.parametrize("name", ["base_vs_tuned", "abstract"])
def test_a_study_of_one_checkpoint_has_bars_with_intervals(tables, name):
    [ax] = draw(name, at_last_only(tables)).axes
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
    none = {name: tables[name].clear() for name in ("gains", "latent", "group_gains", "forgetting")}
    drawn = draw("abstract", tables | none)
    quiz = tables["base_scores"].filter(dataset="quiz").sort("index")["value"].to_list()
    assert quiz in [list(line.get_ydata()) for ax in drawn.axes for line in ax.lines]
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
    key = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    assert "not every seed learned" in key
