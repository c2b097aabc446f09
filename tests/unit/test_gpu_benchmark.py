"""The benchmark for a GPU runs here in its small shape, and needs four packages."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = pytest.mark.slow  # torch, transformers and peft take seconds to import
# An import hook: what a bare GPU machine does not have is neither found nor imported.
BARE = """
import importlib.util, runpy, sys
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
sys.argv = sys.argv[1:]
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
NEED_CUDA = {"cudnn"}


@pytest.fixture
def benchmarks(repository, monkeypatch):
    folder = repository / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))
    return folder


def command(benchmarks, output, *options):
    """gpu.py as it starts on a bare machine."""
    return [sys.executable, "-c", BARE, str(benchmarks / "gpu.py"), "--output", str(output),
            *options]  # fmt: skip


def test_every_section_runs_on_a_cpu_with_four_packages(benchmarks, tmp_path):
    output = tmp_path / "gpu.json"
    done = subprocess.run(
        command(benchmarks, output, "--patience", "20"),  # machines have other work as well
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    sections = json.loads(output.read_text())["sections"]
    assert list(sections) == [
        "machine", "packed", "cudnn", "updates", "engine", "logits", "ways", "survival",
    ]  # fmt: skip
    states = {name: entry["state"] for name, entry in sections.items()}
    assert states == {n: "needs CUDA" if n in NEED_CUDA else "done" for n in sections}, sections
    found = {name: entry["found"] for name, entry in sections.items()}
    for name in ("olmo", "llama_gqa", "neox_64", "neox_256", "olmo_lora"):
        assert found["packed"][name]["gradient_cosine"] > 0.999
        assert found["packed"][name]["relative_loss_difference"] < 0.01
    sharded = found["packed"]["sharded"]
    assert sharded["sharded_losses"] == pytest.approx(sharded["plain_losses"], rel=1e-5)
    assert set(found["updates"]) == {"mnli", "xsum", "long", "lora", "pythia_410m"}
    assert [task["same_as_alone"] for task in found["engine"].values()] == [1, 1, 1]
    assert found["logits"]["labels_ties_float32"] == 0
    for texts in ("mnli", "long"):
        row = found["ways"][texts]["masters"]
        assert row["losses"][0] - row["losses"][-1] > 0.01  # it learns
        assert row["largest_loss_difference"] < 1e-4
    assert found["ways"]["lora"]["compiled"] == {"state": "needs CUDA"}
    survival = found["survival"]
    assert survival["losses_resumed"] == survival["losses_undisturbed"]
    memory = survival["out_of_memory"]
    assert memory["tokens_after"] == memory["tokens_before"] // 2
    assert "same_as_alone" in done.stdout  # the table


def test_the_file_is_whole_after_a_kill_and_a_second_run_adds_to_it(benchmarks, tmp_path):
    output = tmp_path / "gpu.json"
    process = subprocess.Popen(
        command(benchmarks, output), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until = time.monotonic() + 120
    while time.monotonic() < until and '"packed"' not in (
        output.read_text() if output.exists() else ""
    ):
        if output.exists():
            json.loads(output.read_text())  # whole at any moment
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    sections = json.loads(output.read_text())["sections"]
    assert sections["machine"]["state"] == "done"
    assert sections["packed"]["state"] == "running"
    subprocess.run(command(benchmarks, output, "--sections", "logits"), check=True)
    sections = json.loads(output.read_text())["sections"]
    assert sections["machine"]["state"] == sections["logits"]["state"] == "done"


def test_a_section_that_hangs_fails_or_dies_costs_itself_alone(benchmarks, tmp_path):
    import gpu

    def hang(context):
        context.note(before=1)
        time.sleep(60)

    def fail(context):
        raise RuntimeError("broken")

    content = {"sections": {}}
    gpu.run_sections(
        {
            "hang": gpu.Section(hang, 0.5),
            "fail": gpu.Section(fail, 30),
            "die": gpu.Section(lambda context: os._exit(7), 30),
            "well": gpu.Section(lambda context: {"a": {"b": 2}}, 30),
        },
        gpu.Texts({}, {}),
        content,
        tmp_path / "gpu.json",
    )
    sections = json.loads((tmp_path / "gpu.json").read_text())["sections"]
    states = [entry["state"] for entry in sections.values()]
    assert states == ["out of time", "failed", "failed", "done"]
    assert sections["hang"]["found"] == {"before": 1} and sections["hang"]["seconds"] < 10
    assert sections["fail"]["error"] == "RuntimeError: broken"
    assert sections["die"]["error"] == "the process ended with 7"
    assert gpu.flat(sections["well"]["found"]) == {"a.b": 2}


def test_ratios_are_of_the_same_task(benchmarks):
    import gpu

    def entry(found):
        return {"found": found}

    sections = {
        "updates": entry({"mnli": {"updates_per_second": 30.0}, "lora": {"loss": 1.0}}),
        "trainer": entry({"mnli": {"padded_x1": {"updates_per_second": 10.0}}}),
        "engine": entry({"xsum": {"examples_per_second": 8.0}}),
        "one_prompt": entry({"xsum": {"examples_per_second": 2.0}}),
    }
    assert gpu.ratios(sections) == {
        "updates: packed / Trainer mnli padded_x1": 3.0,
        "examples: engine / one prompt xsum": 4.0,
    }


def test_examples_and_prompts_come_back_from_their_file(benchmarks, tmp_path):
    from gpu_context import made_up_texts
    from training_texts import read_prompts, read_tokens, write_tokens

    texts = made_up_texts()
    write_tokens(texts.examples, texts.prompts, tmp_path / "texts.npz")
    assert read_prompts(tmp_path / "texts.npz") == texts.prompts
    examples = read_tokens(tmp_path / "texts.npz")
    assert examples.keys() == texts.examples.keys()
    for name, items in examples.items():
        for one, other in zip(items, texts.examples[name], strict=True):
            assert np.array_equal(one.ids, other.ids)
            assert np.array_equal(one.loss_mask, other.loss_mask)
