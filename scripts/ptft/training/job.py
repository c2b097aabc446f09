"""One fine-tuning, from files to a finished model folder."""

import contextlib
import json
import logging
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NotRequired

import torch
import transformers
from safetensors import SafetensorError
from torch import nn
from typing_extensions import TypedDict

from ptft.files import check_slice, read_all, read_slice
from ptft.models.folder import TRAINING_SUMMARY, copy_tokenizer, model_files
from ptft.models.loading import context_length, load_model, load_tokenizer, scoring_dtype
from ptft.models.snapshots import snapshot_name, updates_of
from ptft.runtime.job_records import note
from ptft.runtime.locks import exclusive
from ptft.training.agreement import load_trainable
from ptft.training.devices import (
    Devices,
    join_devices,
    leave_devices,
    local,
    place,
    whole_weights,
    works_in_bfloat16,
)
from ptft.training.examples import Example, check_examples, split_off, truncate
from ptft.training.gradients import peak_memory
from ptft.training.loop import Run, Trainer
from ptft.training.losses import constant_loss
from ptft.training.methods import METHODS, Method, get_method
from ptft.training.packing import NAME as PACKED_ATTENTION
from ptft.training.records import (
    summary_of,
    verdict,
    write_curve,
)
from ptft.training.remedies import Reference, Replayed, freeze, replay_examples
from ptft.training.settings import TrainingSettings, replayed_count, require
from ptft.training.state import (
    StateFolder,
    StopRequest,
    fingerprint,
    finished_folder,
    link_folder,
)
from ptft.training.updates import PLAIN, Way, choose_way, possible_ways
from ptft.versions import TRAINING_VERSION

log = logging.getLogger(__name__)


class Slice(TypedDict):
    """The part of the study that a job is given (``Grid.finetune_slice``)."""

    __pydantic_config__ = {"extra": "forbid"}

    training_version: NotRequired[int]
    method: Literal[tuple(METHODS)]
    seed: int
    template: NotRequired[str | None]
    replay_template: NotRequired[str | None]
    settings: dict[str, Any]
    snapshot: NotRequired[float]


@dataclass(frozen=True)
class Request:
    """Which method, with which settings, from where to where."""

    method: str
    seed: int
    template: str | None
    settings: TrainingSettings
    checkpoint: Path
    train: Path
    state: Path
    output: Path
    replay: Path | None = None
    """what is replayed, where ``settings`` ask for it"""
    replay_template: str | None = None
    ways: Path | None = None
    """folder in which the study keeps which way of updates each method takes"""
    snapshot: float | None = None
    """the point whose model is wanted, if not the training's own end (``models.snapshots``)"""
    snapshots: Sequence[float] = ()
    """points whose models are left on the way, for the jobs that are asked for them"""

    @property
    def files(self) -> list[Path]:
        """Every file that decides the weights."""
        replay = [self.replay] if self.replay else []
        return [*model_files(self.checkpoint), self.train, *replay]

    @property
    def kept(self) -> Path:
        """Links to the finished model, beside its state."""
        return self.state / "finished"

    @property
    def training(self) -> str:
        """Name of the arm; of a snapshot, of the arm on whose way it is."""
        end = "" if self.snapshot is None else snapshot_name("", self.snapshot)
        return self.state.name.removesuffix(end)

    def on_the_way(self, point: float) -> "Request":
        """The request of a snapshot's job: its state and output are beside these."""
        name = snapshot_name(self.training, point)
        state, output = self.state.with_name(name), self.output.with_name(name)
        return replace(self, snapshot=point, state=state, output=output)

    def marked(self, identity: str) -> str:
        """The identity of the request, from that of the whole training."""
        return identity if self.snapshot is None else snapshot_name(identity, self.snapshot)

    def finished(self, identity: str) -> list[Path]:
        """Folders that hold its model already, by the identity of the whole training."""
        own = self.marked(identity)
        return [place for place in (self.output, self.kept) if _finished_identity(place) == own]

    def identity(self) -> dict[str, Any]:
        """All else that decides the weights, the point at which it ends aside."""
        return {
            "training_version": TRAINING_VERSION,
            "method": self.method,
            "seed": self.seed,
            "template": self.template,
            **({"replay_template": self.replay_template} if self.replay else {}),
            "settings": asdict(self.settings),
        }


def read_request(
    given: Path, snapshots: Mapping[str, Sequence[float]], **paths: Path | None
) -> Request:
    """A request from a slice of the study in a file, and the paths of the command line.

    Args:
        given: the slice.
        snapshots: method -> points whose models its trainings leave on the way.
        paths: fields of the request.

    Raises:
        ValueError: an unknown method, key or value; the message names file and line. Or something
            to replay without a file, or a file without that.
    """
    found = read_slice(given, Slice)
    settings = check_slice(given, METHODS[found["method"]], ("settings",), found["settings"])
    version = found.get("training_version", TRAINING_VERSION)
    if version != TRAINING_VERSION:
        raise ValueError(f"training_version: found {version}, this code is {TRAINING_VERSION}")
    if (settings.replay is None) != (paths.get("replay") is None):
        raise ValueError(
            "--train: a second file, and settings.replay, are given together or not at all"
        )
    return Request(
        method=found["method"],
        seed=found["seed"],
        template=found.get("template"),
        replay_template=found.get("replay_template"),
        settings=settings,
        snapshot=found.get("snapshot"),
        snapshots=snapshots.get(found["method"], ()),
        **paths,
    )


@dataclass(frozen=True)
class Data:
    """Examples to train on, held out for validation and replayed; what was cut or left out."""

    train: list[Example]
    validation: list[Example]
    replayed: Replayed | None
    dropped: list[str]
    cut: int

    def counts(self) -> Mapping[str, Any]:
        """Numbers of examples, for the model's summary."""
        return {
            "train_examples": len(self.train),
            "validation_examples": len(self.validation),
            "dropped_examples": self.dropped,
            "cut_examples": self.cut,
            **({"replay_set": len(self.replayed.examples)} if self.replayed else {}),
        }


def read_data(request: Request, method: Method) -> Data:
    """The examples of a request.

    Raises:
        ValueError: they cannot be trained on.
    """
    settings, seed = request.settings, request.seed
    config = transformers.AutoConfig.from_pretrained(request.checkpoint, local_files_only=True)
    longest = min(settings.max_length, context_length(config) or sys.maxsize)
    tokenizer = load_tokenizer(request.checkpoint)
    rows = read_all(request.train)
    kept, dropped = truncate(method.examples(tokenizer, rows, request.template, longest), longest)
    train, validation = kept, []
    if settings.validation_examples:
        cut = split_off(len(kept), settings.validation_examples, seed)
        train, validation = ([kept[i] for i in part] for part in cut)
    check_examples([*train, *validation], settings.batch_size)
    replayed = None
    if settings.replay and request.replay:
        others = read_all(request.replay)
        replay, count = settings.replay, len(train) * settings.epochs
        some = replayed_count(count, replay.share) > 0
        expected = f"more, because of {count} examples of the task it leaves none to replay"
        require(some, "replay.share", replay.share, expected)
        imitated = replay.learn == "distributions"
        made = replay_examples(tokenizer, others, request.replay_template, longest, imitated)
        replayed = Replayed(made, replay.share, seed)
    return Data(train, validation, replayed, dropped, sum(item.cut for item in kept))


def finetune(request: Request) -> None:
    """Fine-tune and move the finished model to ``request.output``; see ``finetune_model.py``.

    Raises:
        ValueError: input that cannot be trained on.
        Interrupted, Diverged, OutOfMemory: as :meth:`ptft.training.loop.Trainer.train`.
    """
    identity = fingerprint(request.identity(), request.files)
    devices = join_devices()
    # A training and its snapshots, one after the other: what one of them makes, others may need.
    whole = request.state.with_name(request.training)
    lock = exclusive(whole) if devices.main else contextlib.nullcontext()
    try:
        with lock, StopRequest() as stop:
            devices.wait()
            finished = request.finished(identity)
            if devices.main:
                note(reused=min(len(finished), 1))
            if finished:
                log.info("%s was finished before", finished[0])
            else:
                _Finetuning(request, identity, devices, stop).run()
            if devices.main and request.output not in request.finished(identity):
                link_folder(request.kept, request.output)
    finally:
        leave_devices()


def _finished_identity(output: Path) -> str | None:
    """The identity of a finished model folder; None where there is none."""
    summary = output / TRAINING_SUMMARY
    return json.loads(summary.read_text())["identity"] if summary.exists() else None


class _Finetuning:
    """The work between holding the lock and giving it back."""

    def __init__(
        self, request: Request, identity: str, devices: Devices, stop: StopRequest
    ) -> None:
        self.request, self.identity, self.devices, self.stop = request, identity, devices, stop
        self.settings = request.settings
        self.method = get_method(request.method)
        self.data = read_data(request, self.method)
        self.bfloat16 = works_in_bfloat16(self.settings.dtype, devices.device)
        self.saved_dtype = self.method.saved_dtype(scoring_dtype(devices.device))
        self.way = PLAIN
        self.start_sums: list[int] = []
        self.until: int | None = None
        points = {*request.snapshots, *([request.snapshot] if request.snapshot else [])}
        try:
            self.updates = updates_of(points, self.settings.count_updates(len(self.data.train)))
        except ValueError as error:
            raise ValueError(f"finetune.{request.method}.snapshots: {error}") from None

    def run(self) -> None:
        """Train to the end, or as far as snapshots are missing."""
        ways = possible_ways(self.settings, self.devices)
        record = self.request.ways and self.request.ways / f"{self.request.method}.json"
        self.way = choose_way(ways, record, self._trainer)
        if self.request.snapshot is None:
            self._train()
        else:
            self._train_copy()
        if self.devices.main and self.devices.device.type == "cuda":
            note(gpu_gib=peak_memory(self.devices.device) / 2**30)
        self.devices.wait()

    def _train(self) -> None:
        """Train, write."""
        trainer = self._trainer()
        trainer.train(self._state(self.request.state), self.stop)
        weights = whole_weights(trainer.run.model, self.devices)
        learned = self._learned(trainer)
        if self.devices.main:
            with finished_folder(self.request.output) as folder:
                self._write(folder, trainer, weights, learned)
            self._keep()

    def _train_copy(self) -> None:
        """Train a copy to the last snapshot that is missing; all of them are left on its way."""
        asked = {point: self.request.on_the_way(point) for point in self.updates}
        self.updates = {
            point: update
            for point, update in self.updates.items()
            if not asked[point].finished(self.identity)
        }
        self.until = max(self.updates.values())
        copy = self.request.state.with_name(f"{self.request.training}@copy{self.until}")
        self._trainer().train(self._state(copy), self.stop)
        if self.devices.main:
            shutil.rmtree(copy, ignore_errors=True)

    def _write(
        self,
        folder: Path,
        trainer: Trainer,
        weights: dict | None,
        learned: Mapping[str, Any],
    ) -> None:
        """Fill the folder of the finished model.

        Args:
            weights: whole, where devices share the model.

        Raises:
            OSError: it cannot be written (a full disk).
        """
        self._write_model(folder, trainer, weights)
        write_curve(trainer.curve, folder / "curve.parquet")
        summary = {**self.data.counts(), **summary_of(trainer), **learned}
        self._write_summary(folder, self.identity, summary)

    def _write_model(self, folder: Path, trainer: Trainer, weights: dict | None) -> None:
        try:
            self.method.save(trainer.run.model, folder, self.saved_dtype, weights)
        except SafetensorError as error:
            raise OSError(f"could not write the weights to {folder}: {error}") from error
        copy_tokenizer(self.request.checkpoint, folder)

    def _write_summary(self, folder: Path, identity: str, told: Mapping[str, Any]) -> None:
        summary = {**self.request.identity(), "identity": identity, **told}
        (folder / TRAINING_SUMMARY).write_text(json.dumps(summary, indent=1, sort_keys=True))

    def _leave(self, trainer: Trainer) -> None:
        """Keep a model on the way where the job of its snapshot finds it finished."""
        weights = whole_weights(trainer.run.model, self.devices)
        for point in (point for point, at in self.updates.items() if at == trainer.step):
            asked = self.request.on_the_way(point)
            if self.devices.main:
                with finished_folder(asked.kept) as folder:
                    self._write_model(folder, trainer, weights)
                    told = {"snapshot": point, "steps": trainer.step}
                    self._write_summary(folder, asked.marked(self.identity), told)
        self.devices.wait()

    def _keep(self) -> None:
        """Leave nothing in the state folder but links to the finished model.

        A caller that was killed does not know that the job has ended, or calls it too late,
        deletes the output and tries again: then the next try is instant. Whoever has used the
        model removes the links.
        """
        kept = self.request.kept
        link_folder(self.request.output, kept)
        for path in kept.parent.iterdir():
            if path != kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _learned(self, trainer: Trainer) -> dict[str, Any]:
        """Whether the training learned, by its own examples; a warning where it did not."""
        (final, exact), start = trainer.final(), trainer.start_loss
        constant = constant_loss(self.data.train, self.settings.weighting)
        sums = weight_sums(trainer.trained.values(), self.saved_dtype)
        [moved] = self.devices.any(sums != self.start_sums)
        found = verdict(final, start, constant, moved, exact=exact)
        if found != "learned" and self.devices.main:
            log.warning(
                "the training did not learn (%s): its loss on its own examples is %.3f, was %.3f "
                "before, and is %s for a constant answer. Try other seeds, more epochs, another lr",
                *(found, final, start, "unknown" if constant is None else f"{constant:.3f}"),
            )
        return {
            "final_loss": final,
            "final_exact": exact,
            "start_loss": start,
            "constant_loss": constant,
            "verdict": found,
        }

    def _state(self, folder: Path) -> StateFolder:
        return StateFolder(folder, self.identity)

    def _trainer(self, way: Way | None = None) -> Trainer:
        """A trainer of the checkpoint's model, new each time."""
        seed, settings, data = self.request.seed, self.settings, self.data
        torch.manual_seed(seed)
        with self.devices.in_turn():  # the host has room for one whole model, not for one each
            where = self.devices.device if self.devices.world == 1 else torch.device("cpu")
            model = load_trainable(self.request.checkpoint, data.train, where)
            model = self.method.prepare(model, settings)
            if self.bfloat16:
                self.method.lighten(model, torch.bfloat16)
            freeze(model, settings.freeze)
            model = place(model, self.devices, settings.sharding, self.bfloat16)
            base = self._reference(model) if settings.needs_base else None
        run = Run(
            model,
            *(data.train, data.validation, settings, seed, self.devices),
            *(data.replayed, base, way or self.way),
            until=self.until,
            snapshots=frozenset(self.updates.values()),
            leave=self._leave,
        )
        trainer = Trainer(run)
        self.start_sums = weight_sums(trainer.trained.values(), self.saved_dtype)
        return trainer

    def _reference(self, model: nn.Module) -> Reference:
        """The checkpoint, for its predictions: in the tuned model itself, or loaded beside it."""
        if self.settings.keeps_base:
            return Reference(model, partial(self.method.as_base, model))
        base = load_model(self.request.checkpoint, attention=PACKED_ATTENTION)
        base.requires_grad_(False)
        if self.bfloat16 and self.settings.sharding == "data":
            lighten_linear(base, torch.bfloat16)
        return Reference(place(base, self.devices, self.settings.sharding, self.bfloat16).eval())


def lighten_linear(model: nn.Module, dtype: torch.dtype) -> None:
    """Keep linear layers that are not trained in the precision they are multiplied in.

    Autocast rounds them to the same values in every pass. The output layer, which may be tied to
    the embeddings, stays as it is.
    """
    head = model.get_output_embeddings()
    for part in model.modules():
        if isinstance(part, nn.Linear) and part is not head:
            part.to(dtype)


@torch.no_grad()
def weight_sums(weights: Iterable[torch.Tensor], dtype: torch.dtype) -> list[int]:
    """A number for each weight that changes when its bits in a precision do."""
    whole = {torch.float32: torch.int32, torch.bfloat16: torch.int16, torch.float16: torch.int16}
    sums = [local(weight).detach().to(dtype).view(whole[dtype]).sum() for weight in weights]
    return torch.stack(sums).tolist()
