"""Generic text in the cells, apart from the scores of prompts, and its own table."""

import math

import numpy as np
import polars as pl
import pytest
from score_tables import pick
from synthetic_scores import add_text, collect, study_slice, write_evaluations

from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.statistics import confidence_draws, score_interval
from ptft.analysis.tables import TABLES, make_table
from ptft.evaluation.results import linearised


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text")
    study = study_slice(n_seeds=2, formats=("default",))
    write_evaluations(study, folder, n=60)
    plain = collect(study, folder)
    return plain, collect(add_text(study, folder), folder), folder


@pytest.fixture(scope="module")
def scores(collected):
    _, with_text, _ = collected
    return Scores.build(with_text.cells, with_text.replicates)


def test_a_cells_value_is_the_ratio_over_the_corpus(collected):
    _, with_text, folder = collected
    cells = with_text.cells.filter(pl.col("dataset") == "news")
    file = pl.read_parquet(folder / "main/full.nli.s0/news.default.0shot.parquet")
    row = pick(cells, checkpoint="main", arm="full.nli.s0", metric="bits_per_byte")
    ratio = file["nats"].sum() / math.log(2) / file["bytes"].sum()
    assert row["value"] == pytest.approx(ratio, rel=1e-9) and row["main"]
    # The delta method by hand.
    rest = file["nats"] / math.log(2) - ratio * file["bytes"]
    stderr = rest.std(ddof=0) / math.sqrt(60) / file["bytes"].mean()
    assert row["stderr"] == pytest.approx(stderr, rel=1e-9)
    # A loss below 1 is no share: its interval has no upper end at 1 to bend it.
    base = pick(cells, checkpoint="main", arm="base", metric="bits_per_byte")
    assert 0.8 < base["value"] < 1
    assert base["ci_high"] - base["value"] == pytest.approx(base["value"] - base["ci_low"])
    assert (row["n"], row["chance"], row["kind"]) == (60, None, "text")
    found = cells.filter(pl.col("arm") == "full.nli.s0")["metric"].unique().sort().to_list()
    agreement = ["cross_entropy_to_base", "nats_per_token", "same_top_token"]
    assert found == ["bits_per_byte", *agreement]
    base = cells.filter(pl.col("arm") == "base")["metric"].unique().sort().to_list()
    assert base == ["bits_per_byte", "nats_per_token"]  # there is nothing to compare it with


@pytest.mark.parametrize("name", sorted(TABLES.keys() - {"generic_text", "claims"}))
def test_no_table_of_prompts_knows_of_it(collected, scores, name):
    plain = Scores.build(collected[0].cells, collected[0].replicates)
    with_text = make_table(name, scores, Settings())
    assert with_text.equals(make_table(name, plain, Settings()))


def test_the_table_by_hand(scores):
    table = make_table("generic_text", scores, Settings())
    assert len(table) == 3 * 3 and table["dataset"].unique().to_list() == ["news"]
    base = pick(table, checkpoint="main", method=None)
    first = pick(table, checkpoint="step10", method=None)
    assert base["bits_per_byte"] == pytest.approx(0.9, rel=0.1)
    assert base["since_first"] == pytest.approx(base["bits_per_byte"] - first["bits_per_byte"])
    assert first["since_first"] is None and base["change"] is None
    # All documents get worse by the same factor: paired, the change is known far better.
    tuned = pick(table, checkpoint="main", train_task="nli")
    assert tuned["base"] == base["bits_per_byte"]
    assert tuned["change"] == pytest.approx(base["bits_per_byte"] * (1.3 / 0.9 - 1))
    assert tuned["change_ci_low"] < tuned["change"] < tuned["change_ci_high"]
    assert tuned["change_stderr"] < 0.6 * (tuned["stderr"] + base["stderr"])
    assert tuned["n_seeds"] == 2 and tuned["n"] == 60
    assert tuned["cross_entropy_to_base"] == pytest.approx(3.0)
    assert tuned["same_top_token"] == pytest.approx(0.5)
    assert base["same_top_token"] is None and base["nats_per_token"] > 0


def test_intervals_of_the_ratio_hold():
    """Documents of very different lengths, the long ones easier; a change that varies by document.

    2,000 draws: a coverage is known to half a point.
    """
    rng, draws, n = np.random.default_rng(1), 2000, 120
    true = 1.2 - 0.05  # E[b (1.2 - 0.05 (log b - 6))] / E b for a lognormal b of this kind
    hit = paired = 0
    for _ in range(draws):
        size = rng.lognormal(6, 1, n)
        level = 1.2 - 0.05 * (np.log(size) - 6)
        base = size * (level + rng.normal(0, 0.2, n))
        tuned = base + size * rng.normal(0.03, 0.1, n)
        one, other = (np.array(linearised(bits, size)) for bits in (base, tuned))
        low, high = score_interval([one.mean()], [one.var() / n], [n], bounded=False)
        hit += low[0] <= true <= high[0]
        low, high = score_interval([(other - one).mean()], [(other - one).var() / n], [n],
                                   bounded=False)  # fmt: skip
        paired += low[0] <= 0.03 <= high[0]
    assert 0.90 < hit / draws < 0.97
    assert 0.90 < paired / draws < 0.97


def test_draws_of_a_loss_are_normal_and_paired():
    rng = np.random.default_rng(0)
    shared = rng.normal(size=4000)
    replicates = np.stack([0.9 + 0.05 * shared, 0.95 + 0.05 * shared])
    args = (np.array([0.9, 0.95]), np.array([0.05, 0.05]) ** 2, np.array([60.0, 60.0]))
    noise = rng.standard_normal(replicates.shape)
    draws = confidence_draws(*args, replicates, noise, bounded=False)
    assert draws.max() > 1.05  # a share would end at 1
    assert np.percentile(draws[0], 97.5) == pytest.approx(0.9 + 1.96 * 0.05, abs=1e-3)
    assert np.std(draws[1] - draws[0]) < 1e-3
