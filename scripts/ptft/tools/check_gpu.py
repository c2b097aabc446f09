"""A study's jobs on a machine: driver, torch build, GPUs, one update, one scored batch.

In a minute, before a study is submitted. Where torch sees no GPU it says why, and the way out.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ptft.runtime.gpus import driver_problem, driver_version

VOCABULARY, TOKENS, EXAMPLES = 32_000, 512, 8
SHAPE = {
    "cuda": {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 4},
    "cpu": {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 2},
}
"""of models with random weights: 117 million, small enough for any GPU, or 8 million"""


class GpuCheckFailed(RuntimeError):
    """A job of a study would not run here as it should."""


def driver_and_build() -> Iterator[str]:
    """Lines on driver and torch.

    Raises:
        GpuCheckFailed: the driver is too old for torch's build; the message names the way out.
    """
    import torch

    driver, cuda = driver_version(), torch.version.cuda
    yield f"torch {torch.__version__}, built for {f'CUDA {cuda}' if cuda else 'the CPU alone'}"
    yield f"NVIDIA driver: {driver}"
    if problem := driver_problem(driver, cuda, torch.__version__):
        raise GpuCheckFailed(problem)


def check(gpus: int) -> Iterator[str]:
    """Lines on what works, one after another.

    Args:
        gpus: that jobs of the study ask for; 0: they run on the CPU.

    Raises:
        GpuCheckFailed: torch can use fewer GPUs, or a loss or a score is not finite.
    """
    import torch

    yield from driver_and_build()
    if gpus and (found := torch.cuda.device_count() if torch.cuda.is_available() else 0) < gpus:
        raise GpuCheckFailed(f"the study asks for {gpus} GPUs a job, torch can use {found} here")
    device = torch.device("cuda" if gpus else "cpu")
    for number in range(gpus):
        about = torch.cuda.get_device_properties(number)
        yield f"GPU {number}: {about.name}, {about.total_memory / 2**30:.0f} GB"
    yield _timed("one update of 8 examples", _update, device)
    yield _timed("one scored batch of 8 prompts", _score, device)
    if gpus:
        yield f"most memory on the GPU: {torch.cuda.max_memory_allocated() / 2**30:.1f} GB"


def _timed(what: str, work, device) -> str:
    begun = time.perf_counter()
    result = work(device)
    if not all(map(_finite, result)):
        raise GpuCheckFailed(f"{what}: found {result}, expected finite numbers")
    return f"{what}: {time.perf_counter() - begun:.1f} s, {result[0]:.3f}"


def _finite(number: float) -> bool:
    return abs(number) < float("inf")


def _model(device):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ptft.training.packing import NAME

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, max_position_embeddings=TOKENS, bos_token_id=None,
        eos_token_id=None, pad_token_id=0, attn_implementation=NAME, num_attention_heads=8,
        **SHAPE[device.type],
    )  # fmt: skip
    with device:
        return LlamaForCausalLM(config)


def _update(device) -> list[float]:
    """The loss of an update by the training loop."""
    import numpy as np

    from ptft.training.devices import Devices
    from ptft.training.examples import Example
    from ptft.training.loop import Run, Trainer
    from ptft.training.settings import TrainingSettings

    ids = np.random.default_rng(0).integers(1, VOCABULARY, (EXAMPLES, TOKENS // 2))
    learned = np.arange(TOKENS // 2) >= TOKENS // 4
    examples = [Example(str(number), row, learned) for number, row in enumerate(ids)]
    settings = TrainingSettings(epochs=1, batch_size=EXAMPLES, lr=1e-6)
    trainer = Trainer(Run(_model(device), examples, [], settings, 0, Devices(device)))
    trainer.model.train()
    trainer.update()
    trainer.readings.read()
    return [trainer.curve[-1]["loss"]]


def _score(device) -> list[float]:
    """Log-probabilities of answers by the engine."""
    import numpy as np

    from ptft.inference.engine import Engine
    from ptft.models.loading import LoadedModel, scoring_dtype
    from ptft.prompts.encoding import Prompt

    model = _model(device).to(scoring_dtype(device)).eval()
    rows = np.random.default_rng(0).integers(1, VOCABULARY, (EXAMPLES, TOKENS // 2)).tolist()
    prompts = [Prompt(row[:-2], [row[-2:-1], row[-1:]], 0, False) for row in rows]
    loaded = LoadedModel(model, None, TOKENS, 0, frozenset())
    return [score for scores in Engine(loaded).score(prompts) for score in scores]
