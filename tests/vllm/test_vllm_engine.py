"""vLLM in the engine's place: the same answers. `make test-vllm` installs it, built for a CPU.

The models have heads of 32, the smallest that vLLM takes on a CPU.
"""

import dataclasses
import json
import math
import subprocess
import sys

import polars as pl
import pytest
import torch
from peft import LoraConfig, get_peft_model
from slice_files import slice_file
from tiny_models import sentences, tie, tiny_olmo, tiny_tokenizer

from ptft.inference.engine import Engine
from ptft.models.loading import Target, load_for_scoring
from ptft.prompts.encoding import Prompt

pytest.importorskip("vllm", reason="vLLM is not installed; make test-vllm installs it")

from ptft.inference.vllm_engine import VllmEngine  # noqa: E402

WIDTH, CONTEXT = 128, 256


def save(model, folder):
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random model's folder."""
    model = tiny_olmo(len(tiny_tokenizer()), CONTEXT, width=WIDTH)
    return save(model, tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def engines(folder, tmp_path_factory):
    """The engine itself and vLLM, on an adapter that changes the model's answers."""
    torch.manual_seed(5)
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules="all-linear", init_lora_weights=False
    )
    model = get_peft_model(load_for_scoring(folder).model, lora)
    adapter = save(model, tmp_path_factory.mktemp("adapter"))
    loaded = load_for_scoring(adapter, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_ALLOW_INSECURE_SERIALIZATION", "1")  # to break its weights
        other = VllmEngine(loaded, adapter)
        yield Engine(loaded), other
        other._llm.llm_engine.engine_core.shutdown()  # while its log can still be written


@pytest.fixture(scope="module")
def prompts(engines):
    """Forty prompts behind one beginning, one of them as long as the context allows."""
    encode = engines[0].loaded.tokenizer
    shared = "\n\n".join(sentences(3, 12, seed=1)) + "\n\n"
    contexts = [encode(shared + text)["input_ids"] for text in sentences(40, 20, seed=2)]
    contexts.append((contexts[0] * 20)[: CONTEXT - 12])
    return [Prompt(context, [], shots=0, truncated=False) for context in contexts]


def test_an_adapter_is_merged(engines, folder, prompts):
    own, other = engines
    before = Engine(load_for_scoring(folder)).generate(prompts, 4, [])
    assert other.generate(prompts, 4, []) == own.generate(prompts, 4, []) != before


@pytest.mark.parametrize("stop", [[], ["d"], [" k", "lo"], [" "]])
def test_the_same_texts_as_the_engine(engines, prompts, stop):
    own, other = engines
    expected = own.generate(prompts, 12, stop)
    done = []
    assert other.generate(prompts, 12, stop, done.append) == expected
    assert sum(done) == len(prompts)
    assert len(set(expected)) > 5  # not one text for all


def test_the_same_ends(engines, prompts):
    """A token that comes is made an end; it is none of the tokenizer's special tokens."""
    own, other = engines
    plain = own.generate(prompts, 12, [])
    ids = own.loaded.tokenizer("".join(answer.text for answer in plain))["input_ids"]
    for end in dict.fromkeys(ids):
        ending = dataclasses.replace(own.loaded, eos_ids=frozenset({end}))
        expected = Engine(ending).generate(prompts, 12, [])
        if expected != plain:
            break
    assert expected != plain
    other.loaded, before = ending, other.loaded
    try:
        assert other.generate(prompts, 12, []) == expected
    finally:
        other.loaded = before


def break_weights(model):
    """Run by vLLM on its model."""
    with torch.no_grad():
        next(model.parameters()).fill_(math.nan)


def test_nan_logits_are_an_error(engines, prompts):
    """The last test of these engines."""
    engines[1]._llm.apply_model(break_weights)
    with pytest.raises(FloatingPointError, match="not finite"):
        engines[1].generate(prompts[:3], 4, [])


def test_tokens_that_tie_in_bfloat16_are_chosen_in_float32(tmp_path):
    context, first, second = [5, 9, 33, 70, 12], 40, 41
    target = Target("cpu", "bfloat16")
    model = tiny_olmo(len(tiny_tokenizer()), CONTEXT, width=WIDTH, tied=False)
    model = tie(model.bfloat16(), context, first, second)
    folder = save(model, tmp_path / "model")
    with torch.inference_mode():
        coarse = model(torch.tensor([context])).logits[0, -1]
    assert coarse.argmax() == first and coarse[first] == coarse[second] == 10
    loaded = load_for_scoring(folder, target=target)
    prompts = [Prompt(context, [], shots=0, truncated=False)]
    expected = Engine(loaded).generate(prompts, 1, [])
    assert [answer.text for answer in expected] == [loaded.tokenizer.decode([second]).strip()]
    other = VllmEngine(loaded, folder)
    try:
        assert other.generate(prompts, 1, []) == expected
    finally:
        other._llm.llm_engine.engine_core.shutdown()


def write_cells(folder, labels):
    """Data and plan of a classification that is also generated, and of a generation."""
    rows = [
        {"example_id": f"r{at}", "fields": {"text": text}, "gold": labels[at % len(labels)]}
        for at, text in enumerate(sentences(12, 9, 8))
    ]
    for name in ("words", "texts"):
        (folder / "data" / name).mkdir(parents=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "data" / name / "test.jsonl").write_text(lines)
        (folder / "data" / name / "shots.jsonl").write_text(lines)
    shared = {"formats": {"default": "{text} "}, "shots": [0, 2], "max_new_tokens": 6}
    return {
        "datasets": {
            "words": {**shared, "kind": "classification", "labels": labels, "also": ["free"]},
            "texts": {**shared, "kind": "generation"},
        },
        "shots_seed": 0,
        "scoring_version": 1,
    }


def run_program(repository, folder, plan, output, model):
    """The program of the workflow's rule, in a process of its own as there."""
    command = [sys.executable, repository / "scripts/evaluate_model.py", "--model", model]
    for name in ("data", "store", "record"):
        command += [f"--{name}", folder / name]
    command += ["--output", folder / output, "--plan", slice_file(folder / "plan.json", plan)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_job_with_vllm(repository, folder, tmp_path):
    """Cells of its own in the store; the same scores."""
    plan = write_cells(tmp_path, ["yes", "no"])
    plain = run_program(repository, tmp_path, plan, "plain", folder)
    assert plain.returncode == 0, plain.stderr
    plan["generation_backend"] = "vllm"
    job = run_program(repository, tmp_path, plan, "vllm", folder)
    assert job.returncode == 0, job.stderr
    files = sorted(file.name for file in (tmp_path / "vllm").iterdir())
    assert len(files) == 4
    for name in files:
        ours, theirs = tmp_path / "plain" / name, tmp_path / "vllm" / name
        assert pl.read_parquet(ours).equals(pl.read_parquet(theirs))
    assert len(list((tmp_path / "store").rglob("*.parquet"))) == 8
