"""Load what a method saved: for evaluation."""

import json
from pathlib import Path

import torch
from transformers import PreTrainedModel

from ptft.models.folder import ADAPTER_CONFIG
from ptft.models.loading import load_model, quiet_loading


def load_tuned(
    folder: Path, checkpoint: Path | None = None, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """A model in Hugging Face layout, or a checkpoint with the adapter of ``folder`` merged in.

    An adapter is merged in float32, and the sum rounded once.

    Args:
        folder: of a checkpoint, of a fine-tuned model or of an adapter.
        checkpoint: what an adapter is put on; by default the one its configuration names.
        dtype: of the weights.

    Raises:
        ValueError: weights that do not fit the architecture, or an adapter whose checkpoint is
            not there.
    """
    folder = Path(folder)
    if not (folder / ADAPTER_CONFIG).exists():
        return load_model(folder, dtype=dtype)
    from peft import PeftModel

    named = json.loads((folder / ADAPTER_CONFIG).read_text())["base_model_name_or_path"]
    base = Path(checkpoint or named)
    if not base.is_dir():
        raise ValueError(f"{folder}: the adapter belongs to the checkpoint {base}, which is absent")
    with quiet_loading():
        model = PeftModel.from_pretrained(load_model(base), folder).merge_and_unload()
    for weight in model.parameters():  # not the model: its rotary positions stay in float32
        weight.data = weight.data.to(dtype)
    return model
