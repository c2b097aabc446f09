"""How many tokens a micro-batch may hold on a GPU, by what stand-ins for one say."""

import pytest
import torch
from remedy_runs import some_examples
from tiny import save_tiny_checkpoint

from ptft.models.loading import load_model
from ptft.training import gradients
from ptft.training.gradients import TokenBudget, cast_bytes
from ptft.training.packing import NAME, pack
from ptft.training.remedies import Objective
from ptft.training.settings import TrainingSettings

CPU = torch.device("cpu")
BEFORE, PEAK, FREE = 1_000_000, 1_800_000, 3_000_000
"""bytes allocated before the trial pass, at most in it, and free after it"""


@pytest.mark.filterwarnings("ignore:User provided device_type of 'cuda'")
@pytest.mark.parametrize(
    ("share", "extra", "bfloat16"), [(1, 0, False), (0.5, 0, False), (1, 6, False), (1, 0, True)]
)
def test_weights_and_their_copies_are_no_activations(share, extra, bfloat16, tmp_path, monkeypatch):
    """Moments of the own share are taken off; gradients only where a batch is cut."""
    model = load_model(save_tiny_checkpoint(tmp_path), attention=NAME)
    weights = sum(weight.numel() for weight in model.parameters())
    linear = sum(weight.numel() for name, weight in model.named_parameters() if "proj" in name)
    copies = 2 * (linear + model.lm_head.weight.numel()) if bfloat16 else 0
    if bfloat16:
        assert cast_bytes(model) == copies
    monkeypatch.setattr(gradients, "local", lambda weight: weight[: int(share * len(weight))])
    monkeypatch.setattr(gradients, "pack", lambda *given: pack(*given[:2], CPU, False))
    for name, value in {
        "reset_peak_memory_stats": None, "empty_cache": None, "memory_allocated": BEFORE,
        "max_memory_allocated": PEAK, "mem_get_info": (FREE, 9_000_000),
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    examples = some_examples(20)
    tokens = sum(len(item.ids) for item in examples)
    budget = gradients.automatic_token_budget(
        model, examples, Objective(TrainingSettings()), torch.device("cuda"), bfloat16, extra
    )
    a_token = (PEAK - BEFORE - copies) / tokens
    room = 0.85 * (FREE - (8 + extra) * share * weights) - copies
    assert budget.whole == int(room / a_token)
    assert budget.parts == int((room - 4 * share * weights) / a_token) < budget.whole
    assert all(weight.grad is None for weight in model.parameters())


def test_a_batch_that_fits_at_once_is_not_cut():
    budget = TokenBudget(whole=1000, parts=300)
    assert [budget.of(tokens) for tokens in (900, 1000, 1001)] == [1000, 1000, 300]
    assert budget.limited(500) == TokenBudget(500, 300)
    assert budget.limited(200) == TokenBudget(200, 200)
