"""The front page says what the tables hold."""

import html
import re

import docutils.core
import jinja2
import pytest
import yaml
from slice_files import slice_file
from synthetic_scores import study_slice, write_evaluations

import analyse
import collect_cells
import write_front_page
from ptft.study import read_study
from ptft.wording import change, csv_table, literal, number, plain, without_templates

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
def page(tmp_path_factory, repository):
    folder = tmp_path_factory.mktemp("study")
    study = study_slice()
    write_evaluations(study, folder / "evaluations")
    (folder / "evaluations/main/base/quiz.io.4shot.parquet").unlink()
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
    resolved = read_study(
        yaml.safe_load(config.read_text()), [config], repository / "config"
    ).resolved()
    resolved["study"] |= {"study": "made_up", "description": HOSTILE}
    (folder / "study.yaml").write_text(yaml.safe_dump(resolved))
    write_front_page.main(
        [
            "--study",
            str(folder / "study.yaml"),
            "--cells",
            str(tables / "cells.parquet"),
            "--tables",
            str(tables),
            "--output",
            str(folder / "page.rst"),
        ]
    )
    return (folder / "page.rst").read_text()


def test_sentences(page):
    assert "``tiny``: 3 checkpoints of pre-training (``step10``, ``step100``, ``main``)" in page
    assert "2 fine-tuned models of each (``full`` on ``nli``, ``story``; seeds: 1)" in page
    assert "107 scores over 21,400 answers" in page
    assert "1 scores of the study are missing" in page
    assert "``nli_in`` goes from 0.400 at step10 to 0.800 at main: +0.400 (95 % interval" in page
    assert "the base model from 0.330 to 0.340: +0.010" in page
    assert "``quiz`` (0.250 → 0.600). Not learned: ``nli_in`` (0.330 → 0.340)" in page
    assert "does not): ``nli_in``, ``nli_out``." in page
    assert "   nli (full), nli_out, 0.360, 0.600, 0.340, 0.330" in page
    assert "   nli (full), nli_in, main, 100, main, –" in page
    assert "tested on generation (full): tuned at main, a model's score on datasets" in page
    assert "Gap of format ``io`` to ``default``, base models: −0.050 at the first" in page
    assert "predict the stop (full, 2 tasks)? too few tasks to tell." in page
    assert "* Training examples a task: 1000; the paper takes 6000." in page
    assert "* Model ``pocket``, pre-trained here" in page
    assert "None was flagged." in page


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
