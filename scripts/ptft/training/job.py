"""One fine-tuning, from files to a finished model folder."""

import contextlib
import json
import logging
import shutil
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, NotRequired

import torch
import transformers
from safetensors import SafetensorError
from typing_extensions import TypedDict

from ptft.data.jsonl import read_all
from ptft.files.slice_files import check_slice, read_slice
from ptft.models.folder import copy_tokenizer, model_files
from ptft.models.loading import context_length, load_model, load_tokenizer, scoring_dtype
from ptft.runtime.job_records import note
from ptft.runtime.locks import exclusive
from ptft.training.attention import NAME as PACKED_ATTENTION
from ptft.training.batches import split_off
from ptft.training.curve import write_curve, write_tensorboard
from ptft.training.devices import Devices, join_devices, leave_devices, place
from ptft.training.examples import check_examples, truncate
from ptft.training.loop import Trainer
from ptft.training.memory import peak_memory, utilisation
from ptft.training.methods import METHODS, get_method
from ptft.training.run import Diverged, Run, works_in_bfloat16
from ptft.training.selection import Candidate, best_candidate, write_selection
from ptft.training.settings import TrainingSettings
from ptft.training.state import (
    StateFolder,
    StopRequest,
    fingerprint,
    finished_folder,
    link_folder,
)
from ptft.versions import TRAINING_VERSION

log = logging.getLogger(__name__)


class Slice(TypedDict):
    """What is given of the study (``Grid.finetune_slice``)."""

    __pydantic_config__ = {"extra": "forbid"}

    training_version: NotRequired[int]
    method: Literal[tuple(METHODS)]
    seed: int
    template: NotRequired[str | None]
    settings: dict[str, Any]


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


def read_request(given: Path, **paths: Path) -> Request:
    """A request from a slice of the study in a file, and the paths of the command line.

    Raises:
        ValueError: an unknown method, key or value; the message names file and line.
    """
    found = read_slice(given, Slice)
    settings = check_slice(given, METHODS[found["method"]], ("settings",), found["settings"])
    version = found.get("training_version", TRAINING_VERSION)
    if version != TRAINING_VERSION:
        raise ValueError(f"training_version: found {version}, this code is {TRAINING_VERSION}")
    return Request(found["method"], found["seed"], found.get("template"), settings, **paths)


def finetune(request: Request) -> None:
    """Fine-tune and move the finished model to ``request.output``; see ``finetune_model.py``.

    Raises:
        ValueError: input that cannot be trained on.
        Interrupted, Diverged, OutOfMemory: as :meth:`ptft.training.loop.Trainer.train`.
    """
    identity = fingerprint(_identity(request), [*model_files(request.checkpoint), request.train])
    devices = join_devices()
    lock = exclusive(request.state) if devices.main else contextlib.nullcontext()
    try:
        with lock, StopRequest() as stop:
            devices.wait()
            kept = _kept(request)
            places = [request.output, kept]
            finished = [place for place in places if _finished_identity(place) == identity]
            if devices.main:
                note(reused=min(len(finished), 1))
            if not finished:
                _Finetuning(request, identity, devices, stop).run()
            elif devices.main:
                log.info("%s was finished by an earlier attempt", finished[0])
                if finished[0] == kept:
                    link_folder(kept, request.output)
    finally:
        leave_devices()


def _identity(request: Request) -> dict[str, Any]:
    return {
        "training_version": TRAINING_VERSION,
        "method": request.method,
        "seed": request.seed,
        "template": request.template,
        "settings": asdict(request.settings),
    }


class _Finetuning:
    """The work between holding the lock and giving it back."""

    def __init__(
        self, request: Request, identity: str, devices: Devices, stop: StopRequest
    ) -> None:
        self.begun = time.monotonic()
        self.request, self.identity, self.devices, self.stop = request, identity, devices, stop
        self.settings = request.settings
        self.method = get_method(request.method)
        config = transformers.AutoConfig.from_pretrained(request.checkpoint, local_files_only=True)
        longest = min(self.settings.max_length, context_length(config) or sys.maxsize)
        examples = self.method.examples(
            load_tokenizer(request.checkpoint), read_all(request.train), request.template, longest
        )
        kept, self.dropped = truncate(examples, longest)
        self.cut = sum(item.cut for item in kept)
        self.train, self.validation = kept, []
        if self.settings.validation_examples:
            cut = split_off(len(kept), self.settings.validation_examples, request.seed)
            self.train, self.validation = ([kept[i] for i in part] for part in cut)
        check_examples([*self.train, *self.validation], self.settings.batch_size)

    def run(self) -> None:
        """Train, choose where there is a choice, write."""
        trainer, candidates = self._trained()
        weights = trainer.whole_weights() if self.devices.world > 1 else None
        if self.devices.main:
            with finished_folder(self.request.output) as folder:
                self._write(folder, trainer, candidates, weights)
            self._keep()
            if self.devices.device.type == "cuda":
                note(gpu_gib=peak_memory(self.devices.device) / 2**30)
        self.devices.wait()

    def _write(
        self, folder: Path, trainer: Trainer, candidates: list[Candidate], weights: dict | None
    ) -> None:
        """Fill the folder of the finished model.

        Raises:
            OSError: it cannot be written (a full disk).
        """
        try:
            dtype = scoring_dtype(self.devices.device)
            self.method.save(trainer.run.model, folder, dtype, weights)
        except SafetensorError as error:
            raise OSError(f"could not write the weights to {folder}: {error}") from error
        copy_tokenizer(self.request.checkpoint, folder)
        write_curve(trainer.curve, folder / "curve.parquet")
        write_tensorboard(trainer.curve, folder / "tensorboard")
        if candidates:
            write_selection(candidates, folder / "selection.csv")
        summary = json.dumps(self._summary(trainer), indent=1, sort_keys=True)
        (folder / "training.json").write_text(summary)

    def _keep(self) -> None:
        """Leave nothing in the state folder but links to the finished model.

        A caller that was killed does not know that the job has ended, or calls it too late,
        deletes the output and tries again: then the next try is instant. Whoever has used the
        model removes the links.
        """
        kept = _kept(self.request)
        link_folder(self.request.output, kept)
        for path in kept.parent.iterdir():
            if path != kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _trained(self) -> tuple[Trainer, list[Candidate]]:
        """A trained model; with several learning rates, that of the best, and their table."""
        rates = self.settings.learning_rates
        if not rates:
            trainer = self._trainer(self.settings.lr)
            trainer.train(self._state(self.request.state), self.stop)
            return trainer, []
        candidates, trainer = [], None
        for rate in rates:
            trainer = None  # gives the former model's memory back before the next is loaded
            trainer = self._trainer(rate)
            diverged = None
            try:
                trainer.train(self._state_of(rate), self.stop, keep_state=True)
            except Diverged as error:
                log.warning("%s", error)
                diverged = str(error)
            last = {} if diverged else trainer.curve[-1]
            scores = [last.get(key) for key in ("validation_loss", "validation_exact", "loss")]
            candidates.append(Candidate(rate, *scores, diverged))
        best = best_candidate(candidates)
        candidates[best] = replace(candidates[best], chosen=True)
        if best != len(rates) - 1:
            trainer = self._trainer(rates[best])
            trainer.train(self._state_of(rates[best]), self.stop)
        return trainer, candidates

    def _state(self, folder: Path) -> StateFolder:
        return StateFolder(folder, self.identity)

    def _state_of(self, rate: float) -> StateFolder:
        return self._state(self.request.state / f"lr-{rate:g}")

    def _trainer(self, rate: float) -> Trainer:
        """A trainer of the checkpoint's model, new each time."""
        seed, settings = self.request.seed, self.settings
        torch.manual_seed(seed)
        bfloat16 = works_in_bfloat16(settings, self.devices.device)
        with self.devices.in_turn():  # the host has room for one whole model, not for one each
            model = load_model(self.request.checkpoint, attention=PACKED_ATTENTION)
            model = self.method.prepare(model, settings)
            if bfloat16:
                self.method.lighten(model, torch.bfloat16)
            model = place(model, self.devices, settings.sharding, bfloat16)
        run = Run(model, self.train, self.validation, settings, rate, seed, self.devices)
        return Trainer(run)

    def _summary(self, trainer: Trainer) -> dict[str, Any]:
        """What was asked for, what it took and what it reached."""
        device, model = self.devices.device, trainer.run.model
        last, speed = trainer.curve[-1], trainer.tokens / trainer.seconds
        return {
            **_identity(self.request),
            "identity": self.identity,
            "lr": trainer.run.lr,
            "train_examples": len(self.train),
            "validation_examples": len(self.validation),
            "dropped_examples": self.dropped,
            "cut_examples": self.cut,
            "steps": trainer.steps,
            "examples": trainer.examples,
            "tokens": trainer.tokens,
            "token_budget": trainer.token_budget,
            "seconds": trainer.seconds,
            "total_seconds": time.monotonic() - self.begun,
            "tokens_per_second": speed,
            "mfu": utilisation(model, speed / self.devices.world, device),
            "peak_memory_bytes": peak_memory(device),
            "loss": last["loss"],
            "validation_loss": last.get("validation_loss"),
            "validation_exact": last.get("validation_exact"),
            "parameters": sum(p.numel() for p in model.parameters()),
            "trained_parameters": sum(p.numel() for p in trainer.trained.values()),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "devices": self.devices.world,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }


def _kept(request: Request) -> Path:
    return request.state / "finished"


def _finished_identity(output: Path) -> str | None:
    """The identity of a finished model folder; None where there is none."""
    summary = output / "training.json"
    return json.loads(summary.read_text())["identity"] if summary.exists() else None
