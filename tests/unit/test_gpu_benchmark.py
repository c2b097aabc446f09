"""The benchmark for a GPU runs whole, on one that computes nothing, and needs four packages."""

import json
import os
import time

import pytest
import torch
from tests.fake_gpu import run

pytestmark = pytest.mark.slow  # torch, transformers and peft take seconds to import
# An import hook: what a bare GPU machine does not have is neither found nor imported.
WHOLE = """
import importlib.util, sys
from pathlib import Path
from tests.fake_gpu import register
MISSING = {"datasets", "evaluate", "polars", "pyarrow", "pydantic", "snakemake"}
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: (
    None if name.split(".")[0] in MISSING else find(name, *rest)
)
class Hook:
    def find_spec(self, name, *_):
        if name.split(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hook())
register()
import gpu
import torch
from ptft.training import optimizer, updates
updates.UPDATES = 3
optimizer._compiled = lambda: optimizer._adamw  # a compiler needs a device
torch.nn.Module.compile = lambda self, **_: None
kept = {}  # tensors without values can't be written
torch.save = lambda content, _: kept.update(content)
torch.load = lambda *_, **__: kept
output, patience = sys.argv[1:]
gpu.main(["--small", "--output", output, "--patience", patience], device)
print(Path(output).read_text().replace("\\n", " "))
"""


@pytest.fixture
def gpu(repository, monkeypatch):
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    import gpu

    return gpu


def test_every_section_runs_within_nine_minutes(gpu, tmp_path):
    """Of the device's time; a busy machine that pretends to have one may take longer."""
    assert sum(section.seconds for section in gpu.SECTIONS.values()) <= gpu.ALL_SECONDS < 540
    sections = run(WHOLE, str(tmp_path / "gpu.json"), "30")["sections"]
    assert list(sections) == ["machine", "packed", "updates", "engine", "survival", "cudnn"]
    for entry in sections.values():
        assert entry["state"] == "done", entry
    found = {name: entry["found"] for name, entry in sections.items()}
    assert found["machine"]["device"] == "NVIDIA H200"
    for row in found["updates"].values():
        ways = {trial["way"]: trial for trial in row["trials"]}
        assert set(ways) == {"plain", "compiled", "masters", "compiled masters"}
        assert not any(trial["dropped"] for trial in ways.values())
    # A run's peak is its own: the longest texts come before Pythia's short ones.
    peaks = {name: row["trials"][0]["peak_bytes"] for name, row in found["updates"].items()}
    assert max(peaks["olmo_mnli"], peaks["pythia_mnli"]) < peaks["olmo_xsum"] < peaks["olmo_long"]
    assert set(found["engine"]) == {"mnli", "hellaswag", "xsum"}
    memory = found["survival"]["out_of_memory"]
    assert memory["tokens_after"] < 0.6 * memory["tokens_before"]
    assert len(found["survival"]["losses_resumed"]) == 2


def test_a_section_that_hangs_fails_or_dies_costs_itself_alone(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    def hang(context):
        context.note(before=1)
        time.sleep(60)

    def fail(context):
        raise RuntimeError("broken")

    sections = {
        "hang": gpu.Section(hang, 0.5),
        "fail": gpu.Section(fail, 30),
        "die": gpu.Section(lambda context: os._exit(7), 30),
        "well": gpu.Section(lambda context: {"a": {"b": 2}}, 30),
    }
    gpu.run_sections(sections, {"sections": {}}, tmp_path / "gpu.json")
    found = json.loads((tmp_path / "gpu.json").read_text())["sections"]
    states = [entry["state"] for entry in found.values()]
    assert states == ["out of time", "failed", "failed", "done"]
    assert found["hang"]["found"] == {"before": 1} and found["hang"]["seconds"] < 10
    assert found["fail"]["error"] == "RuntimeError: broken"
    assert found["die"]["error"] == "the process ended with 7"
    assert found["well"]["found"] == {"a": {"b": 2}}
