"""docs/datasets.md, followed to the letter."""

import json
import re

import pytest
from tests.warm import run_snakemake

FILE = re.compile(r"^`([^`\n]+)`(?::| is then:)\n\n```\w+\n(.*?)^```$", re.M | re.S)
COMMANDS = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def guide(repository) -> str:
    return (repository / "docs/datasets.md").read_text()


@pytest.fixture
def written(guide, tmp_path):
    """A folder with the files that the guide says to write, and those it promises."""
    promised = {}
    for name, content in FILE.findall(guide):
        if name.startswith("results/"):
            promised[name] = content
        else:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return tmp_path, promised


@pytest.mark.slow
def test_the_guide_works_as_written(guide, written, repository):
    folder, promised = written
    [commands] = COMMANDS.findall(guide)
    for line in commands.splitlines():
        program, *arguments = line.removeprefix("$ ").split()
        assert program == "snakemake"
        status, output = run_snakemake(["-s", repository / "Snakefile", *arguments], folder)
        assert status == 0, output[-3000:]
    [(name, content)] = promised.items()
    assert json.loads((folder / name).read_text()) == json.loads(content)
    prepared = folder / "results/sentiment/datasets"
    assert sorted(path.relative_to(prepared).as_posix() for path in prepared.rglob("*.jsonl")) == [
        "reviews/shots.jsonl",
        "reviews/test.jsonl",
        "reviews/train.jsonl",
        "tweets/shots.jsonl",
        "tweets/test.jsonl",
    ]
    first = json.loads((prepared / "tweets/test.jsonl").read_text().splitlines()[0])
    assert first == {
        "example_id": "tweets-test-0",
        "fields": {"text": "go and see it"},
        "gold": "good",
    }


def test_every_key_of_a_dataset_is_in_the_guide(guide):
    from ptft.study.families import Dataset

    table = guide.split("## Keys of a dataset")[1].split("## From the Hub")[0]
    rare = {"choice_transform", "choice_template"}
    assert {key for key in Dataset.model_fields if f"`{key}`" not in table} == rare


def test_the_models_of_the_guide_are_good(guide):
    import yaml

    from ptft.study.models import Model

    blocks = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", guide, re.S)]
    models = [block for block in blocks if set(block) == {"source"}]
    assert [Model.model_validate(model).source.kind for model in models] == ["hub", "folder"]
