"""A study whose model and data are on the Hub, run as a user would: fetch, then offline."""

import json
import os
import re
import subprocess
from pathlib import Path

import polars as pl
import pytest
import yaml
from server import HubServer, Repository
from tests.warm import run_snakemake, warm_programs
from tiny import save_tiny_checkpoint, tiny_rows

STUDY = """\
study: remote
model: remote
checkpoints: [step1, main]
evaluate:
  datasets: [words]
  formats: [default]
  shots: [2]
data: {shots: 8, test: 12}
"""
MODEL = r"""
source:
  kind: hub
  repository: org/model
  branches: step(?P<step>\d+)-tokens(?P<tokens>\d+)B
  checkpoints:
    main: {step: 2, tokens: 8_000_000_000}
"""
FAMILY = """\
kind: classification
labels: ["yes", "no", "maybe"]
formats: {default: "# {text} : "}
datasets:
  words:
    repository: org/words
    splits: {shots: train, test: validation}
    fields: {text: text}
    label: {column: label, values: {0: "yes", 1: "no", 2: "maybe"}}
"""


class Study:
    """A folder with a study, and Snakemake in it."""

    def __init__(self, folder: Path, repository: Path, endpoint: str):
        self.folder, self.snakefile = folder, repository / "Snakefile"
        self.hub = {"HF_ENDPOINT": endpoint, "PYTHONPATH": str(repository / "scripts")}
        for name, text in (("study", STUDY), ("models/remote", MODEL), ("families/words", FAMILY)):
            path = folder / f"{name}.yaml"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    def run(self, *arguments: str, fails: bool = False, **environment: str) -> str:
        """Run Snakemake; its whole output."""
        command = ["--configfile", "study.yaml", "--cores", "2", "-s", self.snakefile, *arguments]
        # What was imported offline stays so.
        programs = warm_programs() if environment else os.environ
        status, output = run_snakemake(
            command, self.folder, {**programs, **self.hub, **environment}
        )
        assert (status != 0) == fails, output[-4000:]
        return output

    def commit(self, checkpoint: str) -> str:
        """The pin of a checkpoint."""
        pin = self.folder / f"resources/models/remote/{checkpoint}.pin.json"
        return json.loads(pin.read_text())["commit"]


def parquet(rows: int, seed: int, folder: Path) -> bytes:
    labels = {"yes": 0, "no": 1, "maybe": 2}
    examples = tiny_rows(rows, longest=6, seed=seed)
    frame = pl.DataFrame(
        {
            "text": [example["fields"]["text"] for example in examples],
            "label": [labels[example["gold"]] for example in examples],
        }
    )
    frame.write_parquet(folder / "rows.parquet")
    return (folder / "rows.parquet").read_bytes()


@pytest.fixture
def hub(tmp_path):
    """A Hub with a model of two checkpoints and a data set that the Hub converted."""
    made = save_tiny_checkpoint(tmp_path / "checkpoint")
    files = {path.name: path.read_bytes() for path in made.iterdir()}
    with HubServer() as server:
        readme = {"README.md": b"not needed"}
        server.models["org/model"] = Repository(
            {"main": {**files, **readme}, "step1-tokens4B": {**files, **readme}}
        )
        converted = {
            "default/train/0000.parquet": parquet(20, 1, tmp_path),
            "default/validation/0000.parquet": parquet(20, 2, tmp_path),
        }
        server.datasets["org/words"] = Repository(
            {"main": {"words.py": b"print()"}, "refs/convert/parquet": converted}
        )
        yield server


@pytest.mark.slow
def test_fetch_pin_and_run_offline(hub, tmp_path, repository, monkeypatch):
    hub.models["org/model"].gated, hub.token = True, "hf_right"
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    study = Study(tmp_path, repository, hub.endpoint)
    # Both checkpoints hold the same weights: refused before anything comes, unless it is meant.
    assert "checkpoints step1 and main hold the same weights" in study.run("fetch", fails=True)
    assert not hub.sent
    file = tmp_path / "study.yaml"
    file.write_text(file.read_text().replace("evaluate:", "same_weights: [main]\nevaluate:"))
    study.run("fetch")
    model = tmp_path / "resources/models/remote"
    step, main = study.commit("step1"), study.commit("main")
    pin = json.loads((model / "step1.pin.json").read_text())
    assert (pin["revision"], pin["step"], pin["tokens"]) == ("step1-tokens4B", 1, 4_000_000_000)
    assert not (model / "step1/README.md").exists()
    assert not any("words.py" in path or "README" in path for path in hub.sent)
    assert (tmp_path / "resources/hub/datasets/org/words/default/train/0000.parquet").exists()

    # All other jobs need no network: the Hub is out of reach from here on.
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    cell = "results/remote/evaluations/step1/base/words.default.2shot.parquet"
    record = "results/remote/state/scored/step1/base.json"
    audits = "results/remote/tables/audit_splits.parquet"
    study.run(record, "results/remote/study.yaml", audits, **offline)
    assert pl.read_parquet(tmp_path / cell).height == 12
    audit = pl.read_csv(tmp_path / "results/remote/tables/audit_splits.csv")
    assert audit["source"].to_list()[0] == "org/words (default), validation"

    fetched = yaml.safe_load((tmp_path / "results/remote/study.yaml").read_text())["fetched"]
    assert fetched["resources/models/remote/step1.pin.json"]["commit"] == step

    # The branch moves on; a checkpoint that is lost comes back as it was.
    repository_on_hub = hub.models["org/model"]
    repository_on_hub.move("main", {**repository_on_hub.branches["main"], "vocab.json": b"{}"})
    subprocess.run(["rm", "-r", model / "main"], check=True)
    asked = sum(hub.requests.values())
    study.run("fetch")
    assert study.commit("main") == main
    assert not any("/refs" in path for path in list(hub.requests)[asked:])
    assert not (model / "main/vocab.json").exists()

    # Only update_pins moves a pin, and only what moved is fetched again.
    assert "main.pin.json: " in study.run("update_pins")
    before = hub.sent.copy()
    study.run("fetch")
    assert study.commit("main") != main and study.commit("step1") == step
    fetched = hub.sent - before
    assert fetched and all(study.commit("main") in path for path in fetched)
    assert (model / "main/vocab.json").exists()


@pytest.mark.slow
def test_an_absent_step_stops_before_any_download(hub, tmp_path, repository):
    study = Study(tmp_path, repository, hub.endpoint)
    file = tmp_path / "study.yaml"
    file.write_text(file.read_text().replace("[step1, main]", "[step3, main]"))
    output = study.run("fetch", "--keep-going", fails=True)
    assert "org/model has no checkpoint of step 3; the nearest are step1 (of 1)" in output
    # The cause comes first, and no line repeats that the command failed.
    assert re.search(r"^Error: org/model has no checkpoint of step 3", output, re.M)
    assert "CalledProcessError" not in output
    assert not hub.sent


METRIC = (Path(__file__).parents[1] / "unit/lengths_metric.py").read_bytes()
WRITING = """\
kind: generation
formats: {default: "# {text} : "}
metrics: [lengths]
max_new_tokens: 3
datasets:
  words:
    repository: org/words
    splits: {shots: train, test: validation}
    fields: {text: text}
    target: text
"""


@pytest.mark.slow
def test_a_metric_is_fetched_with_the_data_and_used_offline(hub, tmp_path, repository):
    study = Study(tmp_path, repository, hub.endpoint)
    (tmp_path / "families/words.yaml").write_text(WRITING)
    file = tmp_path / "study.yaml"
    text = file.read_text().replace("[step1, main]", "[main]").replace("shots: [2]", "shots: [0]")
    file.write_text(text)
    assert "looking up main of the metric evaluate-metric/lengths: no such repository" in study.run(
        "fetch", fails=True
    )
    assert not hub.sent
    hub.spaces["evaluate-metric/lengths"] = Repository(
        {"main": {"lengths.py": METRIC, "app.py": b"import gradio"}}
    )
    study.run("fetch")
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
    study.run("results/remote/tables/cells.parquet", **offline)
    cells = pl.read_parquet(tmp_path / "results/remote/tables/cells.parquet")
    examples = pl.read_parquet(
        tmp_path / "results/remote/evaluations/main/base/words.default.0shot.parquet"
    )
    [mean] = cells.filter(metric="lengths")["value"]
    assert mean == pytest.approx(examples["gold"].str.len_chars().mean())
