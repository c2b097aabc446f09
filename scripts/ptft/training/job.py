"""One fine-tuning, from files to a finished model folder."""

import contextlib
import json
import logging
import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn

from ptft.models.folder import copy_tokenizer
from ptft.models.loading import StoredWeights, load_model, scoring_dtype
from ptft.runtime.job_records import note
from ptft.runtime.locks import exclusive
from ptft.training.attention import NAME as PACKED_ATTENTION
from ptft.training.blocks import freeze
from ptft.training.curve import write_curve, write_tensorboard
from ptft.training.data import read_data
from ptft.training.devices import Devices, join_devices, leave_devices, place
from ptft.training.loop import Trainer
from ptft.training.memory import peak_memory
from ptft.training.methods import get_method
from ptft.training.predictors import compared_examples, distances, kl_from_base
from ptft.training.reference import Reference
from ptft.training.request import Request
from ptft.training.run import Diverged, Run, works_in_bfloat16
from ptft.training.selection import Candidate, best_candidate, write_selection
from ptft.training.snapshots import whole_weights
from ptft.training.state import (
    StateFolder,
    StopRequest,
    fingerprint,
    finished_folder,
    link_folder,
)
from ptft.training.summary import summary_of

log = logging.getLogger(__name__)


def finetune(request: Request) -> None:
    """Fine-tune and move the finished model to ``request.output``; see ``finetune_model.py``.

    Raises:
        ValueError: input that cannot be trained on.
        Interrupted, Diverged, OutOfMemory: as :meth:`ptft.training.loop.Trainer.train`.
    """
    identity = fingerprint(request.identity(), request.files)
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


class _Finetuning:
    """The work between holding the lock and giving it back."""

    def __init__(
        self, request: Request, identity: str, devices: Devices, stop: StopRequest
    ) -> None:
        self.begun = time.monotonic()
        self.request, self.identity, self.devices, self.stop = request, identity, devices, stop
        self.settings = request.settings
        self.method = get_method(request.method)
        self.data = read_data(request, self.method)

    def run(self) -> None:
        """Train, choose where there is a choice, write."""
        trainer, candidates = self._trained()
        weights = whole_weights(trainer.run.model, self.devices) if self.devices.world > 1 else None
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

        Args:
            weights: whole, where devices share the model.

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
        summary = {
            **self.request.identity(),
            "identity": self.identity,
            **self.data.counts(),
            **summary_of(trainer),  # its peak of memory is without a second model
            **self._predictors(trainer, weights),
            "total_seconds": time.monotonic() - self.begun,
        }
        (folder / "training.json").write_text(json.dumps(summary, indent=1, sort_keys=True))

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
            last = {} if diverged else trainer.outcome
            scores = [last.get(key) for key in ("validation_loss", "validation_exact", "loss")]
            candidates.append(Candidate(rate, *scores, diverged))
        best = best_candidate(candidates)
        candidates[best] = replace(candidates[best], chosen=True)
        if best != len(rates) - 1:
            trainer = None
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
            freeze(model, settings.freeze)
            model = place(model, self.devices, settings.sharding, bfloat16)
            base = self._reference(model) if settings.kl else None
        data = self.data
        run = Run(
            model,
            *(data.train, data.validation, settings, rate, seed, self.devices),
            *(data.replayed, base),
        )
        return Trainer(run)

    def _reference(self, model: nn.Module) -> Reference:
        """The checkpoint, for its predictions: in the tuned model itself, or loaded beside it."""
        if self.method.keeps_base:
            return Reference(model, partial(self.method.as_base, model))
        bfloat16 = works_in_bfloat16(self.settings, self.devices.device)
        base = load_model(self.request.checkpoint, attention=PACKED_ATTENTION)
        base.requires_grad_(False)
        return Reference(place(base, self.devices, self.settings.sharding, bfloat16).eval())

    def _predictors(self, trainer: Trainer, weights: dict | None) -> dict[str, Any]:
        """How far the model is from its checkpoint; None, with a warning, where that fails.

        The optimizer's memory is given back first: it is more than a second model takes.
        """
        trainer.release()
        model = trainer.run.model
        whole = weights or {name: weight.detach() for name, weight in trainer.trained.items()}
        trained = {name: whole[name] for name in trainer.trained}
        stored = StoredWeights(self.request.checkpoint)
        return {
            "kl_from_base": self._kl_from_base(trainer),
            **distances(self.method, model, trained, stored),
        }

    def _kl_from_base(self, trainer: Trainer) -> float | None:
        run, device = trainer.run, self.devices.device
        if self.devices.world > 1 and self.settings.sharding == "full":
            log.warning("kl_from_base is not measured of weights that are cut over devices")
            return None
        examples = compared_examples(run.train, run.validation, run.seed)
        try:
            base = run.base or self._reference(run.model)
            return kl_from_base(run.model, base, examples, device, trainer.bfloat16)
        except torch.OutOfMemoryError:
            log.warning(
                "kl_from_base is not measured: the checkpoint does not fit beside the model"
            )
            return None


def _kept(request: Request) -> Path:
    return request.state / "finished"


def _finished_identity(output: Path) -> str | None:
    """The identity of a finished model folder; None where there is none."""
    summary = output / "training.json"
    return json.loads(summary.read_text())["identity"] if summary.exists() else None
