"""The updates: gradients over micro-batches, clipping, AdamW, checks, state.

An update's gradient does not depend on how its batch is cut into micro-batches or over devices,
and the whole run is a function of (model, examples, settings, learning rate, seed): a run resumed
from its state ends with the same weights as an undisturbed one, bit for bit on CPU.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from ptft.runtime.bars import ProgressBar, progress
from ptft.runtime.job_records import note
from ptft.training.batches import batch_indices, updates_per_epoch
from ptft.training.cuda_graphs import CudaGraphs, Recorder
from ptft.training.devices import replicate
from ptft.training.early_stopping import EarlyStopping
from ptft.training.examples import Example
from ptft.training.gradients import Gradients
from ptft.training.l2sp import StartingPoint
from ptft.training.loss import Objective
from ptft.training.memory import automatic_token_budget
from ptft.training.optimizer import Optimizer
from ptft.training.packing import PackedBatch, example_weights
from ptft.training.readings import Readings
from ptft.training.recorded_updates import RecordedUpdates, can_record
from ptft.training.run import OutOfMemory, Run, compile_layers, works_in_bfloat16
from ptft.training.schedule import learning_rate
from ptft.training.snapshots import gathered_weights, load_weights, restore, snapshot
from ptft.training.state import Interrupted, StateFolder, StopRequest
from ptft.training.validation import validate

log = logging.getLogger(__name__)


class Trainer:
    """Runs the updates of one :class:`Run` and keeps its learning curve."""

    def __init__(self, run: Run) -> None:
        self.run = run
        settings, device = run.settings, run.devices.device
        if run.devices.world > 1 and (key := settings.of_one_device):
            raise ValueError(f"{key} is for one device, there are {run.devices.world}")
        self.bfloat16 = works_in_bfloat16(settings, device)
        self.model = replicate(run.model, run.devices, settings.sharding)
        if settings.compile:
            compile_layers(run.model)
        self.steps = settings.epochs * updates_per_epoch(len(run.train), settings.batch_size)
        recording = settings.cuda_graphs and can_record(device, self.bfloat16)
        self.optimizer = Optimizer(run.model, settings, self.bfloat16, recording)
        self.trained = self.optimizer.trained
        self.start = self._starting_point()
        self.gradients = self._gradients()
        self.recorded = self._recorded(CudaGraphs()) if recording else None
        self.readings = Readings(self.steps, run.model.config.vocab_size, device)
        self.step = 0
        replayed = ("replayed_examples", "replayed_tokens") if run.replayed else ()
        self.seen = dict.fromkeys(("examples", "tokens", *replayed), 0)
        self.stopping = EarlyStopping(settings.early_stopping)
        self.seconds = 0.0

    def _gradients(self) -> Gradients:
        run, settings = self.run, self.run.settings
        objective, device = Objective(settings.kl, run.base), run.devices.device
        replayed = run.replayed.examples if run.replayed else ()
        budget = settings.token_budget or run.devices.least(
            automatic_token_budget(
                *(self.model, [*run.train, *replayed], objective, device, self.bfloat16),
                settings.extra_bytes,
            )
        )
        return Gradients(
            *(self.model, objective, self.optimizer),
            *(settings.weighting, run.devices, self.bfloat16, budget),
        )

    def _recorded(self, graphs: Recorder) -> RecordedUpdates:
        share = self.run.replayed.share if self.run.replayed else 0
        most = math.ceil(self.run.settings.batch_size / (1 - share)) + 1
        return RecordedUpdates(most, self.run.devices.device, graphs)

    def _starting_point(self) -> StartingPoint | None:
        run, strength = self.run, self.run.settings.l2sp
        sharded = run.devices.world > 1 and run.settings.sharding == "full"
        weights = self.trained.values()
        return StartingPoint(weights, strength, run.devices, sharded) if strength else None

    @property
    def curve(self) -> list[dict[str, Any]]:
        """Rows of the learning curve, as far as they were read."""
        return self.readings.curve

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to train."""
        return self.step == self.steps or self.stopping.over

    @property
    def outcome(self) -> dict[str, Any]:
        """The curve's row of the weights that the model has at the end."""
        best = self.stopping.step
        return next((row for row in self.curve if row["step"] == best), self.curve[-1])

    def train(self, state: StateFolder, stop: StopRequest, keep_state: bool = False) -> None:
        """Train to the end, from the saved state where there is one.

        Args:
            state: where state is kept.
            stop: set by SIGTERM.
            keep_state: save state at the end as well.

        Raises:
            Interrupted: SIGTERM came; the state is saved.
            Diverged: the loss is NaN, infinite or has been hopeless for long.
            OutOfMemory: an example alone does not fit, or one of several devices ran out.
        """
        self._resume(state)
        budget = self.gradients.token_budget
        self.gradients.token_budget = min(budget, state.token_limit() or budget)
        self.model.train()
        shown = self.run.devices.main
        with progress("fine-tune", self.steps, "updates", self.step, shown) as bar:
            self._go_on(state, stop, keep_state, bar)
        best = self.stopping.step
        if best not in (None, self.step):
            load_weights(state.load_best(best), self.trained)
        self.optimizer.end()

    def release(self) -> None:
        """Give back what only updates need: optimizer, gradients, a copy of the first weights."""
        self.optimizer.zero_grad()
        del self.optimizer, self.gradients, self.recorded, self.start
        if self.run.devices.device.type == "cuda":
            torch.cuda.empty_cache()

    def _go_on(
        self, state: StateFolder, stop: StopRequest, keep_state: bool, bar: ProgressBar
    ) -> None:
        """The updates from here to the end."""
        saved = begun = time.monotonic()
        before = self.seconds
        if self.step == 0:
            self._validate(state)
        while not self.ended:
            try:
                self._update()
            except OutOfMemory:
                state.limit_tokens(self.gradients.token_budget)
                raise
            self.seconds = before + time.monotonic() - begun
            self.readings.took(self.seconds)
            measuring = self.step == self.steps or self.step in self.run.settings.validation_steps
            stopping, saving = self._agree(stop.requested, self._save_due(saved))
            if self.readings.due or measuring or stopping or saving:
                self.readings.read()
            if measuring:
                self._validate(state)
            last = self.ended
            bar.update()
            if saving or stopping or (last and keep_state):
                self._save(state)
                saved = time.monotonic()
            if stopping and not last:
                raise Interrupted(f"stopped by SIGTERM after update {self.step} of {self.steps}")

    def _update(self) -> None:
        """One update; its loss and gradient norm are left to be read."""
        run, settings = self.run, self.run.settings
        chosen = batch_indices(len(run.train), settings.batch_size, run.seed, self.step)
        replayed = self._replayed()
        batch = [*(run.train[index] for index in chosen), *replayed]
        rate = learning_rate(self.step, self.steps, run.lr, settings.warmup_ratio)
        self.optimizer.set_rate(rate)
        measured = self._learn(batch)
        self.step += 1
        self._count(batch, "")
        if run.replayed:
            self._count(replayed, "replayed_")
        epoch = self.step / self.steps * settings.epochs
        row = {"step": self.step, "epoch": epoch, **self.seen, "lr": rate}
        ids = [item.example_id for item in batch]
        self.readings.leave(row, measured, ids)

    def _learn(self, batch: Sequence[Example]) -> torch.Tensor:
        """Learn from a batch; returns (2,) its loss and the norm of its gradient."""
        if self.recorded and self.recorded.takes(batch, self.gradients.token_budget):
            weights = example_weights(batch, self.run.settings.weighting)
            try:
                return self.recorded.run(self._learn_at_once, batch, weights)
            except torch.OutOfMemoryError:
                log.warning("out of memory with CUDA graphs: going on without them")
        else:
            try:
                return self._learn_in_parts(batch)
            except OutOfMemory:
                if self.recorded is None:
                    raise
        # What failed, and what is recorded, is given back when the block above has ended.
        self.recorded = None
        self.optimizer.zero_grad()
        return self._learn_in_parts(batch)

    def _learn_in_parts(self, batch: Sequence[Example]) -> torch.Tensor:
        return self._apply(self.gradients.add_up(batch, self.step + 1))

    def _learn_at_once(self, packed: PackedBatch) -> torch.Tensor:
        """Learn from a batch that is one micro-batch, without looking at a value."""
        return self._apply(self.gradients.add(packed))

    def _apply(self, loss: torch.Tensor) -> torch.Tensor:
        """Move the weights by the gradients of a loss; returns (2,) it and the gradients' norm."""
        if self.start is not None:
            self.optimizer.collect()
            loss = loss + self.start.add_gradient()
        return torch.stack([loss, self.optimizer.step()])

    def _replayed(self) -> list[Example]:
        """What is replayed in the next update."""
        run = self.run
        if run.replayed is None:
            return []
        return run.replayed.batch(self.step, len(run.train), run.settings.batch_size)

    def _count(self, examples: Sequence[Example], kind: str) -> None:
        self.seen[f"{kind}examples"] += len(examples)
        self.seen[f"{kind}tokens"] += sum(len(item.ids) for item in examples)

    def _validate(self, state: StateFolder) -> None:
        """Measure validation, where there is any, and keep the weights if they may be the best."""
        run = self.run
        if not run.validation:
            return
        loss, exact = validate(
            self.model,
            run.validation,
            run.settings.weighting,
            self.gradients.token_budget,
            run.devices.device,
            self.bfloat16,
        )
        if not self.curve:
            start = dict.fromkeys(("step", *self.seen), 0)
            self.curve.append(start | {"epoch": 0.0, "seconds": 0.0})
        self.curve[-1].update({"validation_loss": loss, "validation_exact": exact})
        if self.step == 0 or self.stopping.patience is None:
            return
        if self.stopping.measured(self.step, run.devices.of_main(loss)):
            weights = gathered_weights(self.trained, run.devices)
            if run.devices.main:
                state.save_best(self.step, weights)
            run.devices.wait()

    def _agree(self, *wishes: bool) -> list[bool]:
        """What any of the processes wishes, all do."""
        if self.run.devices.world == 1:
            return list(wishes)
        votes = torch.tensor(wishes, dtype=torch.float32, device=self.run.devices.device)
        return [vote > 0 for vote in self.run.devices.total(votes).tolist()]

    def _save_due(self, saved: float) -> bool:
        settings = self.run.settings
        by_steps = settings.save_steps is not None and self.step % settings.save_steps == 0
        return by_steps or time.monotonic() - saved > 60 * settings.save_minutes

    def _save(self, state: StateFolder) -> None:
        devices = self.run.devices
        whole = {
            "step": self.step,
            **self.seen,
            "seconds": self.seconds,
            "hopeless": self.readings.hopeless,
            "token_budget": self.gradients.token_budget,
            "curve": self.curve,
            "stopping": asdict(self.stopping),
            **snapshot(self.trained, self.optimizer.adamw, devices),
        }
        if devices.main:
            state.save(whole)
            state.forget_best(but=self.stopping.step)
        devices.wait()

    def _resume(self, state: StateFolder) -> None:
        saved = state.load()
        if saved is None:
            return
        self.step, self.seen = saved["step"], {key: saved[key] for key in self.seen}
        self.readings.curve, self.readings.hopeless = saved["curve"], saved["hopeless"]
        self.seconds, self.gradients.token_budget = saved["seconds"], saved["token_budget"]
        if "stopping" in saved:  # not in a state of before there was such a thing
            self.stopping = EarlyStopping(**saved["stopping"])
        restore(saved, self.trained, self.optimizer.adamw)
        self.optimizer.publish()
        if self.run.devices.main:
            note(resumed_from=self.step)
        log.info("resuming after update %d of %d", self.step, self.steps)
