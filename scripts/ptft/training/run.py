"""One fine-tuning, from files to a finished model folder."""

import json
import logging
import resource
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from ptft.methods import Method, get_method
from ptft.training.attention import NAME as PACKED_ATTENTION
from ptft.training.batches import split_off
from ptft.training.curve import write_curve
from ptft.training.examples import Example, check_examples, truncate
from ptft.training.loop import Run, Trainer, seed_everything
from ptft.training.model import (
    context_length,
    copy_tokenizer,
    load_model,
    load_tokenizer,
    weight_files,
)
from ptft.training.settings import TrainingSettings, settings_from
from ptft.training.state import (
    StateFolder,
    StopRequest,
    exclusive,
    fingerprint,
    finished_folder,
)

log = logging.getLogger(__name__)

TRAINING_VERSION = 1
"""Raised when the same inputs would give other weights."""
REQUEST_KEYS = {"method", "seed", "template", "settings", "training_version"}


@dataclass(frozen=True)
class Request:
    """What is asked for: which method, with which settings, from where to where."""

    method: str
    seed: int
    template: str | None
    settings: TrainingSettings
    checkpoint: Path
    train: Path
    state: Path
    output: Path


def parse_request(values: Mapping[str, Any], **paths: Path) -> Request:
    """A request from the JSON argument and the paths of the command line.

    Raises:
        ValueError: an unknown method, key or value.
    """
    unknown = sorted(set(values) - REQUEST_KEYS)
    if unknown:
        raise ValueError(f"--settings: unknown {unknown}, expected {sorted(REQUEST_KEYS)}")
    settings = settings_from(get_method(values["method"]).Settings, values["settings"])
    if values.get("training_version", TRAINING_VERSION) != TRAINING_VERSION:
        raise ValueError(
            f"training_version: found {values['training_version']}, this code is {TRAINING_VERSION}"
        )
    return Request(values["method"], values["seed"], values.get("template"), settings, **paths)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The prepared examples of a JSON-lines file.

    Raises:
        ValueError: the file has no rows.
    """
    with path.open(encoding="utf-8") as handle:
        rows = [json.loads(line) for line in handle]
    if not rows:
        raise ValueError(f"{path} has no training examples")
    return rows


def finetune(request: Request) -> None:
    """Fine-tune and move the finished model to ``request.output``; see ``finetune_model.py``."""
    parts = {
        "version": TRAINING_VERSION,
        "method": request.method,
        "seed": request.seed,
        "template": request.template,
        "settings": asdict(request.settings),
    }
    identity = fingerprint(parts, [*weight_files(request.checkpoint), request.train])
    with exclusive(request.state), StopRequest() as stop:
        if _finished_identity(request.output) == identity:
            log.info("%s is finished already", request.output)
            return
        _finetune_locked(request, parts, identity, stop)


def _finetune_locked(
    request: Request, parts: dict[str, Any], identity: str, stop: StopRequest
) -> None:
    begun = time.monotonic()
    method = get_method(request.method)
    settings = request.settings
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = load_tokenizer(request.checkpoint)
    rows = read_rows(request.train)
    examples, dropped = truncate(
        method.examples(tokenizer, rows, request.template, settings), settings.max_length
    )
    train, validation = _split(examples, settings, request.seed)
    model = _prepared_model(request, method, train, device)
    trainer = Trainer(Run(model, train, validation, settings, settings.lr, request.seed, device))
    state = StateFolder(request.state, identity)
    trainer.train(state, stop)
    with finished_folder(request.output) as folder:
        method.save(model, folder)
        copy_tokenizer(request.checkpoint, folder)
        write_curve(trainer.curve, folder / "curve.parquet")
        summary = {
            **parts,
            "identity": identity,
            "lr": settings.lr,
            "train_examples": len(train),
            "validation_examples": len(validation),
            "dropped_examples": dropped,
            **_measurements(trainer, model, device),
            "total_seconds": time.monotonic() - begun,
        }
        (folder / "training.json").write_text(json.dumps(summary, indent=1, sort_keys=True))
    state.remove()


def _split(
    examples: list[Example], settings: TrainingSettings, seed: int
) -> tuple[list[Example], list[Example]]:
    if not settings.validation_examples:
        return examples, []
    kept, held_out = split_off(len(examples), settings.validation_examples, seed)
    return [examples[i] for i in kept], [examples[i] for i in held_out]


def _prepared_model(
    request: Request, method: Method, train: list[Example], device: torch.device
) -> torch.nn.Module:
    """The checkpoint's model, on its device, as the method trains it."""
    seed_everything(request.seed)
    model = load_model(request.checkpoint, attention=PACKED_ATTENTION)
    check_examples(train, request.settings.batch_size, context_length(model))
    return method.prepare(model, request.settings).to(device)


def _measurements(trainer: Trainer, model: torch.nn.Module, device: torch.device) -> dict[str, Any]:
    """What the run took and reached."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
    else:
        peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    last = trainer.curve[-1]
    return {
        "steps": trainer.steps,
        "examples": trainer.examples,
        "tokens": trainer.tokens,
        "seconds": trainer.seconds,
        "tokens_per_second": trainer.tokens / trainer.seconds,
        "peak_memory_bytes": peak,
        "final_loss": last["loss"],
        "validation_loss": last.get("validation_loss"),
        "validation_exact": last.get("validation_exact"),
        "parameters": sum(p.numel() for p in model.parameters()),
        "trained_parameters": sum(p.numel() for p in trainer.parameters),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def _finished_identity(output: Path) -> str | None:
    """The identity of a finished model folder; None where there is none."""
    summary = output / "training.json"
    return json.loads(summary.read_text())["identity"] if summary.exists() else None
