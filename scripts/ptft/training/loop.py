"""The updates: gradients over micro-batches, clipping, AdamW, checks, state.

An update's gradient does not depend on how its batch is cut into micro-batches, and the whole run
is a function of (model, examples, settings, learning rate, seed): a run resumed from its state
ends with the same weights as an undisturbed one, bit for bit on CPU.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from ptft.training.batches import batch_indices, micro_batches, updates_per_epoch
from ptft.training.examples import Example
from ptft.training.loss import weighted_loss
from ptft.training.packing import example_weights, pack
from ptft.training.schedule import learning_rate
from ptft.training.settings import TrainingSettings
from ptft.training.state import Interrupted, StateFolder, StopRequest
from ptft.training.validation import validate

log = logging.getLogger(__name__)

CPU_TOKEN_BUDGET = 4096
"""Tokens of a micro-batch where none is set: on a CPU, more does not run faster."""
DIVERGED_AFTER = 20
"""Updates in a row with a loss twice that of guessing evenly over the vocabulary."""


class Diverged(Exception):
    """Training cannot go on: the loss is not finite, or worse than knowing nothing."""


@dataclass
class Run:
    """One training run: what it learns from and how.

    validation is empty where none is measured.
    """

    model: nn.Module
    train: Sequence[Example]
    validation: Sequence[Example]
    settings: TrainingSettings
    lr: float
    seed: int
    device: torch.device


class Trainer:
    """Runs the updates of one :class:`Run` and keeps its learning curve."""

    def __init__(self, run: Run) -> None:
        self.run = run
        settings = run.settings
        self.steps = settings.epochs * updates_per_epoch(len(run.train), settings.batch_size)
        self.parameters = [p for p in run.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=run.lr, weight_decay=settings.weight_decay, fused=True
        )
        self.token_budget = settings.token_budget or CPU_TOKEN_BUDGET
        self.bfloat16 = settings.dtype == "bfloat16" or (
            settings.dtype == "auto" and run.device.type == "cuda"
        )
        self.curve: list[dict[str, Any]] = []
        self.step = 0
        self.examples = 0
        self.tokens = 0
        self.seconds = 0.0
        self._poor = 0

    def train(self, state: StateFolder, stop: StopRequest) -> None:
        """Train to the end, from the saved state where there is one.

        Raises:
            Interrupted: SIGTERM came; the state is saved.
            Diverged: the loss is NaN, infinite or has been hopeless for long.
        """
        self._resume(state)
        self.run.model.train()
        saved = begun = time.monotonic()
        before = self.seconds
        bar = tqdm(total=self.steps, initial=self.step, unit="update", mininterval=5, leave=False)
        if self.step == 0:
            self._validate(force=True)
        while self.step < self.steps:
            row = self._update()
            self.seconds = before + time.monotonic() - begun
            self.curve.append(row | {"seconds": self.seconds})
            self._validate(force=self.step == self.steps)
            bar.update()
            if self._save_due(saved) or stop.requested:
                self._save(state)
                saved = time.monotonic()
            if stop.requested and self.step < self.steps:
                raise Interrupted(f"stopped by SIGTERM after update {self.step} of {self.steps}")
        bar.close()

    def _update(self) -> dict[str, Any]:
        """One update; returns its row of the curve."""
        run, settings = self.run, self.run.settings
        chosen = batch_indices(len(run.train), settings.batch_size, run.seed, self.step)
        batch = [run.train[index] for index in chosen]
        rate = learning_rate(self.step, self.steps, run.lr, settings.warmup_ratio)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._gradients(batch)
        limit = settings.max_grad_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.parameters, limit).item()
        self._check(batch, rate, loss, norm)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.examples += len(batch)
        self.tokens += sum(len(item.ids) for item in batch)
        return {
            "step": self.step,
            "epoch": self.step / self.steps * settings.epochs,
            "examples": self.examples,
            "tokens": self.tokens,
            "lr": rate,
            "loss": loss,
            "grad_norm": norm,
        }

    def _gradients(self, batch: Sequence[Example]) -> float:
        """Accumulate the gradient of a batch's loss; returns the loss."""
        weights = example_weights(batch, self.run.settings.weighting)
        total = 0.0
        for part in micro_batches(batch, self.token_budget):
            packed = pack(part, weights, self.run.device)
            with torch.autocast(self.run.device.type, torch.bfloat16, enabled=self.bfloat16):
                loss = weighted_loss(self.run.model, packed)
            loss.backward()
            total += loss.item()
        return total

    def _check(self, batch: Sequence[Example], rate: float, loss: float, norm: float) -> None:
        """Raise Diverged where going on would only spoil the model."""
        guessing = math.log(self.run.model.config.vocab_size)
        self._poor = self._poor + 1 if loss > 2 * guessing else 0
        if math.isfinite(loss) and math.isfinite(norm) and self._poor < DIVERGED_AFTER:
            return
        ids = [item.example_id for item in batch]
        raise Diverged(
            f"training diverged at update {self.step + 1} of {self.steps}: loss {loss:.4g}, "
            f"gradient norm {norm:.4g}, learning rate {rate:.4g}, examples {ids}. "
            "No model is saved; use a lower lr or a lower max_grad_norm"
        )

    def _validate(self, force: bool) -> None:
        """Measure validation where it is due and note it in the curve."""
        settings = self.run.settings
        if not self.run.validation or not (force or self.step in settings.validation_steps):
            return
        loss, exact = validate(
            self.run.model,
            self.run.validation,
            settings.weighting,
            self.token_budget,
            self.run.device,
            self.bfloat16,
        )
        scores = {"validation_loss": loss, "validation_exact": exact}
        if self.curve and self.curve[-1]["step"] == self.step:
            self.curve[-1].update(scores)
        else:
            self.curve.append(
                {"step": 0, "epoch": 0.0, "examples": 0, "tokens": 0, "seconds": 0.0} | scores
            )

    def _save_due(self, saved: float) -> bool:
        settings = self.run.settings
        by_steps = settings.save_steps is not None and self.step % settings.save_steps == 0
        return by_steps or time.monotonic() - saved > 60 * settings.save_minutes

    def _save(self, state: StateFolder) -> None:
        trained = {k: p.detach() for k, p in self.run.model.named_parameters() if p.requires_grad}
        state.save(
            {
                "step": self.step,
                "examples": self.examples,
                "tokens": self.tokens,
                "seconds": self.seconds,
                "poor": self._poor,
                "token_budget": self.token_budget,
                "curve": self.curve,
                "parameters": trained,
                "optimizer": self.optimizer.state_dict(),
                "rng": torch.get_rng_state(),
            }
        )

    def _resume(self, state: StateFolder) -> None:
        saved = state.load()
        if saved is None:
            return
        self.step, self.examples, self.tokens = saved["step"], saved["examples"], saved["tokens"]
        self.seconds, self._poor = saved["seconds"], saved["poor"]
        self.token_budget, self.curve = saved["token_budget"], saved["curve"]
        own = dict(self.run.model.named_parameters())
        with torch.no_grad():
            for name, value in saved["parameters"].items():
                own[name].copy_(value)
        self.optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        log.info("resuming after update %d of %d", self.step, self.steps)


def seed_everything(seed: int) -> None:
    """Seed what may draw random numbers during training."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
