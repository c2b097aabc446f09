"""Load what a method saved: for evaluation."""

import json
from pathlib import Path

from transformers import PreTrainedModel

from ptft.methods.lora import ADAPTER_CONFIG
from ptft.training.model import load_model, quiet_loading


def load_tuned(folder: Path, checkpoint: Path | None = None, **options) -> PreTrainedModel:
    """A model in Hugging Face layout, or a checkpoint with the adapter of ``folder`` merged in.

    Args:
        folder: of a checkpoint, of a fine-tuned model or of an adapter.
        checkpoint: what an adapter is put on; by default the one its configuration names.
        options: for ``ptft.training.model.load_model``: ``attention``, ``dtype``.

    Raises:
        ValueError: weights that do not fit the architecture, or an adapter whose checkpoint is
            not there.
    """
    folder = Path(folder)
    if not (folder / ADAPTER_CONFIG).exists():
        return load_model(folder, **options)
    from peft import PeftModel

    named = json.loads((folder / ADAPTER_CONFIG).read_text())["base_model_name_or_path"]
    base = Path(checkpoint or named)
    if not base.is_dir():
        raise ValueError(f"{folder}: the adapter belongs to the checkpoint {base}, which is absent")
    model = load_model(base, **options)
    with quiet_loading():
        return PeftModel.from_pretrained(model, folder).merge_and_unload()
