"""The front page says what the tables hold."""

import base64
import csv
import html
import json
import re

import docutils.core
import jinja2
import polars as pl
import pytest
import yaml
from score_tables import scores_of
from slice_files import slice_file
from synthetic_scores import study_slice, write_evaluations

import analyse
import collect_cells
import write_front_page
from ptft.analysis.settings import Settings
from ptft.analysis.tables import make_table
from ptft.language.translation import FOLDER
from ptft.language.words import Words
from ptft.report.conditions import Conditions, arm_said
from ptft.report.curve_findings import latent_findings
from ptft.report.hypothesis import hypothesis
from ptft.report.rst import (
    change,
    csv_table,
    literal,
    number,
    parted,
    picture,
    plain,
    without_templates,
)
from ptft.study import read_study
from ptft.study.slices import resolved_study

# What a description from someone else may hold: directives, links, markup, templates.
HOSTILE = """.. include:: /etc/passwd

.. raw:: html

   <script>alert(1)</script>

.. csv-table:: x
   :file: /etc/passwd

`x <javascript:alert(1)>`_ and |sub| and name_ and *star `` tick {{ 7 * 191 }} {% raw %} {# x #}

- 1. (a) :field: +---+ ==== >>> ::"""
SETTINGS = {"file_insertion_enabled": False, "raw_enabled": False, "halt_level": 2}


@pytest.fixture(scope="module")
def page_in(tmp_path_factory, repository):
    """Language -> the front page of a made-up study."""
    folder = tmp_path_factory.mktemp("study")
    study = study_slice()
    write_evaluations(study, folder / "evaluations")
    (folder / "evaluations/main/base/quiz.io.4shot.parquet").unlink()
    for file in (folder / "evaluations").rglob("quiz.*"):  # every prompt lost shots
        pl.read_parquet(file).with_columns(truncated=True).write_parquet(file)
    constant = folder / "evaluations/main/full.story.s0/nli_out.default.4shot.parquet"
    pl.read_parquet(constant).with_columns(prediction=pl.lit("a")).write_parquet(constant)
    (folder / "models/main/full.nli.s0").mkdir(parents=True)
    (folder / "models/main/full.nli.s0/training.json").write_text(
        json.dumps({"train_examples": 60, "validation_examples": 0, "dropped_examples": []})
    )
    tables = folder / "tables"
    collect_cells.main(
        [
            "--study",
            slice_file(folder / "slice.json", study),
            "--evaluations",
            str(folder / "evaluations"),
            "--output",
            str(tables / "cells.parquet"),
            "--csv",
            str(tables / "cells.csv"),
            "--replicates",
            str(tables / "replicates.parquet"),
            "--missing",
            str(tables / "missing.csv"),
        ]
    )
    analyse.main(
        [
            "--cells",
            str(tables / "cells.parquet"),
            "--replicates",
            str(tables / "replicates.parquet"),
            "--output-dir",
            str(tables),
        ]
    )
    config = repository / "config/pocket.yaml"
    resolved = resolved_study(
        read_study(yaml.safe_load(config.read_text()), [config], repository / "config")
    )
    resolved["study"] |= {"study": "made_up", "description": HOSTILE}
    (folder / "study.yaml").write_text(yaml.safe_dump(resolved))

    def write(language):
        write_front_page.main(
            [
                *("--study", str(folder / "study.yaml"), "--cells", str(tables / "cells.parquet")),
                *("--tables", str(tables), "--models", str(folder / "models")),
                *("--language", language, "--output", str(folder / "page.rst")),
            ]
        )
        return (folder / "page.rst").read_text()

    return write


@pytest.fixture(scope="module")
def page(page_in):
    return page_in("en")


def row_of(page, *begin):
    """The row of a table that begins with these cells."""
    rows = (line[3:] for line in page.splitlines() if line.startswith("   "))
    cells = (next(csv.reader([row], skipinitialspace=True)) for row in rows if row.count(",") > 2)
    [found] = [row for row in cells if row[: len(begin)] == list(begin)]
    return found


def test_sentences(page):
    assert "``tiny``: pre-training checkpoints: 3 (``step10``, ``step100``, ``main``)" in page
    assert "and fine-tuned: 2 (``full`` on ``nli``, ``story``; seeds: 1)" in page
    assert "Scores in all: 107, over answers: 21,400." in page
    assert "Scores of the study that are missing: 1 (" in page
    curve = row_of(page, "nli (full, one seed)", "nli_in", "0.400")
    assert curve[3] == "0.800" and curve[4].startswith("+0.400 (0.")
    assert curve[5:7] == ["0.330", "0.340"] and curve[7].startswith("+0.010 (−0.")
    assert "Pre-training alone teaches 1 of 4 datasets, by rule" in page
    assert row_of(page, "``quiz``")[1:4] == ["0.250", "0.600", "learned"]
    assert row_of(page, "``nli_in``")[1:4] == ["0.330", "0.340", "not learned"]
    assert "by the rule above; format ``default``, shots: 4): ``nli_in``, ``nli_out``." in page
    assert '   "nli (full, one seed)", nli_out, 0.360, 0.600, 0.340, 0.330' in page
    assert '   "nli (full, one seed)", nli_in, main, 100, main, –' in page
    assert "datasets of other families (format ``default``, shots: 4" in page
    lost = row_of(page, "classification", "generation", "full, one seed", "main")
    assert lost[4].startswith("−7") and float(lost[7].replace("−", "-")) < -0.5
    assert "Gap of other formats to ``default`` (shots: 4" in page
    assert row_of(page, "io", "base")[2] == "−0.050"
    assert "predict the stop (full, one seed; tasks: 2)? too few tasks to tell." in page
    assert "* Training examples: full.nli 60; the paper uses 6000 per task." in page
    assert "* Model ``pocket``, pre-trained here" in page
    assert "**constant answer** (1), on ``nli_out``" in page


def test_trends_and_the_papers_claims(page):
    # 0.4, 0.6, 0.8: a line, known as well as its examples are.
    nli = row_of(page, "nli (full, one seed)", "nli_in", "0.400")
    assert nli[8].startswith("+0.200 (") and nli[10] == "it rises"
    gain = row_of(page, "not learned", "full, one seed")
    assert gain[2:4] == ["0.055", "0.280"] and gain[6] == "it rises"
    assert (
        "\nThe paper's claim that fine-tuning adds more to later checkpoints holds here.\n" in page
    )
    narrows = row_of(page, "instruct", "full, one seed")
    assert narrows[6] == "no trend is shown"
    assert page.count("narrows this gap is not shown here.") == 1


def test_scores_with_fewer_shots_are_not_called_by_the_number_asked_for(page):
    assert "shots: 4 (fewer in 25 % of the prompts)" in page  # of all scores together
    learned = next(line for line in page.splitlines() if ", by rule (" in line)
    # Among datasets with four shots, the one without them.
    assert "shots: 4 (fewer in 25 % of the prompts)" in learned
    quiz = Conditions(
        pl.DataFrame({"dataset": "quiz", "format": "default", "shots": 2, "truncated": 1.0}), str
    )
    assert quiz.of(["quiz"]) == "format ``default``, shots: fewer than 2 (all prompts were cut)"
    assert "**shots cut** (26), on ``quiz``: most prompts lost shots" in page


@pytest.mark.parametrize(
    ("tuned", "audit", "said"),
    [
        ((0.375, 0.550), {"gold_share": 0.55, "prediction_share": 1.0},
         "no learning is shown: a constant answer earns 0.550"),
        ((0.10, 0.43), {"gold_share": 0.34}, "no learning is shown: it starts below chance"),
    ],
)  # fmt: skip
def test_no_sentence_contradicts_the_warnings(tuned, audit, said):
    scores = scores_of((0.35, 0.36), tuned, **audit)
    tables = {
        name: make_table(name, scores, Settings())
        for name in ("latent", "suspicious", "base_scores")
    }
    conditions = Conditions(tables["base_scores"], str)
    first, _, table = latent_findings(
        tables["latent"], tables["suspicious"], conditions, Settings(), str
    )
    assert first.endswith("shots: 4): –.")
    assert table.endswith(f", –, –, {said}, –")


def test_seeds_are_named():
    assert arm_said({"method": "lora", "n_seeds": 1}, str) == "lora, one seed"
    assert arm_said({"method": "lora", "n_seeds": 3}, str) == "lora, 3 seeds"


def rendered(page: str) -> str:
    """The text that a reader of the page sees, as Snakemake renders it."""
    # Snakemake adds the targets of the figures' links.
    links = "".join(
        f"\n.. _{line.split('`')[1]}: x\n" for line in page.splitlines() if line.endswith("`_")
    )
    # Level 2: a warning already raises.
    source = jinja2.Environment().from_string(page + links).render()
    parts = docutils.core.publish_parts(source, writer="html5", settings_overrides=SETTINGS)
    return " ".join(html.unescape(re.sub("<.*?>", "", parts["html_body"])).split())


def test_it_is_valid_restructuredtext_and_text_of_the_study_stays_text(page):
    text = rendered(page)
    assert "What only fine-tuning shows" in text
    assert " ".join(HOSTILE.split()) in text


@pytest.mark.parametrize(
    "name", ["a", "a b", "a`b", "`a", " a", "a\nb", "``", "a_", "x` ``_", "\\"]
)
def test_names_and_cells_stay_what_they_are(name):
    cells = [plain('say "a, b"'), literal(name)]
    text = rendered(without_templates(csv_table(["one", "two"], [cells, cells])))
    assert text == " ".join(f'one two say "a, b" {name} say "a, b" {name}'.split())


def test_numbers():
    assert number(-0.1234) == "−0.123"
    assert change(0.4, 0.35, 0.45, str, 0.95) == "+0.400 (95 % interval 0.350 to 0.450)"
    assert change(-0.4, None, None, str, 0.95) == "−0.400"


def test_literals_are_parted_from_wide_letters():
    assert parted("値``a``の、``b``（``c`` ``d``。") == ("値\\ ``a``\\ の、``b``\\ （``c`` ``d``。")


HALF = r"[\u3040-\u30ff\u3400-\u9fff々] ?[,:()?]|[,:()?] ?[\u3040-\u30ff\u3400-\u9fff々]"


def test_japanese_has_its_own_punctuation(page_in, repository):
    text = rendered(page_in("ja")).replace(" ".join(HOSTILE.split()), "")
    assert "自身のテストセット" in text
    assert re.findall(f".{{0,20}}(?:{HALF}).{{0,20}}", text) == []
    for file in [*repository.glob("workflow/report/ja/*.rst"), FOLDER / "ja.yaml"]:
        text = re.sub(
            r"``[^`]*``|\{\{.*?\}\}|^#.*|^\"(?:[^\"\\\\]|\\\\.)*\": ",
            "",
            file.read_text(),
            flags=re.M,
        )
        assert re.findall(f".{{0,20}}(?:{HALF}).{{0,20}}", text) == [], file


def test_answers_come_first(page):
    box = page[page.index(".. container:: answers") : page.index("What was run")]
    assert "**Learned in pre-training alone?** 1 of 4 datasets. Most: quiz, +0.350 (95 %" in box
    assert "**Is it there before it shows?** On 1 of 2 own test sets only the tuned score" in box
    assert "**When could pre-training have stopped?** Earlier, with confidence, for" in box
    assert box.count("* **") <= 8


def test_a_picture_is_in_the_page_in_short_lines():
    text = picture(b"<svg/>" * 2000, "A title")
    assert max(map(len, text.split("\n"))) < 10_000
    shown = docutils.core.publish_string(text, writer="html5", settings_overrides=SETTINGS).decode()
    data = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', shown)[1]
    assert base64.b64decode(data) == b"<svg/>" * 2000 and 'alt="A title"' in shown


def test_hypothesis_is_answered_by_its_row():
    table = pl.DataFrame({"group": ["learned", "not_learned"], "gain": [0.1, 0.29]})
    expected = {"text": "It *adds*.", "table": "group_gains", "row": {"group": "learned"}}
    said, about, answer = hypothesis(expected, {"group_gains": table}, Words())
    assert said == r"**Hypothesis:** It \*adds\*\." and "``group_gains``" in about
    assert answer.endswith("``gain``, 0.100") and "0.29" not in answer
    assert hypothesis({"text": "Only words."}, {}, Words()) == [r"**Hypothesis:** Only words\."]
    assert hypothesis(None, {}, Words()) == []
    for row, complaint in (
        ({"group": "other"}, "hypothesis.row: 0 rows of table 'group_gains'"),
        ({"grup": "learned"}, "has no column 'grup'; it has group, gain"),
    ):
        with pytest.raises(ValueError, match=complaint):
            hypothesis(expected | {"row": row}, {"group_gains": table}, Words())
