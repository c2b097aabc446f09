"""Code that asks for CUDA runs on a GPU that computes nothing, or is named here with a reason."""

import ast

import pytest
from tests.fake_gpu import run

NOT_RUN = {
    ("inference/vllm_engine.py", "gpu_memory"): "vLLM has an environment and kernels of its own",
    ("inference/vllm_engine.py", "_memory"): "the same",
    ("evaluation/job.py", "_score"): "one line that notes ``Engine.gpu_memory`` in a job's record",
    ("training/job.py", "run"): "it saves the model, and tensors without values can't be saved",
}
"""(module, function) -> why"""
RUN = """
import json, os, sys
from collections import defaultdict
from pathlib import Path
lines = defaultdict(set)

def trace(frame, event, _):
    if "/ptft/" not in frame.f_code.co_filename:
        return None
    lines[frame.f_code.co_filename].add(frame.f_lineno)
    return trace

with device() as gpu:
    import numpy as np
    import torch, transformers
    import ptft.tools.check_gpu as check_gpu
    from ptft.inference.batches import Budget
    from ptft.inference.engine import Engine
    from ptft.models.loading import LoadedModel, target_here
    from ptft.runtime.gpus import CPU_STANDS_IN, LEASED, require_leased_gpus
    from ptft.training.devices import join_devices
    from ptft.training.examples import Example
    from ptft.training.loop import Run, Trainer
    from ptft.training.packing import NAME
    from ptft.training.records import summary_of
    from ptft.training.settings import TrainingSettings
    from ptft.training.updates import Way, choose_way, possible_ways

    torch.version.cuda, check_gpu.driver_version = "13.0", lambda: "580.1"
    os.environ[LEASED] = "1"
    os.environ.pop(CPU_STANDS_IN, None)
    small = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    check_gpu.SHAPE["cuda"], check_gpu.TOKENS, check_gpu.EXAMPLES = small, 32, 4

    def trainer_of(way):
        config = transformers.LlamaConfig(
            vocab_size=512, num_attention_heads=4, attn_implementation=NAME, **small
        )
        with torch.device("cuda"):
            model = transformers.LlamaForCausalLM(config)
        examples = [Example(str(n), np.full(9, n + 1), np.arange(9) > 6) for n in range(8)]
        settings = TrainingSettings(epochs=2, batch_size=8)
        return Trainer(Run(model, examples, [], settings, 0, join_devices(), way=way))

    sys.settrace(trace)
    require_leased_gpus()
    list(check_gpu.check(1))
    trainer = trainer_of(Way("plain"))
    possible_ways(trainer.run.settings, trainer.run.devices)
    choose_way([Way("plain"), Way("again")], None, trainer_of)
    accumulate, failing = trainer.gradients.accumulate, [torch.OutOfMemoryError("full")]

    def full_once(batch):
        if failing:
            raise failing.pop()
        return accumulate(batch)

    trainer.gradients.accumulate = full_once
    trainer.update()
    trainer.readings.took(1.0)
    trainer.readings.read()
    trainer.seconds = 1.0
    summary_of(trainer)
    try:
        raise torch.OutOfMemoryError("full")
    except torch.OutOfMemoryError:
        Budget(100, 100).shrink(4, 10)
    loaded = LoadedModel(trainer.model.bfloat16().eval(), None, 64, 0, frozenset())
    Engine(loaded).gpu_memory()
    target_here()
    sys.settrace(None)
print(json.dumps({name.split("/ptft/")[-1]: sorted(found) for name, found in lines.items()}))
"""


def asks_for_cuda(node: ast.AST) -> bool:
    """``is_cuda``, ``torch.cuda.…``, or a device's type compared with a name."""
    if isinstance(node, ast.Attribute):
        return node.attr == "is_cuda" or ast.unparse(node.value) == "torch.cuda"
    if isinstance(node, ast.Compare):
        names = {getattr(side, "value", None) for side in node.comparators}
        return ast.unparse(node.left).endswith(".type") and bool(names & {"cuda", "cpu"})
    return False


def places(function: ast.FunctionDef) -> list[range]:
    """Lines of the statements of a function that run on CUDA alone, or look for it."""
    parents = {child: node for node in ast.walk(function) for child in ast.iter_child_nodes(node)}
    found = []
    for node in filter(asks_for_cuda, ast.walk(function)):
        inner = node
        while not isinstance(node, ast.stmt):
            inner, node = node, parents[node]
        refuses = isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise)
        if isinstance(node, ast.If) and inner is node.test and not refuses:
            otherwise = ast.unparse(inner).endswith(("!= 'cuda'", "== 'cpu'"))
            node = function.body[-1] if otherwise else node.body[0]
        found.append(range(node.lineno, node.end_lineno + 1))
    return found


@pytest.mark.slow
def test_every_cuda_branch_is_run_or_named(repository):
    executed = run(RUN)
    missed, count = set(), 0
    for path in sorted((repository / "scripts/ptft").rglob("*.py")):
        module = str(path.relative_to(repository / "scripts/ptft"))
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                for lines in places(node):
                    count += 1
                    if not set(lines) & set(executed.get(module, ())):
                        missed.add((module, node.name))
    assert missed == set(NOT_RUN)
    assert count > 30  # the search finds what it looks for
