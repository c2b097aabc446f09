"""The released tables, and what the paper reports from them."""

import hashlib
import json
import re
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pytest
import yaml

from ptft.analysis.released_scores import (
    read_published,
)
from ptft.analysis.scores import Scores
from ptft.analysis.settings import Settings
from ptft.analysis.tables import TABLES, analyse, make_table
from ptft.analysis.tables.forgetting import ALL_TASKS
from ptft.analysis.tables.formats import ALL_DATASETS
from ptft.report.page import StudyFiles, write_page
from ptft.study import StudyError
from ptft.study.finished import ArchivedCells, read_finished

ORDER = [
    "step1000", "step18000", "step342000", "step424000", "step505000", "step592000",
    "step738000", "main",
]  # fmt: skip
RELEASED = ["all_perf_table.csv", "official_eval_table.csv", "it_perf_table.csv"]
NUMBER = re.compile(r"[+−]?\d+\.\d+")
LIMITS = ("ci_low", "ci_high")
# The paper's Table 6, as printed.
TABLE_6 = {
    "learned": [0.048, 0.048, 0.004, 0.010, 0.030, 0.027, 0.021, -0.005],
    "not_learned": [0.062, 0.149, 0.286, 0.297, 0.304, 0.297, 0.264, 0.290],
}


@pytest.fixture(scope="session")
def config(repository):
    return yaml.safe_load((repository / "config/published.yaml").read_text())


@pytest.fixture(scope="session")
def source(config, repository):
    return config["published"] | {"root": str(repository / config["published"]["root"])}


@pytest.fixture(scope="session")
def published(source):
    return read_published("published", source)


@pytest.fixture(scope="session")
def scores(published):
    return Scores.build(published.cells, published.replicates)


@pytest.fixture(scope="session")
def settings(config):
    return Settings(**config["analysis"])


def test_the_tables_stand_beside_their_source(source):
    root = Path(source["root"])
    about = (root / "README.md").read_text()
    for name, digest in source["tables"].items():
        assert hashlib.sha256((root / name).read_bytes()).hexdigest() == digest
        assert f"| `{name}` | `{digest}` |" in about
    for said in ("KaiserWhoLearns/AmuroCharPTFTRelationship", "505fe4f3a7d91b0179", "Apache-2.0"):
        assert said in about


def test_tables_that_are_not_there_are_refused(config, repository, tmp_path, monkeypatch):
    monkeypatch.chdir(repository)
    file = Path("config/published.yaml")
    library = repository / "config"
    sources = read_finished(config, [file], library).sources
    assert sources == [f"config/published/{n}" for n in RELEASED]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError) as refusal:
        read_finished(config, [repository / file], library)
    for said in ("published.yaml:9: published.root", RELEASED[0], str(tmp_path)):
        assert said in str(refusal.value)
    elsewhere = deepcopy(config)
    elsewhere["published"]["root"] = "https://example.org/tables"
    assert read_finished(elsewhere, [file], library).sources == []


def test_the_end_of_pre_training_is_that_of_the_models_file(source, scores, settings, repository):
    model = yaml.safe_load((repository / "config/models/olmo-1b.yaml").read_text())
    end = model["source"]["checkpoints"]["main"]["step"]
    assert source["main_step"] == end
    tokens = by_checkpoint(scores.checkpoints, "tokens")
    assert tokens["main"] - tokens["step738000"] == 20 * 2048 * 2048
    stops = make_table("stopping", scores, settings)
    mnli = stops.row(by_predicate=pl.col("dataset") == "mnli_matched", named=True)
    assert mnli["stop_checkpoint"] == "step342000"
    assert mnli["stop_share_saved"] == pytest.approx(1 - 342_000 / end)
    # A margin of 0.02 is a third of XLSum's last score: a score that halves would be within it.
    assert stops.filter("too_low")["dataset"].to_list() == ["xlsum"]


def by_checkpoint(table, column):
    return dict(table.select("checkpoint", column).iter_rows())


def released_scores(source, table, dataset):
    """ReleasedModel id -> score of a dataset, straight from a released table."""
    rows = pl.read_csv(f"{source['root']}/{table}.csv").filter(pl.col("eval dataset") == dataset)
    return dict(rows.select("model_id", "Performance").iter_rows())


def base_id(checkpoint):
    """The few-shot model id of a base model in all_perf_table.csv."""
    step = checkpoint.removeprefix("step")
    place = "" if checkpoint == "main" else f"checkpoint-{step}_"
    return f"olmo1b_{place}original_hf_4shots"


def tuned_id(checkpoint, task):
    """The few-shot model id of a fine-tuned model in all_perf_table.csv."""
    step = checkpoint.removeprefix("step")
    place = "main" if checkpoint == "main" else f"ckpt{step}"
    rate = "2e-7" if task == "xsum" else "2e-6"
    return f"olmo1b_hf_{place}_{task}_3epoch_{rate}_4shots"


@pytest.mark.parametrize("group", sorted(TABLE_6))
def test_table_6(scores, settings, group):
    table = make_table("paper_groups", scores, settings).filter(pl.col("group") == group)
    ours = by_checkpoint(table, "gain_as_published")
    assert [round(ours[c], 3) for c in ORDER] == TABLE_6[group]
    assert table["complete"].all()


def test_table_6_with_every_dataset_counted_once(scores, settings):
    table = make_table("paper_groups", scores, settings)
    once = by_checkpoint(table.filter(pl.col("group") == "learned"), "gain")
    # By hand from official_eval_table.csv, e.g. step1000: (0.0014 + 0.0228 + 0.0067 + 0.05
    # + 0.103) / 5.
    assert [round(once[c], 3) for c in ORDER] == [
        0.037, 0.041, 0.002, 0.009, 0.022, 0.017, 0.014, -0.002,
    ]  # fmt: skip
    other = table.filter(pl.col("group") == "not_learned")
    assert other["gain"].to_list() == pytest.approx(other["gain_as_published"].to_list())


def test_the_rule_finds_the_papers_groups(scores, settings):
    groups = make_table("groups", scores, settings).filter(pl.col("paper_group").is_not_null())
    assert len(groups) == 12
    assert groups["group"].to_list() == groups["paper_group"].to_list()


# Task -> test set -> its name in the released table (Figures 6, 7, 9 to 14).
CURVES = {
    "mnli": {
        **{name: name for name in ("mnli_matched", "mnli_mismatched", "rte")},
        "gpt3_nli": "gpt3nli",
    },
    "paws": {name: name for name in ("paws", "qqp", "stsb")},
    "xsum": {"xsum": "xsum", "xlsum": "xlsum", "cnn_dailymail": "cnn"},
    "socialiqa": {"socialiqa": "socialiqa", "sciq_question": "sciq", "tweetqa": "tweetqa"},
}
INSTRUCTED = ["hellaswag", "arc_easy", "arc_challenge", "openbookqa", "boolq", "sciq"]


def curve(table, task, dataset):
    """(checkpoint, base, tuned) of a table of gains, in the order of pre-training."""
    rows = table.filter(train_task=task, dataset=dataset).sort("index")
    assert rows["checkpoint"].to_list() == ORDER
    return rows.select("checkpoint", "base", "tuned").rows()


def test_curves_are_the_released_values(scores, settings, source):
    """Base and tuned curves point by point; those of instruction tuning are Figure 4."""
    gains = make_table("gains", scores, settings)
    for task, names in CURVES.items():
        for dataset, released in names.items():
            value = released_scores(source, "all_perf_table", released)
            for checkpoint, base, tuned in curve(gains, task, dataset):
                expected = (value[base_id(checkpoint)], value[tuned_id(checkpoint, task)])
                assert (base, tuned) == expected
    for dataset in INSTRUCTED:
        value = released_scores(source, "official_eval_table", dataset)
        for checkpoint, base, tuned in curve(gains, "tulu", dataset):
            step = checkpoint.removeprefix("step")
            untuned = "olmo1b_original_hf" if checkpoint == "main" else f"checkpoint-{step}"
            place = "main" if checkpoint == "main" else f"ckpt{step}"
            assert (base, tuned) == (value[untuned], value[f"olmo1b_hf_{place}_tulu_5epoch_2e-6"])


def test_formats_are_the_released_values(scores, settings, source):
    """Base and tuned scores in the other formats (Figure 5), point by point."""
    table = make_table("formats", scores, settings)
    for task in CURVES:
        for dataset in ("mnli_matched", "mnli_mismatched") if task == "mnli" else (task,):
            for name, suffix in (("instruct", "_instruct"), ("io", "_inputoutput")):
                value = released_scores(source, "all_perf_table", f"{dataset}{suffix}")
                rows = table.filter(dataset=dataset, format=name)
                found = rows.select("train_task", "checkpoint", "value").rows()
                assert sorted(found, key=str) == sorted(
                    (
                        (arm, at, value[tuned_id(at, task) if arm else base_id(at)])
                        for at in ORDER
                        for arm in (None, task)
                    ),
                    key=str,
                )


CLASSIFICATION, GENERATION = {"mnli": "mnli_matched", "paws": "paws"}, ["xsum", "socialiqa"]


def test_the_format_gap_shrinks_less_surely_than_its_points_are_known(scores, settings):
    """Checkpoints about their line: what linear regression says, not the examples alone.

    The last two of the eight are 20 steps apart and count once; without the first of the others the
    verdict would be another.
    """
    from scipy.stats import linregress

    trends = make_table("format_trends", scores, settings)
    gaps = make_table("formats", scores, settings).filter(
        pl.col("method").is_not_null() & (pl.col("format") == "instruct")
    )
    whole = gaps.filter(pl.len().over("train_task", "dataset") == len(ORDER))
    curve = whole.group_by("index").agg(pl.col("gap").mean()).sort("index")
    gap = [*curve["gap"][:-2], curve["gap"][-2:].mean()]
    trusted = linregress(range(len(gap)), gap)
    mean = trends.filter(
        (pl.col("dataset") == ALL_DATASETS)
        & pl.col("method").is_not_null()
        & (pl.col("format") == "instruct")
    ).row(0, named=True)
    assert (mean["slope"], mean["p"]) == pytest.approx((trusted.slope, trusted.pvalue), abs=1e-4)
    assert [round(mean[key], 3) for key in ("slope", "slope_ci_low", "slope_ci_high", "p")] == [
        0.013, -0.005, 0.031, 0.12,
    ]  # fmt: skip
    assert mean["slope_hangs_on"] == "first"
    single = trends.filter(pl.col("dataset") != ALL_DATASETS)
    assert (single["p"] < 0.05).sum() == 2 and single["p_adjusted"].min() > 0.5


def test_transfer_in_both_directions_from_the_released_rows(scores, settings, source):
    """The mean over pairs of (tuned - base) / base, where both are released, at 4 shots."""
    value = {
        name: released_scores(source, "all_perf_table", name)
        for name in [*CLASSIFICATION.values(), *GENERATION]
    }
    pairs = {
        "classification>generation": [(t, d) for t in CLASSIFICATION for d in GENERATION],
        "generation>classification": [(t, d) for t in GENERATION for d in CLASSIFICATION.values()],
    }
    table = make_table("forgetting", scores, settings).filter(pl.col("train_task") == ALL_TASKS)
    for direction, listed in pairs.items():
        found = by_checkpoint(table.filter(pl.col("direction") == direction), "mrc")
        assert list(found) == ORDER
        for checkpoint in ORDER:
            changes = [
                value[dataset][tuned_id(checkpoint, task)] / value[dataset][base_id(checkpoint)] - 1
                for task, dataset in listed
            ]
            assert found[checkpoint] == pytest.approx(sum(changes) / len(changes), abs=1e-9)


def test_the_hidden_labels_are_flagged_from_the_numbers(scores, settings):
    table = make_table("suspicious", scores, settings)
    perfect = table.filter(pl.col("flag") == "near perfect untuned")
    assert set(perfect["dataset"]) == {"qqp", "stsb", "llmbar_Adversarial_Manual"}
    qqp = perfect.filter(pl.col("dataset") == "qqp", pl.col("format") == "default")
    assert set(qqp["checkpoint"]) >= {"step1000", "step18000", "step738000", "main"}
    # None of the datasets with real labels is accused of it.
    assert not set(table.filter(pl.col("flag") == "near perfect untuned")["dataset"]) & {
        "mnli_matched", "paws", "hellaswag", "sciq",
    }  # fmt: skip


def test_what_is_left_out_is_listed(published, source):
    unknown = published.unknown
    released = sum(len(pl.read_csv(f"{source['root']}/{table}")) for table in source["tables"])
    assert len(published.cells) + len(unknown) == released == 649 + 107 + 97
    reasons = dict(unknown.group_by("reason").len().iter_rows())
    assert reasons == {
        # AlpacaEval, TruthfulQA and ToxiGen: the release does not say what is measured.
        "unknown dataset 'alpaca'": 5,
        "unknown dataset 'truthfulqa'": 7,
        "unknown dataset 'toxigen'": 11,
        "unknown model id": 47,
        "learning rate 2e-05, the study's is 2e-06": 1,
        "second run of olmo1b_checkpoint-1000_original_hf_4shots": 1,
    }
    assert set(unknown.filter(pl.col("reason") == "unknown model id")["table"]) == {
        "it_perf_table.csv"
    }


def test_two_runs_of_one_cell_are_refused(source):
    both = source | {"ignored_models": {}}
    with pytest.raises(ValueError, match=r"row 329 .*1000_original_hf.*row 409 \(checkpoint-1000"):
        read_published("published", both)


def quoted(readme):
    """Claim of the first page's table -> its numbers."""
    return {
        row[0].strip(): [float(word.replace("−", "-")) for word in NUMBER.findall(row[1])]
        for row in re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", readme.split("## ")[0], re.M)
        if NUMBER.search(row[1])
    }


def test_the_readme_quotes_them(published, scores, settings, repository):
    """The table of claims on the first page: values at both ends, and what all claims allow."""
    found = quoted((repository / "README.md").read_text())
    # The Japanese one has the same numbers in the same order.
    japanese = quoted((repository / "README.ja.md").read_text())
    assert [*japanese.values()] == [*found.values()]
    tables = {
        name: make_table(name, scores, settings)
        for name in ("latent", "gain_trends", "claims", "base_scores")
    }
    hellaswag = tables["base_scores"].filter(dataset="hellaswag").sort("index")["value"]
    mnli = tables["latent"].row(by_predicate=pl.col("dataset") == "mnli_matched", named=True)
    gains = tables["gain_trends"].filter(group="not_learned").row(0, named=True)

    def claimed(*columns, **which):
        return tables["claims"].filter(**which).select(columns or ("value", *LIMITS)).row(0)

    kept = {
        direction: [100 * value for value in claimed(claim="headroom", direction=direction)]
        for direction in ("classification>generation", "generation>classification")
    }
    trend = {"claim": "trend", "question": "added", "group": "not_learned"}
    expected = {
        "pre-training teaches some tasks": [hellaswag[0], hellaswag[-1]],
        "others only show after fine-tuning": [
            *(mnli[key] for key in ("base_first", "base_last", "tuned_first", "tuned_last")),
            *claimed(claim="tuned rise", dataset="mnli_matched"),
        ],
        "on these, later checkpoints gain more": [
            *(gains[key] for key in ("gain_first", "gain_last")),
            *claimed("value", "p", **trend),
        ],
        "tuning on classification loses generation": kept["classification>generation"],
        "tuning on generation keeps classification": kept["generation>classification"],
    }
    assert found.keys() == expected.keys()
    for claim, values in expected.items():
        digits = 1 if "tuning on" in claim else 3
        assert found[claim] == [round(value, digits) for value in values], claim


@pytest.fixture(scope="module")
def redrawn(repository, tmp_path_factory):
    """The folder of the archived study of a real model: its tables and its page made again."""
    root, file = tmp_path_factory.mktemp("real"), repository / "config/smollm2-135m-instruct.yaml"
    config = yaml.safe_load(file.read_text())
    archive = repository / config["published"]["archive"]
    config["published"]["archive"] = str(archive)
    study = read_finished(config, [file], repository / "config")
    ArchivedCells(**study.reading).read_into(root)
    (root / "study.yaml").write_text(yaml.safe_dump(study.resolved))
    (root / "settings.json").write_text(json.dumps(asdict(study.study.analysis)))
    read = (root / f"tables/{name}.parquet" for name in ("cells", "replicates", "arms"))
    cells, replicates, arms = read
    analyse(cells, root / "tables", replicates, arms, root / "settings.json", tuple(TABLES))
    records = (root / "state/trained",)
    files = StudyFiles(root / "study.yaml", root / "tables", root / "figures", records)
    write_page(files, root / "report.html", [])
    return root


def test_the_study_of_a_real_model_is_redrawn_to_its_end(redrawn, repository):
    archive = repository / "config/published/smollm2-135m-instruct.tar.gz"
    assert archive.stat().st_size < 2_000_000
    findings = pl.read_parquet(redrawn / "tables/findings.parquet")
    # By hand from the study: the base model, 16 tuned ones and 8 half-way; four datasets each.
    assert findings.filter(kind="run")["count"].to_list() == [25 * 4]
    assert "4 bits a weight" in (redrawn / "report.html").read_text()
    # Tuned on labels it answers XSum with nothing: that is most of its loss.
    flagged = pl.read_parquet(redrawn / "tables/suspicious.parquet").filter(train_task="mnli")
    empty = flagged.filter(pl.col("derived").is_null(), flag="empty answers", dataset="xsum_lead")
    assert set(empty["method"]) == {"full", "lora"}


def test_the_readme_quotes_the_study_of_a_real_model(redrawn, repository):
    """Each number with its interval, as the archived scores give them with all other claims."""
    text = (repository / "README.md").read_text().split("## The same on a real model")[1]
    number = r"(−?\d+\.\d+)"
    quoted = re.findall(rf"{number} (?:% )?\({number}\s+to\s+{number}\)", text.split("\n## ")[0])
    claims = pl.read_parquet(redrawn / "tables/claims.parquet")
    lost = {"claim": "headroom", "direction": "classification>generation"}
    told = [
        ({**lost, "method": "full"}, 100),
        ({**lost, "method": "lora"}, 100),
        *(
            ({"claim": "gain", "method": "full", "dataset": dataset}, 1)
            for dataset in ("socialiqa", "xsum_lead", "mnli_matched", "paws")
        ),
        *(({"claim": "text", "method": m, "train_task": "mnli"}, 1) for m in ("lora", "full")),
    ]
    assert len(quoted) == len(told)
    for words, (which, scale) in zip(quoted, told, strict=True):
        [row] = claims.filter(**which).select("value", *LIMITS).rows()
        digits = 1 if scale == 100 else 3
        found = [round(float(word.replace("−", "-")), digits) for word in words]
        assert found == [round(scale * value, digits) for value in row], which
    [empty] = re.findall(r"leave (\d+) to (\d+) % of the summaries without text", text)
    cells = pl.read_parquet(redrawn / "tables/cells.parquet").filter(pl.col("derived").is_null())
    told = cells.filter(metric="empty", dataset="xsum_lead", train_task="mnli")["value"]
    assert [round(100 * share) for share in (told.min(), told.max())] == [*map(int, empty)]
