"""What a training run took and reached."""

from typing import Any

import torch
import transformers

from ptft.training.loop import Trainer
from ptft.training.memory import peak_memory, utilisation


def summary_of(trainer: Trainer) -> dict[str, Any]:
    """For the model's summary: of all updates what they took, of the saved weights how good."""
    run, model = trainer.run, trainer.run.model
    device, speed = run.devices.device, trainer.seen["tokens"] / trainer.seconds
    reached, best = trainer.outcome, trainer.stopping.step
    return {
        "lr": run.lr,
        "steps": trainer.step,
        **({"best_step": best} if best else {}),
        **trainer.seen,
        "token_budget": trainer.gradients.token_budget,
        "seconds": trainer.seconds,
        "tokens_per_second": speed,
        "mfu": utilisation(model, speed / run.devices.world, device),
        "peak_memory_bytes": peak_memory(device),
        **{key: reached.get(key) for key in ("loss", "validation_loss", "validation_exact")},
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in trainer.trained.values()),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "devices": run.devices.world,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
