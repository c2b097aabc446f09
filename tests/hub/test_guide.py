"""docs/datasets.md, followed to the letter."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml
from safetensors.torch import load_file, save_file
from server import HubServer, Repository
from tests.warm import run_snakemake
from tiny import save_tiny_checkpoint

FILE = re.compile(r"^`([^`\n]+)`(?::| is then:)\n\n```\w+\n(.*?)^```$", re.M | re.S)
COMMANDS = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def guide(repository) -> str:
    return (repository / "docs/datasets.md").read_text()


@pytest.fixture
def written(guide, tmp_path):
    """A folder with the files that the guide says to write, and those it promises.

    Its name holds what patterns and wildcards are made of.
    """
    folder, promised = tmp_path / "{mine} [v1]", {}
    for name, content in FILE.findall(guide):
        if name.startswith("results/"):
            promised[name] = content
        else:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
    return folder, promised


def follow(commands: str, folder, repository, **environment: str) -> str:
    """Run a guide's commands in a folder; what they print."""
    environment = {**os.environ, "PYTHONPATH": str(repository / "scripts"), **environment}
    printed = ""
    for line in commands.splitlines():
        program, *arguments = line.removeprefix("$ ").split()
        if program == "snakemake":
            arguments = ["-s", repository / "Snakefile", *arguments]
            status, output = run_snakemake(arguments, folder, environment)
        else:
            command = [sys.executable, repository / arguments[0], *arguments[1:]]
            done = subprocess.run(
                command, cwd=folder, env=environment, capture_output=True, text=True
            )
            status, output = done.returncode, done.stdout + done.stderr
        assert status == 0, output[-3000:]
        printed += output
    return printed


@pytest.mark.slow
def test_the_guide_works_as_written(guide, written, repository):
    folder, promised = written
    commands, *_ = COMMANDS.findall(guide)
    follow(commands, folder, repository)
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


@pytest.mark.slow
def test_the_guide_of_a_model_works_as_written(guide, written, repository, tmp_path_factory):
    folder, _ = written
    branches = {}
    for number, name in enumerate(("main", "step0", "step512", "step143000")):
        made = save_tiny_checkpoint(tmp_path_factory.mktemp(name))
        weights = load_file(made / "model.safetensors")
        weights["model.embed_tokens.weight"][0] = float(number)
        save_file(weights, made / "model.safetensors", metadata={"format": "pt"})
        branches[name] = {path.name: path.read_bytes() for path in made.iterdir()}
    _, *commands = COMMANDS.findall(guide)
    with HubServer() as hub:
        hub.models["EleutherAI/pythia-14m"] = Repository(branches, parameters=14_067_712)
        printed = follow("".join(commands), folder, repository, HF_ENDPOINT=hub.endpoint)
    # The draft says what the file in the guide says, but for what names do not tell.
    draft = yaml.safe_load(printed.split("source:")[1].split("\n\n")[0].split("Using workflow")[0])
    model = yaml.safe_load((folder / "my_study/models/small.yaml").read_text())
    known = ("kind", "repository", "branches")
    assert {key: draft[key] for key in known} == {key: model["source"][key] for key in known}
    assert "parameters: 14_067_712\n" in printed and "# tokens_per_step: …" in printed
    for name in ("step512", "main"):
        fetched = folder / "resources/models/small" / name
        assert (fetched / "model.safetensors").read_bytes() == branches[name]["model.safetensors"]


def test_every_key_of_a_dataset_is_in_the_guide(guide):
    from ptft.study.families import Dataset

    table = guide.split("## Keys of a dataset")[1].split("## From the Hub")[0]
    rare = {"choice_transform", "choice_template"}
    assert {key for key in Dataset.model_fields if f"`{key}`" not in table} == rare
