"""Load what a method saved: for evaluation."""

import contextlib
import json
from pathlib import Path

import torch
from transformers import PreTrainedModel

from ptft.models.folder import ADAPTER_CONFIG
from ptft.models.loading import load_model, quiet_loading


def load_tuned(
    folder: Path,
    checkpoint: Path | None = None,
    dtype: torch.dtype = torch.float32,
    scale: float = 1.0,
) -> PreTrainedModel:
    """A model in Hugging Face layout, or a checkpoint with the adapter of ``folder`` merged in.

    An adapter is merged in float32, and the sum rounded once.

    Args:
        folder: of a checkpoint, of a fine-tuned model or of an adapter.
        checkpoint: what an adapter is put on; by default the one its configuration names.
        dtype: of the weights.
        scale: how much of an adapter is merged, as peft scales it; whole weights have no scale.

    Raises:
        ValueError: weights that do not fit the architecture, an adapter whose checkpoint is not
            there, or one that peft can't scale.
    """
    folder = Path(folder)
    if not (folder / ADAPTER_CONFIG).exists():
        return load_model(folder, dtype=dtype)
    from peft import PeftModel
    from peft.helpers import rescale_adapter_scale

    named = json.loads((folder / ADAPTER_CONFIG).read_text())["base_model_name_or_path"]
    base = Path(checkpoint or named)
    if not base.is_dir():
        raise ValueError(f"{folder}: the adapter belongs to the checkpoint {base}, which is absent")
    with quiet_loading():
        adapted = PeftModel.from_pretrained(load_model(base), folder)
        with contextlib.nullcontext() if scale == 1 else rescale_adapter_scale(adapted, scale):
            model = adapted.merge_and_unload()
    for weight in model.parameters():  # not the model: its rotary positions stay in float32
        weight.data = weight.data.to(dtype)
    return model
