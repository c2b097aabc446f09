"""Loading a model folder for evaluation, failing on weights that do not fit."""

from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from ptft.models.adapters import load_tuned
from ptft.models.loading import (
    avoid_cudnn_attention,
    context_length,
    load_tokenizer,
    scoring_dtype,
)


@dataclass(frozen=True)
class Target:
    """Where and how exactly a model is scored.

    Attributes:
        device: kind of device, ``cuda`` or ``cpu``.
        dtype: torch's name of the weights' precision.
    """

    device: str
    dtype: str


def target_here() -> Target:
    """CUDA where there is a GPU, else the CPU, in the precision that models are scored in there."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Target(device, str(scoring_dtype(torch.device(device))).removeprefix("torch."))


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model that is ready to be scored.

    Attributes:
        model: in evaluation mode, on ``device``.
        tokenizer: of the same folder.
        max_length: tokens of context that the model was built for.
        pad: id that fills rows up; it is masked everywhere, so any id will do.
        eos_ids: ids that end a generation.
    """

    model: torch.nn.Module
    tokenizer: transformers.PreTrainedTokenizerBase
    max_length: int
    pad: int
    eos_ids: frozenset[int]

    @property
    def device(self) -> torch.device:
        return self.model.device


def load_for_scoring(
    folder: Path,
    checkpoint: Path | None = None,
    target: Target | None = None,
) -> LoadedModel:
    """Load a model folder, or an adapter merged into the checkpoint that it was trained on.

    Args:
        folder: holds ``config.json`` and weights, or an adapter; and the tokenizer's files.
        checkpoint: what an adapter is put on.
        target: what is here, if not given.

    Raises:
        ValueError: weights are missing, unexpected or of another shape.
    """
    target = target or target_here()
    model = load_tuned(folder, checkpoint, dtype=getattr(torch, target.dtype))
    return wrap_model(model.to(target.device), load_tokenizer(folder))


def wrap_model(
    model: torch.nn.Module, tokenizer: transformers.PreTrainedTokenizerBase
) -> LoadedModel:
    """A model and tokenizer that are in memory already, ready to be scored.

    Raises:
        ValueError: the model names no length of its context, or attends to a window that is
            shorter.
    """
    avoid_cudnn_attention()
    config = model.config
    max_length = context_length(config)
    if max_length is None:
        raise ValueError(
            f"{config.name_or_path}/config.json has no max_position_embeddings; without it nobody "
            "knows how long a prompt may be"
        )
    window = getattr(config, "sliding_window", None)
    if window and window < max_length:
        raise ValueError(
            f"the model attends to a sliding window of {window} tokens, which is shorter than its "
            f"context of {max_length}; prefix sharing is exact for full attention only"
        )
    eos_ids = {tokenizer.eos_token_id}
    configured = config.eos_token_id
    eos_ids.update(configured if isinstance(configured, list) else [configured])
    pad = tokenizer.pad_token_id
    return LoadedModel(
        model=model.eval(),
        tokenizer=tokenizer,
        max_length=max_length,
        pad=0 if pad is None else pad,
        eos_ids=frozenset(end for end in eos_ids if end is not None),
    )
