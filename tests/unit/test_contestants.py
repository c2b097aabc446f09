"""No contestant of a benchmark attends by cuDNN: it would flatter this project's own attention."""

import numpy as np
import pytest
import torch
from tiny_models import sentences, tiny_olmo, tiny_tokenizer

from ptft.evaluation.cells import CellRequest
from ptft.inference.engine import Engine
from ptft.models.loading import wrap_model
from ptft.training.examples import Example

pytestmark = pytest.mark.slow  # transformers' Trainer and the harness take seconds to import
CPU = torch.device("cpu")


@pytest.fixture
def seen(repository, monkeypatch):
    """Whether cuDNN was on, at every pass of the models that ``watched`` were given."""
    monkeypatch.syspath_prepend(str(repository / "benchmarks"))
    torch.backends.cuda.enable_cudnn_sdp(True)
    return []


def watched(model, seen):
    model.register_forward_hook(
        lambda *_: seen.append(torch.backends.cuda.cudnn_sdp_enabled()) and None
    )
    return model


@pytest.mark.parametrize("contestant", ["packed", "padded"])
def test_training(contestant, seen, monkeypatch):
    import training
    from shapes import TINY

    monkeypatch.setattr(training, "SMALL", TINY)
    new_model = training.new_model
    monkeypatch.setattr(training, "new_model", lambda *args: watched(new_model(*args), seen))
    examples = [Example(str(n), np.arange(5, 15), np.arange(10) > 7) for n in range(16)]
    run = {
        "packed": lambda: training.time_packed(examples, 1, CPU),
        "padded": lambda: training.time_padded(examples, 8, 1, CPU),
    }
    run[contestant]()
    assert seen and not any(seen)


@pytest.mark.parametrize("contestant", ["engine", "release", "harness"])
def test_evaluation(contestant, seen):
    if contestant == "harness":
        pytest.importorskip("lm_eval")
    import evaluation_contestants as contestants

    tokenizer = tiny_tokenizer()
    model = watched(tiny_olmo(len(tokenizer)), seen)
    loaded = wrap_model(model, tokenizer)
    rows = [
        {"example_id": f"e-{at}", "fields": {"text": text}, "choices": ["yes", "no"], "gold": 0}
        for at, text in enumerate(sentences(8, 3))
    ]
    cell = CellRequest("hellaswag", "default", 4, "multiple_choice", "{text}")
    task = contestants.Task(cell, rows[:2], rows[2:])
    prompts = contestants.encode(tokenizer, loaded.max_length, task)
    run = {
        "engine": lambda: contestants.run_engine(Engine(loaded), task),
        "release": lambda: contestants.run_release(loaded, task),
        "harness": lambda: contestants.run_harness(loaded, task, prompts, 2),
    }
    if contestant == "release":  # it scores MNLI's labels besides, which a tiny tokenizer lacks
        contestants._whole(loaded, prompts[0].context, prompts[0].continuations[0], lean=False)
    else:
        run[contestant]()
    assert seen and not any(seen)
