"""Loading a model folder for evaluation, failing on weights that do not fit."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model that is ready to be scored.

    Attributes:
        model: in evaluation mode, on ``device``.
        tokenizer: of the same folder.
        max_length: tokens of context that the model was built for.
        pad: id that fills rows up; it is masked everywhere, so any id will do.
        ends: ids that end a generation.
    """

    model: torch.nn.Module
    tokenizer: transformers.PreTrainedTokenizerBase
    max_length: int
    pad: int
    ends: frozenset[int]

    @property
    def device(self) -> torch.device:
        return self.model.device


def load_model(
    folder: str | Path, device: str | None = None, dtype: torch.dtype | None = None
) -> LoadedModel:
    """Load a folder in the Hugging Face layout.

    Args:
        folder: holds ``config.json``, weights and the tokenizer's files.
        device: CUDA where there is one, else the CPU.
        dtype: bfloat16 on CUDA, float32 on the CPU (where bfloat16 is emulated and slow).

    Raises:
        FileNotFoundError: the folder or its ``config.json`` is missing.
        ValueError: weights are missing, unexpected or of another shape, which
            ``from_pretrained`` alone would replace by random numbers.
    """
    folder = Path(folder)
    config_file = folder / "config.json"
    if not config_file.is_file():
        raise FileNotFoundError(f"{folder} is not a model folder: it has no config.json")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or (torch.bfloat16 if device.startswith("cuda") else torch.float32)
    # Naming the class spares the imports behind AutoModelForCausalLM.
    architecture = json.loads(config_file.read_text())["architectures"][0]
    model_class = getattr(transformers, architecture)
    model, info = model_class.from_pretrained(folder, dtype=dtype, output_loading_info=True)
    wrong = {name: sorted(map(str, keys)) for name, keys in info.items() if keys}
    if wrong:
        raise ValueError(f"the weights in {folder} do not fit {architecture}: {wrong}")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return wrap_model(model.to(device), tokenizer)


def wrap_model(
    model: torch.nn.Module, tokenizer: transformers.PreTrainedTokenizerBase
) -> LoadedModel:
    """A model and tokenizer that are in memory already, ready to be scored.

    Raises:
        ValueError: the model attends to a window that is shorter than its context.
    """
    config = model.config
    max_length = config.max_position_embeddings
    window = getattr(config, "sliding_window", None)
    if window and window < max_length:
        raise ValueError(
            f"the model attends to a sliding window of {window} tokens, which is shorter than its "
            f"context of {max_length}; prefix sharing is exact for full attention only"
        )
    ends = {tokenizer.eos_token_id}
    configured = config.eos_token_id
    ends.update(configured if isinstance(configured, list) else [configured])
    pad = tokenizer.pad_token_id
    return LoadedModel(
        model=model.eval(),
        tokenizer=tokenizer,
        max_length=max_length,
        pad=0 if pad is None else pad,
        ends=frozenset(end for end in ends if end is not None),
    )
