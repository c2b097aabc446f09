"""Claims of the first page: limits that hold together, and verdicts of studies with known truth."""

import numpy as np
import pytest
from remedy_scores import Model, remedy_scores
from scipy.stats import chi2
from score_tables import pick, scores_of

from ptft.analysis.estimates import Estimates, SeedPart
from ptft.analysis.settings import Settings
from ptft.analysis.simultaneous import moderated, together
from ptft.analysis.statistics import holm
from ptft.analysis.tables import make_table
from ptft.analysis.tables.claims import claims


def normal(values, seed=1, draws=20_000, shared=0.0):
    """Estimates with independent standard normal errors, or with a shared part."""
    rng = np.random.default_rng(seed)
    values = np.array(values, dtype=float)
    noise = np.sqrt(1 - shared) * rng.standard_normal((len(values), draws))
    noise += np.sqrt(shared) * rng.standard_normal(draws)
    return Estimates(values, values[:, None] + noise)


def test_limits_of_ten_independent_estimates_are_sidaks():
    # The 0.95 ** (1 / 10) quantile of |z| is 2.80.
    found = together([normal([0.0] * 4), normal([3.5] * 6, seed=2)], 0.95, runs=1)
    assert -found.low[:4] == pytest.approx([2.80] * 4, abs=0.08)
    assert found.high[4:] - 3.5 == pytest.approx([2.80] * 6, abs=0.08)
    # 10 P(|z| > 3.5) = .0047
    assert found.p(found.score[5]) == pytest.approx(0.0047, abs=0.002)
    assert found.detectable == pytest.approx([2.80 + 0.84] * 10, abs=0.08)


def test_what_goes_together_counts_once():
    alone = together([normal([0.0])], 0.95, runs=1)
    alike = together([normal([0.0] * 50, shared=1.0)], 0.95, runs=1)
    assert alike.high == pytest.approx(alone.high.repeat(50), rel=0.03)
    assert alone.high == pytest.approx([1.96], abs=0.04)


def test_an_estimate_without_an_error_has_no_limits():
    known = normal([1.0, 5.0])
    unknown = Estimates(np.array([0.3]), np.full((1, 20_000), np.nan))
    found = together([known, unknown], 0.95, runs=1)
    assert np.isnan(found.low[2]) and np.isnan(found.p(found.score[2]))
    assert found.low[:2] == pytest.approx(together([known], 0.95, runs=1).low)


def test_variances_of_three_seeds_that_differ_by_chance_are_pooled():
    drawn = 0.04 * chi2.ppf((np.arange(60) + 0.5) / 60, 2) / 2
    found = moderated(SeedPart(drawn, np.full(60, 2.0)), runs=30)
    assert found.variance == pytest.approx([0.04] * 60, rel=0.02)
    assert set(found.freedom) == {60.0}  # of 30 runs with two degrees each
    # A study in which some runs fail: their variance stays larger than the others'.
    drawn[:10] *= 400
    mixed = moderated(SeedPart(drawn, np.full(60, 2.0)), runs=30)
    assert mixed.variance[:10].min() > mixed.variance[10:].mean() and mixed.freedom.max() < 10
    one_seed = SeedPart(np.zeros(3), np.full(3, np.inf))
    assert moderated(one_seed, runs=3) is one_seed


def test_holm_by_hand():
    assert holm(np.array([0.02, np.nan, 0.01, 0.04])) == pytest.approx(
        [0.04, np.nan, 0.03, 0.04], nan_ok=True
    )
    assert len(holm(np.array([]))) == 0


def test_a_planted_gain_and_loss_are_claimed_and_nothing_else(load_benchmark):
    setting = {"planted": True, "n": 2000, "seeds": 1, "scatter": 0.0}
    made = load_benchmark("coverage_pages").made_up_study(setting, np.random.default_rng(5), 0)
    table = claims(made[0], Settings())
    verdicts = {claim: set(rows["verdict"]) for (claim,), rows in table.group_by("claim")}
    assert verdicts["gain"] == verdicts["mean gain"] == {"rises"}
    assert verdicts["headroom"] == {"falls"} and verdicts["spared"] == {"rises"}
    assert verdicts["rise"] == {"flat"}  # 2,000 examples show that nothing rises by .10
    for claim in ("tuned rise", "excess", "gap", "drop", "trend"):
        assert verdicts[claim] <= {"flat", "undecided"}, claim
    loss = pick(table, claim="headroom", method="full", direction="generation>classification")
    assert loss["datasets"] == "nli quiz"  # pairs is at chance
    assert loss["ci_low"] < -(0.2 / (0.6 - 1 / 3) * 3 + 0.2 / 0.35 * 2) / 5 < loss["ci_high"]


def test_an_interval_of_few_seeds_ends_where_scores_do():
    """Two seeds, one of which fails: the mean gain is anywhere from a loss to all there is."""
    base = Model([0.5], [0.8], method=None)
    models = [Model([0.95], [0.8], seeds=(0,)), Model([0.5], [0.8], seeds=(1,))]
    scores = remedy_scores([base, *models], 500, np.random.default_rng(0))
    row = pick(claims(scores, Settings()), claim="gain")
    assert row["ci_low"] == -1.0 and row["ci_high"] == 1.0 and row["verdict"] == "undecided"
    gain = pick(make_table("gains", scores, Settings()), domain="in")
    assert (gain["ci_low"], gain["ci_high"]) == (-1.0, 1.0)


def test_only_the_tuned_score_rises_where_the_base_is_shown_to_be_flat():
    """120 examples can't show that the base score does not rise; 4,000 can."""
    curves = {"base": (0.41, 0.43), "tuned": (0.41, 0.9)}
    few, many = (claims(scores_of(**curves, n=n), Settings()) for n in (120, 4000))
    assert pick(few, claim="tuned rise")["verdict"] == pick(many, claim="tuned rise")["verdict"]
    assert pick(few, claim="tuned rise")["verdict"] == "rises"
    assert (pick(few, claim="rise")["verdict"], pick(many, claim="rise")["verdict"]) == (
        "undecided", "flat",
    )  # fmt: skip
    assert pick(few, claim="excess")["ci_low"] > 0  # the tuned score rises more, for sure
    assert pick(few, claim="excess")["verdict"] == "rises"
    assert pick(many, claim="excess")["verdict"] == "only tuned"


def test_a_rise_that_guessing_explains_is_none():
    constant = claims(scores_of((0.1, 0.39), (0.1, 0.39), prediction_share=1.0), Settings())
    assert pick(constant, claim="rise")["ci_low"] > 0
    assert pick(constant, claim="rise")["verdict"] == "undecided"  # the majority's share is .40


def test_when_pretraining_could_have_stopped_with_all_other_claims():
    """From step 1 on nothing is lost; with few examples no stop is shown."""
    base = Model([0.3] * 4, [0.6] * 4, method=None)
    tuned = Model([0.6, 0.8, 0.8, 0.8], [0.6] * 4)
    stops = {}
    for n in (60, 20_000):
        table = claims(remedy_scores([base, tuned], n, np.random.default_rng(0)), Settings())
        stops[n] = pick(table, claim="stop")
        assert pick(table, claim="drop")["verdict"] == "undecided"
    assert (stops[20_000]["verdict"], stops[20_000]["checkpoint"]) == ("earlier", "step1")
    assert stops[20_000]["ci_low"] > -0.02 and stops[60]["verdict"] == "undecided"
