"""Models in memory: read whole or not at all, adapters merged, ready to be scored or trained.

Also how they are written.
"""

import contextlib
import json
import pickle
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
import transformers
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from ptft.models.folder import (
    ADAPTER_CONFIG,
    CONFIG,
    check_model,
    check_tokenizer,
    holds_adapter,
    model_files,
    read_json,
)


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
    attention: str | None = None,
    dtype: torch.dtype = torch.float32,
    device: str | None = None,
) -> PreTrainedModel:
    """Load a causal language model from a folder in Hugging Face layout, whole or not at all.

    Args:
        attention: how transformers computes it; None for what it prefers, mostly ``sdpa``.
        device: where the weights go; on ``meta`` they are compared with the architecture and not
            read. The CPU where not given.

    Raises:
        ValueError: files are missing, cut short or not what they are called; or weights are
            missing, left over or of another shape (transformers would re-initialise them silently).
    """
    avoid_cudnn_attention()
    folder = Path(folder)
    check_model(folder)
    # Naming the class spares the imports behind AutoModelForCausalLM.
    architecture = read_json(Path(folder) / CONFIG)["architectures"][0]
    kind = getattr(transformers, str(architecture), None)
    if not (isinstance(kind, type) and issubclass(kind, PreTrainedModel)):
        raise ValueError(
            f"{folder}/{CONFIG}: transformers {transformers.__version__} knows no {architecture}"
        )
    with quiet_loading(), _told_briefly(folder), _without_adapter(folder) as place:
        model, report = kind.from_pretrained(
            place,
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
def _without_adapter(folder: Path) -> Iterator[Path]:
    """A folder of whole weights where transformers finds no adapter, which it would put on them."""
    if not (folder / ADAPTER_CONFIG).exists():
        yield folder
        return
    with tempfile.TemporaryDirectory() as links:
        for file in model_files(folder):
            (Path(links) / file.name).symlink_to(file.absolute())
        yield Path(links)


@contextlib.contextmanager
def _told_briefly(folder: Path) -> Iterator[None]:
    """Foreign files break in every place of a library: one error for all, with its first line."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        reason = first_line(error)
        if isinstance(error, pickle.UnpicklingError):
            reason = "a .bin file is not one of PyTorch's, or holds more than weights"
        raise ValueError(
            f"{folder}: the model can't be loaded ({reason}); fetch or copy it again"
        ) from error


def first_line(error: Exception) -> str:
    """An error's type and the first line of what it says; libraries say it at length."""
    line = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"{type(error).__name__}: {line[:160]}"


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

    On a CPU it is float32, because most emulate bfloat16, which is slow.
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


# What transformers' configurations call the positions that a model knows.
LENGTHS = ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len")
UNLIMITED = 10**6
"""a tokenizer that names more tokens than these names no limit"""
USUAL_LENGTH = 2048
"""tokens of context of a model without a limit (BLOOM, Mamba): what these were trained with"""


def context_length(config: PreTrainedConfig) -> int | None:
    """Positions that a model knows; None where its configuration names no limit."""
    named = (getattr(config, name, None) for name in LENGTHS)
    return next((length for length in named if length), None)


def load_tuned(
    folder: Path,
    checkpoint: Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> PreTrainedModel:
    """A model in Hugging Face layout, or a checkpoint with the adapter of ``folder`` merged in.

    An adapter is merged in float32, and the sum rounded once.

    Args:
        folder: of a checkpoint, of a fine-tuned model or of an adapter.
        checkpoint: what an adapter is put on; by default the one its configuration names.
        dtype: of the weights.

    Raises:
        ValueError: weights that do not fit the architecture, or an adapter whose checkpoint is not
            there.
    """
    folder = Path(folder)
    if not holds_adapter(folder):
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


@dataclass(frozen=True)
class Target:
    """Where and how exactly a model is scored.

    Attributes:
        device: kind of device, ``cuda`` or ``cpu``.
        dtype: torch's name of the weights' precision.
    """

    device: str
    dtype: str


def target_here(dtype: str | None = None) -> Target:
    """CUDA where there is a GPU, else the CPU; by default in ``scoring_dtype``'s precision."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    usual = str(scoring_dtype(torch.device(device))).removeprefix("torch.")
    return Target(device, dtype or usual)


@dataclass(frozen=True)
class LoadedModel:
    """A causal language model that is ready to be scored.

    Attributes:
        model: in evaluation mode, on ``device``.
        tokenizer: of the same folder.
        max_length: tokens of context that the model was built for.
        pad: id that fills rows up; it is masked everywhere, so any id will do.
        eos_ids: ids that end a generation.
        plainly: why it is scored by transformers itself, a prompt at a time; None if it is not.
    """

    model: torch.nn.Module
    tokenizer: transformers.PreTrainedTokenizerBase
    max_length: int
    pad: int
    eos_ids: frozenset[int]
    plainly: str | None = None

    @property
    def device(self) -> torch.device:
        return self.model.device

    @cached_property
    def token_texts(self) -> list[str]:
        """The text of each token alone; decoding a vocabulary takes a while."""
        return self.tokenizer.batch_decode([[token] for token in range(len(self.tokenizer))])


def load_for_scoring(
    folder: Path,
    checkpoint: Path | None = None,
    target: Target | None = None,
) -> LoadedModel:
    """Load a model folder, or an adapter merged into the checkpoint that it was trained on.

    Args:
        folder: holds ``config.json`` and weights, or an adapter; and the tokenizer's files.
        checkpoint: what an adapter is put on; its tokenizer is the one that counts.
        target: what is here, if not given.

    Raises:
        ValueError: weights are missing, unexpected or of another shape.
    """
    target = target or target_here()
    model = load_tuned(folder, checkpoint, dtype=getattr(torch, target.dtype))
    return wrap_model(model.to(target.device), load_tokenizer(checkpoint or folder))


def end_of_turn(tokenizer) -> int | None:
    """Special token that ends an assistant's turn by the chat template; None if there is none."""
    said = "answer"
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": said}]
    if not tokenizer.chat_template:
        return None
    try:
        text = tokenizer.apply_chat_template(turns, tokenize=False)
    except Exception:  # of whatever the template does; a cell in that format will say it
        return None
    behind = text.rpartition(said)[2].lstrip()
    [token, *_] = tokenizer(behind, add_special_tokens=False)["input_ids"] or [None]
    known = tokenizer.added_tokens_decoder
    return token if token in known and known[token].special else None


def wrap_model(
    model: torch.nn.Module, tokenizer: transformers.PreTrainedTokenizerBase
) -> LoadedModel:
    """A model and tokenizer that are in memory already, ready to be scored.

    A model that names no length of its context gets the tokenizer's, or else ``USUAL_LENGTH``.
    """
    avoid_cudnn_attention()
    config = model.config
    max_length = context_length(config)
    if max_length is None:
        named = tokenizer.model_max_length
        max_length = named if named < UNLIMITED else USUAL_LENGTH
    eos_ids = {tokenizer.eos_token_id, end_of_turn(tokenizer)}
    for settings in (config, model.generation_config):  # generation_config.json may name more
        configured = getattr(settings, "eos_token_id", None)
        eos_ids.update(configured if isinstance(configured, list) else [configured])
    pad, rows = tokenizer.pad_token_id, model.get_input_embeddings().num_embeddings
    return LoadedModel(
        model=model.eval(),
        tokenizer=tokenizer,
        max_length=max_length,
        pad=0 if pad is None or pad >= rows else pad,
        eos_ids=frozenset(end for end in eos_ids if end is not None),
    )
