"""How many tokens a micro-batch may hold on a GPU, by what stand-ins for one say."""

import pytest
import torch
from remedy_runs import some_examples
from tiny import save_tiny_checkpoint

from ptft.models.loading import load_model
from ptft.training import memory
from ptft.training.attention import NAME
from ptft.training.devices import Devices
from ptft.training.loop import Trainer
from ptft.training.loss import Objective
from ptft.training.packing import pack
from ptft.training.run import Run
from ptft.training.settings import TrainingSettings

CPU = torch.device("cpu")
BEFORE, PEAK = 1_000_000, 1_800_000
"""bytes allocated before the trial pass, and at most in it"""


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
@pytest.mark.parametrize(("share", "extra"), [(1, 0), (0.5, 0), (1, 6)])
def test_gradients_and_moments_of_the_own_share_are_taken_off(share, extra, tmp_path, monkeypatch):
    model = load_model(save_tiny_checkpoint(tmp_path), attention=NAME)
    weights = sum(weight.numel() for weight in model.parameters())
    monkeypatch.setattr(memory, "local", lambda weight: weight[: int(share * len(weight))])
    monkeypatch.setattr(memory, "pack", lambda *given: pack(*given[:2], CPU, False))
    for name, value in {
        "reset_peak_memory_stats": None, "empty_cache": None, "memory_allocated": BEFORE,
        "max_memory_allocated": PEAK, "mem_get_info": (3_000_000, 9_000_000),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    examples = some_examples(20)
    tokens = sum(len(item.ids) for item in examples)
    budget = memory.automatic_token_budget(
        model, examples, Objective(0, None), torch.device("cuda"), False, extra
    )
    free = 3_000_000 - (12 + extra) * share * weights
    assert budget == int(0.8 * free / (PEAK - BEFORE) * tokens)
    assert all(weight.grad is None for weight in model.parameters())


def test_ways_of_one_gpu_hold_more_gradients(tmp_path, monkeypatch):
    """Masters' in both precisions, and those of recordings: the budget leaves room for them."""
    asked = []

    def budget(model, examples, objective, device, bfloat16, extra):
        asked.append(extra)
        return 1000

    monkeypatch.setattr("ptft.training.loop.automatic_token_budget", budget)
    for changes in ({}, {"optimizer": "adamw_clip"}, {"optimizer": "adamw_masters"},
                    {"cuda_graphs": True, "optimizer": "adamw_masters"}):  # fmt: skip
        model = load_model(save_tiny_checkpoint(tmp_path), attention=NAME)
        Trainer(Run(model, some_examples(8), [], TrainingSettings(**changes), 1e-3, 0,
                    Devices(CPU)))  # fmt: skip
    assert asked == [0, 0, 2, 6]
