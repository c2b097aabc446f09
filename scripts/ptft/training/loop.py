"""The updates: gradients over micro-batches, clipping, AdamW, checks, state.

An update's gradient does not depend on how its batch is cut into micro-batches or over devices,
and the whole run is a function of (model, examples, settings, learning rate, seed): a run resumed
from its state ends with the same weights as an undisturbed one, bit for bit on CPU.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ptft.runtime.bars import ProgressBar, progress
from ptft.runtime.job_records import note
from ptft.training.devices import (
    Devices,
    blocks,
    gathered_weights,
    load_weights,
    replicate,
    restore,
    snapshot,
    works_in_bfloat16,
)
from ptft.training.examples import Example, batch_indices
from ptft.training.gradients import Gradients, TokenBudget, automatic_token_budget
from ptft.training.losses import validate
from ptft.training.optimizer import Optimizer, learning_rate
from ptft.training.remedies import EarlyStopping, Objective, Reference, Replayed, penalties
from ptft.training.settings import TrainingSettings
from ptft.training.state import Diverged, Interrupted, OutOfMemory, StateFolder, StopRequest
from ptft.training.updates import PLAIN, Way

log = logging.getLogger(__name__)

DIVERGED_AFTER = 20
"""Updates in a row with a loss twice that of guessing evenly over the vocabulary."""
CHECK_EVERY_ON_CUDA = 10
"""Reading a loss waits for the device, so on CUDA several are read at once."""
SAVE_SECONDS = 600
"""between saves of resumable state, at most."""
JUDGED_EXAMPLES = 256
"""The first of the training set; the loss on them is measured before the first and after the last
update, to see whether anything was learned."""


@dataclass
class Run:
    """One training run: what learns, from what (validation may be empty), and how.

    ``model`` is on its device or devices already (``devices.place``), and so is ``base``, which
    ``settings.kl`` needs.
    """

    model: nn.Module
    train: Sequence[Example]
    validation: Sequence[Example]
    settings: TrainingSettings
    seed: int
    devices: Devices
    replayed: Replayed | None = None
    base: Reference | None = None
    way: Way = PLAIN
    until: int | None = None
    """update after which it ends, as if it went on to its planned end"""
    snapshots: frozenset[int] = frozenset()
    """updates after which ``leave`` is called"""
    leave: "Callable[[Trainer], None] | None" = None
    """keeps the model that a trainer has reached"""


class Readings:
    """Losses and gradient norms: left on the device by updates, read together, and watched.

    Args:
        steps: updates of the whole run, for messages.
        vocabulary: tokens that a model chooses from.
        device: that the updates run on.

    Attributes:
        curve: rows of the learning curve (``ptft.training.records``).
        hopeless: updates in a row whose loss is worse than knowing nothing.
    """

    def __init__(self, steps: int, vocabulary: int, device: torch.device) -> None:
        self.steps, self.guessing = steps, math.log(vocabulary)
        self.together = CHECK_EVERY_ON_CUDA if device.type == "cuda" else 1
        self.curve: list[dict[str, Any]] = []
        self.hopeless = 0
        self._unread: list[tuple[dict[str, Any], torch.Tensor, list[str]]] = []

    def leave(self, row: dict[str, Any], measured: torch.Tensor, ids: list[str]) -> None:
        """Take an update's measurements, unread.

        Args:
            row: of the curve, but for what was measured.
            measured: (2,) loss and gradient norm.
            ids: the update's examples.
        """
        self._unread.append((row, measured, ids))

    def took(self, seconds: float) -> None:
        """Note when the last update was over."""
        self._unread[-1][0]["seconds"] = seconds

    @property
    def due(self) -> bool:
        """Whether it is time to read."""
        return len(self._unread) >= self.together

    def read(self) -> None:
        """Move finished updates to the curve.

        Raises:
            Diverged: the loss or norm is not finite, or the loss has been hopeless for long.
        """
        for row, measured, ids in self._unread:
            loss, norm = measured.tolist()
            self.curve.append(row | {"loss": loss, "grad_norm": norm})
            self.hopeless = self.hopeless + 1 if loss > 2 * self.guessing else 0
            if not (math.isfinite(loss) and math.isfinite(norm)) or (
                self.hopeless >= DIVERGED_AFTER
            ):
                raise Diverged(
                    f"training diverged at update {row['step']} of {self.steps}: loss "
                    f"{loss:.4g}, gradient norm {norm:.4g}, learning rate {row['lr']:.4g}, "
                    f"examples {ids}. No model is saved; use a lower lr or a lower max_grad_norm"
                )
        self._unread.clear()


class Trainer:
    """Runs the updates of one :class:`Run` and keeps its learning curve."""

    def __init__(self, run: Run) -> None:
        self.run = run
        settings, device = run.settings, run.devices.device
        self.bfloat16 = works_in_bfloat16(settings.dtype, device)
        self.model = replicate(run.model, run.devices, settings.sharding)
        if run.way.compiled:
            for block in blocks(run.model):
                block.compile(dynamic=True)  # for any number of tokens
        self.steps = settings.count_updates(len(run.train))
        self.last = run.until or self.steps
        self.optimizer = Optimizer(run.model, settings, run.way.masters)
        self.trained = self.optimizer.trained
        self.penalties = penalties(settings, self.trained, run.devices)
        self.gradients = self._gradients()
        self.readings = Readings(self.steps, run.model.config.vocab_size, device)
        self.step = 0
        replayed = ("replayed_examples", "replayed_tokens") if run.replayed else ()
        self.seen = dict.fromkeys(("examples", "tokens", *replayed), 0)
        self.stopping = EarlyStopping(settings.early_stopping)
        self.seconds = 0.0
        self.start_loss: float | None = None

    def _gradients(self) -> Gradients:
        run, settings = self.run, self.run.settings
        objective, device = Objective(settings, run.base), run.devices.device
        replayed = run.replayed.examples if run.replayed else ()
        if settings.token_budget:
            budget = TokenBudget(settings.token_budget, settings.token_budget)
        else:
            found = automatic_token_budget(
                *(self.model, [*run.train, *replayed], objective, device, self.bfloat16),
                run.way.extra_bytes,
            )
            budget = TokenBudget(*run.devices.least(found.whole, found.parts))
        return Gradients(
            *(self.model, objective, self.optimizer),
            *(settings.weighting, run.devices, self.bfloat16, budget),
        )

    @property
    def curve(self) -> list[dict[str, Any]]:
        """Rows of the learning curve, as far as they were read."""
        return self.readings.curve

    @property
    def ended(self) -> bool:
        """Whether there is nothing left to train."""
        return self.step == self.last or self.stopping.over

    @property
    def outcome(self) -> dict[str, Any]:
        """The curve's row of the weights that the model has at the end."""
        best = self.stopping.step
        return next((row for row in self.curve if row["step"] == best), self.curve[-1])

    def train(self, state: StateFolder, stop: StopRequest) -> None:
        """Train to the end, from the saved state where there is one.

        Args:
            state: where state is kept.
            stop: set by SIGTERM.

        Raises:
            Interrupted: SIGTERM came; the state is saved.
            Diverged: the loss is NaN, infinite or has been hopeless for long.
            OutOfMemory: an example alone does not fit, or one of several devices ran out.
        """
        self._resume(state)
        if limit := state.token_limit():
            self.gradients.budget = self.gradients.budget.limited(limit)
        self.model.train()
        shown = self.run.devices.main
        with progress("fine-tune", self.last, "updates", self.step, shown) as bar:
            self._go_on(state, stop, bar)
        best = self.stopping.step
        if best not in (None, self.step):
            load_weights(state.load_best(best), self.trained)
        self.optimizer.end()
        self.optimizer.adamw.state.clear()  # what is left to do needs no moments

    def final(self) -> tuple[float, float]:
        """Loss and share of exact completions of the first training examples, after training."""
        return self._loss_on(self.run.train[:JUDGED_EXAMPLES])

    def _go_on(self, state: StateFolder, stop: StopRequest, bar: ProgressBar) -> None:
        """The updates from here to the end."""
        saved = begun = time.monotonic()
        before = self.seconds
        if self.step == 0:
            self.start_loss = self._loss_on(self.run.train[:JUDGED_EXAMPLES])[0]
            self._validate(state)
        while not self.ended:
            try:
                self.update()
            except OutOfMemory:
                state.limit_tokens(self.gradients.budget.whole)
                raise
            self.seconds = before + time.monotonic() - begun
            self.readings.took(self.seconds)
            measuring = self.step == self.last or self.step in self.run.settings.validation_steps
            leaving = self.run.leave is not None and self.step in self.run.snapshots
            stopping, saving = self.run.devices.any(stop.requested, self._save_due(saved))
            if self.readings.due or measuring or stopping or saving or leaving:
                self.readings.read()
            if measuring:
                self._validate(state)
            if leaving:
                with self.optimizer.whole():
                    self.run.leave(self)
            bar.update()
            if saving or stopping:
                self._save(state)
                saved = time.monotonic()
            if stopping and not self.ended:
                raise Interrupted(f"stopped by SIGTERM after update {self.step} of {self.last}")

    def update(self) -> None:
        """One update; its loss and gradient norm are left to be read."""
        run, settings = self.run, self.run.settings
        chosen = batch_indices(len(run.train), settings.batch_size, run.seed, self.step)
        replayed = []
        if run.replayed:
            replayed = run.replayed.batch(self.step, len(run.train), settings.batch_size)
        batch = [*(run.train[index] for index in chosen), *replayed]
        rate = learning_rate(self.step, self.steps, settings.lr, settings.warmup_ratio)
        self.optimizer.set_rate(rate)
        measured = self._learn(batch)
        self.step += 1
        self._count(batch, "")
        if run.replayed:
            self._count(replayed, "replayed_")
        epoch = self.step / self.steps * settings.epochs
        row = {"step": self.step, "epoch": epoch, **self.seen, "lr": rate}
        self.readings.leave(row, measured, [item.example_id for item in batch])

    def _learn(self, batch: Sequence[Example]) -> torch.Tensor:
        """Learn from a batch; returns (2,) its loss and the norm of its gradient."""
        loss = self.gradients.add_up(batch, self.step + 1)
        for penalty in self.penalties:
            self.optimizer.collect()
            loss = loss + penalty.add_gradient()
        return torch.stack([loss, self.optimizer.step()])

    def _count(self, examples: Sequence[Example], kind: str) -> None:
        self.seen[f"{kind}examples"] += len(examples)
        self.seen[f"{kind}tokens"] += sum(len(item.ids) for item in examples)

    def _loss_on(self, examples: Sequence[Example]) -> tuple[float, float]:
        """Loss of examples, and the share of them whose completion is exact."""
        device, weighting = self.run.devices.device, self.run.settings.weighting
        budget = self.gradients.budget.whole
        return validate(self.model, examples, weighting, budget, device, self.bfloat16)

    def _validate(self, state: StateFolder) -> None:
        """Measure validation, where there is any, and keep the weights if they may be the best."""
        run = self.run
        if not run.validation:
            return
        loss, exact = self._loss_on(run.validation)
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

    def _save_due(self, saved: float) -> bool:
        every = self.run.settings.save_steps
        by_steps = every is not None and self.step % every == 0
        return by_steps or time.monotonic() - saved > SAVE_SECONDS

    def _save(self, state: StateFolder) -> None:
        devices = self.run.devices
        whole = {
            "step": self.step,
            **self.seen,
            "seconds": self.seconds,
            "start_loss": self.start_loss,
            "hopeless": self.readings.hopeless,
            "token_budget": asdict(self.gradients.budget),
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
        self.seconds, self.start_loss = saved["seconds"], saved["start_loss"]
        self.gradients.budget = TokenBudget(**saved["token_budget"])
        self.stopping = EarlyStopping(**saved["stopping"])
        restore(saved, self.trained, self.optimizer.adamw)
        self.optimizer.publish()
        if self.run.devices.main:
            note(resumed_from=self.step)
        log.info("resuming after update %d of %d", self.step, self.steps)
