"""Files that other tools read: what they name is there, and what they repeat agrees."""

import ast
import json
import re
import tomllib

import pytest
import rooms
import yaml


@pytest.fixture
def read(repository):
    """Content of a YAML file."""
    return lambda name: yaml.safe_load((repository / name).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def make_targets(repository):
    return set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.M))


def test_workflows_call_targets_that_are_there_on_pythons_that_the_project_takes(
    read, repository, make_targets
):
    jobs = read(".github/workflows/test.yml")["jobs"]
    runs = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    called = {target for run in runs for target in re.findall(r"^make (\S+)$", run, re.M)}
    assert called == {"check", "claims-short", "test", "test-oldest"} <= make_targets
    pythons = jobs["check"]["strategy"]["matrix"]["python"]
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    assert pythons[0] == project["requires-python"].removeprefix(">=")
    assert all(isinstance(version, str) for version in pythons)  # 3.10 is not 3.1


def test_the_catalog_is_told_what_is_true(read, repository):
    usage = read(".snakemake-workflow-catalog.yml")["usage"]
    [study] = re.findall(r"--configfile (\S+)", usage["mandatory-flags"]["flags"])
    assert (repository / study).is_file() and (repository / "config/README.md").is_file()
    deployment = usage["software-stack-deployment"]
    assert deployment.pop("report") is True
    assert [kind for kind, works in deployment.items() if works] == ["conda"]
    for file in repository.glob("workflow/rules/*.smk"):
        for place in re.findall(r'conda:\n\s+"([^"]+)"', file.read_text()):
            assert (file.parent / place).is_file()


def test_one_version_is_named_everywhere_and_the_paper_once(read, repository):
    version = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["version"]
    citation = read("CITATION.cff")
    assert citation["cff-version"] == "1.2.0" and citation["authors"] and citation["message"]
    assert str(citation["version"]) == version
    [heading] = re.findall(r"^## (\S+?),? ", (repository / "CHANGELOG.md").read_text(), re.M)[:1]
    assert heading == version
    [paper] = citation["references"]
    assert paper["url"].removeprefix("https://") in (repository / "README.md").read_text()


def test_what_the_guides_for_contributors_name_is_there(repository, make_targets):
    names = ("CONTRIBUTING", "docs/log", "README", "docs/pocket", "docs/evaluation")
    for file in (repository / f"{name}.md" for name in names):
        text = file.read_text()
        for place in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (file.parent / place).exists(), place
        for place in re.findall(r"\b((?:scripts|tests|docs|config)/[\w/]+\.\w+)", text):
            assert (repository / place).exists(), place
        assert set(re.findall(r"`make ([a-z-]+)`", text)) <= make_targets


@pytest.mark.parametrize("name", ["README.md", "config/README.md", "docs", "benchmarks"])
def test_each_block_of_yaml_in_the_documents_can_be_read(repository, name):
    place = repository / name
    blocks = [
        block
        for file in (sorted(place.glob("*.md")) if place.is_dir() else [place])
        for block in re.findall(r"^```yaml\n(.*?)^```", file.read_text(), re.S | re.M)
    ]
    assert all(isinstance(yaml.safe_load(block), dict | list) for block in blocks)


def test_rooms_import_from_the_lines_below_their_own(repository):
    text = (repository / "CONTRIBUTING.md").read_text()
    text = text.split("## Where things go")[1].split("## ")[0]
    lines = [re.findall(r"`(\w+)`", line) for line in re.findall(r"^\d\. .*$", text, re.M)]
    floor = {room: number for number, line in enumerate(lines) for room in line}
    arrows = rooms.arrows()
    assert set(floor) == set(arrows)
    up = [(a, b) for a, others in arrows.items() for b in others if floor[b] <= floor[a]]
    assert up == [], "these imports do not go down the list in CONTRIBUTING.md"


def test_a_program_is_its_files_last_statement(repository):
    """It runs where it is decorated, before what the file defines after it."""
    for folder in ("scripts", "benchmarks"):
        for file in (repository / folder).glob("*.py"):
            decorated = [
                bool(getattr(node, "decorator_list", []))
                and "program" in ast.unparse(node.decorator_list[0])
                for node in ast.parse(file.read_text()).body
            ]
            assert not any(decorated[:-1]), file


def test_the_readme_claims_what_the_record_of_claims_shows(repository):
    """In how many cases each holds, and its range; what holds in fewer than 95 % is no row."""
    record = json.loads((repository / "benchmarks/results/claims.json").read_text())
    shown = [
        [row["holds"], row["of"], *sorted(abs(round(100 * row[end])) for end in ("low", "high"))]
        for row in record["claims"]
        if row["holds"] >= 0.95 * row["of"]
    ]
    text = (repository / "README.md").read_text()
    cells = re.findall(r"^\|.*\| (\d+ of \d+: [^|]*) \|$", text, re.M)
    found = [[int(number) for number in re.findall(r"\d+", cell)] for cell in cells]
    assert [[*row[:2], *sorted(row[2:])] for row in found] == shown
