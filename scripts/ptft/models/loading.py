"""Checkpoints on disk and models in memory."""

import contextlib
import json
import pickle
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
import transformers
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ptft.models.folder import CONFIG, check_model, check_tokenizer, read_json


def avoid_cudnn_attention() -> None:
    """Keep attention in this process off cuDNN, which plans anew for every shape that it meets.

    On Hopper torch prefers it; but prompts and micro-batches come in hundreds of shapes, and each
    step of a generation is a new one.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """Without transformers' progress bar and load report: what they say is raised instead."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
        transformers_logging.enable_progress_bar()


def load_model(
    folder: Path,
    attention: str = "sdpa",
    dtype: torch.dtype = torch.float32,
    device: str | None = None,
) -> PreTrainedModel:
    """Load a causal language model from a folder in Hugging Face layout, whole or not at all.

    Args:
        device: where the weights go; on ``meta`` they are compared with the architecture and not
            read. The CPU where not given.

    Raises:
        ValueError: files are missing, cut short or not what they are called; or weights are
            missing, left over or of another shape (transformers would re-initialise them silently).
    """
    avoid_cudnn_attention()
    check_model(Path(folder))
    # Naming the class spares the imports behind AutoModelForCausalLM.
    architecture = read_json(Path(folder) / CONFIG)["architectures"][0]
    kind = getattr(transformers, str(architecture), None)
    if not (isinstance(kind, type) and issubclass(kind, PreTrainedModel)):
        raise ValueError(
            f"{folder}/{CONFIG}: transformers {transformers.__version__} knows no {architecture}"
        )
    with quiet_loading(), _told_briefly(folder):
        model, report = kind.from_pretrained(
            folder,
            dtype=dtype,
            attn_implementation=attention,
            device_map=device,
            ignore_mismatched_sizes=True,  # so that they are reported, and raised below
            output_loading_info=True,
            local_files_only=True,
        )
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        found = sorted(str(key) for key in report[problem])
        if found:
            raise ValueError(
                f"{folder}: the weights do not fit the architecture, {problem}: {found[:5]}"
                f"{' ...' if len(found) > 5 else ''}; check config.json against the weights"
            )
    return model


@contextlib.contextmanager
def _told_briefly(folder: Path) -> Iterator[None]:
    """Foreign files break in every place of a library: one error for all, with its first line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        if isinstance(error, pickle.UnpicklingError):  # torch says it at length
            reason = "a .bin file is not one of PyTorch's, or holds more than weights"
        raise ValueError(
            f"{folder}: the model can't be loaded ({type(error).__name__}: {reason[:200]}); fetch "
            "or copy it again"
        ) from error


def load_tokenizer(folder: Path):
    """The tokenizer of a checkpoint folder.

    Raises:
        ValueError: there is none, or it can't be read.
    """
    check_tokenizer(Path(folder))
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # of many kinds, plain Exception among them
        raise ValueError(f"{folder}: its tokenizer can't be read: {error}") from error


def scoring_dtype(device: torch.device) -> torch.dtype:
    """Precision in which models are evaluated, and tuned ones saved: bfloat16 on CUDA.

    On a CPU it is float32, because bfloat16 is emulated there and slow.
    """
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def save_model(
    model: PreTrainedModel, folder: Path, dtype: torch.dtype, weights: dict | None = None
) -> None:
    """Write config and weights (``weights``, or the model's own) to a folder, as safetensors."""
    cast: dict[int, torch.Tensor] = {}  # tied weights stay one tensor
    whole = {
        name: cast.setdefault(weight.data_ptr(), weight.to(dtype))
        for name, weight in (weights or model.state_dict()).items()
    }
    with warnings.catch_warnings(), quiet_loading():
        warnings.simplefilter("ignore")
        model.save_pretrained(folder, state_dict=whole)
    config = json.loads((folder / "config.json").read_text())
    config["dtype"] = str(dtype).removeprefix("torch.")
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def context_length(config: PreTrainedConfig) -> int | None:
    """Positions that a model knows; None where its configuration names no limit."""
    return getattr(config, "max_position_embeddings", None)
