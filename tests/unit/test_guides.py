"""Commands of README and guides can be typed as they stand."""

import re

import numpy as np
import pytest

from ptft.analysis.trends import line_trend

GUIDES = ["README.md", "README.ja.md", "docs/slurm.md", "docs/datasets.md"]
COMMAND = re.compile(r"\bsnakemake ([^`\n#]*--configfile[^`\n#]*)")
RUNS_WITHOUT = re.compile(r"(^| )(-n|-c\d+|--cores \d+|--profile \S+)( |$)")


@pytest.mark.parametrize("guide", GUIDES)
def test_a_guide_says_how_the_environment_is_set_up_and_activated(guide, repository):
    text = (repository / guide).read_text()
    first = COMMAND.search(text).start()
    assert "make install" in text[:first] and "source .venv/bin/activate" in text[:first]


@pytest.mark.parametrize("guide", ["README.md", "docs/datasets.md"])
def test_a_guide_says_from_where_paths_count(guide, repository):
    words = " ".join((repository / guide).read_text().split())
    assert "count from the folder in which you call Snakemake" in words


def test_every_command_names_its_cores(repository):
    files = [repository / "README.md", *repository.glob("docs/*.md"), *repository.glob("*/*.yaml")]
    commands = [command for file in files for command in COMMAND.findall(file.read_text())]
    assert len(commands) >= 10
    assert [command for command in commands if not RUNS_WITHOUT.search(command)] == []


def test_the_slope_of_the_pocket_study_is_that_of_its_scores(repository):
    text = (repository / "docs/pocket.md").read_text()

    def scores(name):
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        return np.array([float(cell) for cell in row.split("|")[2:-1]])

    [quoted] = re.findall(r"(0\.\d+) \([^(]*?(−?0\.\d+) to (0\.\d+), p = (0\.\d+)\)", text)
    trend = line_trend(range(5), scores("NLI, tuned") - scores("NLI, base"))
    expected = (trend.slope, trend.low, trend.high, trend.p)
    assert [float(words.replace("−", "-")) for words in quoted] == pytest.approx(expected, abs=5e-4)


def test_every_case_is_held_by_a_test(repository):
    """A row without a file in front of the name is of the file that the table's head names."""
    cases, file = 0, ""
    for line in (repository / "docs/cases.md").read_text().splitlines():
        if line.startswith("| case |"):
            [file] = re.findall(r"`(\S+\.py)`", line) or [""]
            continue
        for named, test in re.findall(r"`(?:(\S+\.py)::)?(test_\w+)`", line):
            text = (repository / "tests" / (named or file)).read_text()
            assert f"def {test}(" in text, line
            cases += 1
    assert cases > 40
