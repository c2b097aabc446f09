"""The updates: gradients over micro-batches, clipping, AdamW, checks, state.

An update's gradient does not depend on how its batch is cut into micro-batches or over devices,
and the whole run is a function of (model, examples, settings, learning rate, seed): a run resumed
from its state ends with the same weights as an undisturbed one, bit for bit on CPU.
"""

import logging
import math
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ptft.runtime.bars import ProgressBar, progress
from ptft.runtime.job_records import note
from ptft.training.batches import batch_indices, device_micro_batches, updates_per_epoch
from ptft.training.devices import (
    gathered,
    replicate,
    scattered,
    synchronise_gradients,
)
from ptft.training.examples import Example
from ptft.training.loss import weighted_loss
from ptft.training.memory import automatic_token_budget
from ptft.training.packing import example_weights, pack
from ptft.training.run import Diverged, OutOfMemory, Run, compile_layers, works_in_bfloat16
from ptft.training.schedule import learning_rate
from ptft.training.state import Interrupted, StateFolder, StopRequest
from ptft.training.validation import validate

log = logging.getLogger(__name__)

DIVERGED_AFTER = 20
"""Updates in a row with a loss twice that of guessing evenly over the vocabulary."""
CHECK_EVERY_ON_CUDA = 10
"""Reading a loss waits for the device, so on CUDA several are read at once."""


class Trainer:
    """Runs the updates of one :class:`Run` and keeps its learning curve."""

    def __init__(self, run: Run) -> None:
        self.run = run
        settings, device = run.settings, run.devices.device
        self.bfloat16 = works_in_bfloat16(settings, device)
        self.model = replicate(run.model, run.devices, settings.sharding)
        if settings.compile:
            compile_layers(run.model)
        self.steps = settings.epochs * updates_per_epoch(len(run.train), settings.batch_size)
        self.trained = {k: p for k, p in run.model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.AdamW(
            self.trained.values(), lr=run.lr, weight_decay=settings.weight_decay, fused=True
        )
        # The same on all devices, because they take part in each other's micro-batches.
        self.token_budget = settings.token_budget or run.devices.least(
            automatic_token_budget(self.model, run.train, device, self.bfloat16)
        )
        self.curve: list[dict[str, Any]] = []
        self.step = self.examples = self.tokens = 0
        self.seconds = 0.0
        self._unread: list[tuple[dict[str, Any], torch.Tensor, list[str]]] = []
        self._hopeless = 0

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
        self.token_budget = min(self.token_budget, state.token_limit() or self.token_budget)
        self.model.train()
        shown = self.run.devices.main
        with progress("fine-tune", self.steps, "updates", self.step, shown) as bar:
            self._go_on(state, stop, keep_state, bar)

    def _go_on(
        self, state: StateFolder, stop: StopRequest, keep_state: bool, bar: ProgressBar
    ) -> None:
        """The updates from here to the end."""
        saved = begun = time.monotonic()
        before = self.seconds
        if self.step == 0:
            self._validate()
        while self.step < self.steps:
            try:
                self._update()
            except OutOfMemory:
                state.limit_tokens(self.token_budget)
                raise
            self.seconds = before + time.monotonic() - begun
            self._unread[-1][0]["seconds"] = self.seconds
            last = self.step == self.steps
            stopping, saving = self._agree(stop.requested, self._save_due(saved))
            if self._read_due() or last or stopping or saving:
                self._read()
            if last or self.step in self.run.settings.validation_steps:
                self._read()
                self._validate()
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
        batch = [run.train[index] for index in chosen]
        rate = learning_rate(self.step, self.steps, run.lr, settings.warmup_ratio)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self._gradients(batch)
        limit = settings.max_grad_norm or math.inf
        norm = nn.utils.clip_grad_norm_(self.trained.values(), limit)
        norm = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self.examples += len(batch)
        self.tokens += sum(len(item.ids) for item in batch)
        row = {
            "step": self.step,
            "epoch": self.step / self.steps * settings.epochs,
            "examples": self.examples,
            "tokens": self.tokens,
            "lr": rate,
        }
        ids = [item.example_id for item in batch]
        self._unread.append((row, torch.stack([loss, norm]), ids))

    def _gradients(self, batch: Sequence[Example]) -> torch.Tensor:
        """Gradient of a batch's loss, with smaller micro-batches after running out of memory."""
        while True:
            try:
                return self._accumulate(batch)
            except torch.OutOfMemoryError:
                # What the failed pass holds is freed when this block ends, not before.
                used = min(self.token_budget, sum(len(item.ids) for item in batch))
            self._halve(used, max(batch, key=lambda item: len(item.ids)))

    def _accumulate(self, batch: Sequence[Example]) -> torch.Tensor:
        """Add up the gradient over the micro-batches; returns the loss of the whole batch."""
        devices = self.run.devices
        weights = example_weights(batch, self.run.settings.weighting)
        total = torch.zeros((), device=devices.device)
        parts = device_micro_batches(batch, self.token_budget, devices.rank, devices.world)
        for place, (part, counted) in enumerate(parts):
            packed = pack(part, weights, devices.device, self.bfloat16)
            synchronise_gradients(self.model, place == len(parts) - 1)
            with torch.autocast(devices.device.type, torch.bfloat16, enabled=self.bfloat16):
                loss = weighted_loss(self.model, packed) * counted
            # Devices average their gradients, while the weights are parts of the whole batch.
            (loss * devices.world).backward()
            total += loss.detach()
        return devices.total(total)

    def _halve(self, used: int, longest: Example) -> None:
        """Halve the token budget after an out-of-memory error with micro-batches of ``used``."""
        self.optimizer.zero_grad(set_to_none=True)
        tokens = len(longest.ids)
        if used <= tokens:
            raise OutOfMemory(
                f"update {self.step + 1} ran out of memory with micro-batches of {used} tokens "
                f"(longest example: {longest.example_id}, {tokens} tokens): set token_budget to "
                f"{max(used // 2, 1)}, lower max_length, or shard the model (sharding: full)"
            )
        self.token_budget = max(used // 2, tokens)
        if self.run.devices.world > 1:
            # The others wait for this one's gradients: only a new start brings all together.
            raise OutOfMemory(
                f"update {self.step + 1} ran out of memory on one of {self.run.devices.world} "
                f"devices with micro-batches of {used} tokens: start the job again, it goes on "
                f"from its saved state with {self.token_budget}"
            )
        log.warning("out of memory: micro-batches of %d tokens from now on", self.token_budget)
        if self.run.devices.device.type == "cuda":
            torch.cuda.empty_cache()

    def _read_due(self) -> bool:
        on_cuda = self.run.devices.device.type == "cuda"
        return len(self._unread) >= (CHECK_EVERY_ON_CUDA if on_cuda else 1)

    def _read(self) -> None:
        """Move finished updates to the curve; raise Diverged where going on would be in vain."""
        guessing = math.log(self.run.model.config.vocab_size)
        for row, measured, ids in self._unread:
            loss, norm = measured.tolist()
            self.curve.append(row | {"loss": loss, "grad_norm": norm})
            self._hopeless = self._hopeless + 1 if loss > 2 * guessing else 0
            if not (math.isfinite(loss) and math.isfinite(norm)) or (
                self._hopeless >= DIVERGED_AFTER
            ):
                raise Diverged(
                    f"training diverged at update {row['step']} of {self.steps}: loss {loss:.4g}, "
                    f"gradient norm {norm:.4g}, learning rate {row['lr']:.4g}, examples {ids}. "
                    "No model is saved; use a lower lr or a lower max_grad_norm"
                )
        self._unread.clear()

    def _validate(self) -> None:
        """Measure validation, where there is any, and note it in the curve."""
        run = self.run
        if not run.validation:
            return
        loss, exact = validate(
            self.model,
            run.validation,
            run.settings.weighting,
            self.token_budget,
            run.devices.device,
            self.bfloat16,
        )
        if not self.curve:
            start = dict.fromkeys(("step", "examples", "tokens"), 0)
            self.curve.append(start | {"epoch": 0.0, "seconds": 0.0})
        self.curve[-1].update({"validation_loss": loss, "validation_exact": exact})

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
        optimizer = self.optimizer.state_dict()
        moments = {
            index: {key: gathered(value, devices) for key, value in entry.items()}
            for index, entry in optimizer["state"].items()
        }
        whole = {
            "step": self.step,
            "examples": self.examples,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "hopeless": self._hopeless,
            "token_budget": self.token_budget,
            "curve": self.curve,
            "parameters": {name: gathered(value, devices) for name, value in self.trained.items()},
            "optimizer": optimizer | {"state": moments},
            "rng": torch.get_rng_state(),
        }
        if devices.main:
            state.save(whole)
        devices.wait()

    def _resume(self, state: StateFolder) -> None:
        saved = state.load()
        if saved is None:
            return
        self.step, self.examples, self.tokens = saved["step"], saved["examples"], saved["tokens"]
        self.seconds, self._hopeless = saved["seconds"], saved["hopeless"]
        self.token_budget, self.curve = saved["token_budget"], saved["curve"]
        moments = saved["optimizer"]["state"]
        with torch.no_grad():
            for index, (name, own) in enumerate(self.trained.items()):
                own.copy_(scattered(saved["parameters"][name], own))
                for key in ("exp_avg", "exp_avg_sq"):
                    moments[index][key] = scattered(moments[index][key], own)
        self.optimizer.load_state_dict(saved["optimizer"])
        torch.set_rng_state(saved["rng"])
        if self.run.devices.main:
            note(resumed_from=self.step)
        log.info("resuming after update %d of %d", self.step, self.steps)

    def whole_weights(self) -> dict[str, torch.Tensor | None]:
        """All weights of the model, whole, on the main process; every process must call it.

        What is tied is gathered once and stays one tensor.
        """
        weights = self.run.model.state_dict(keep_vars=True)
        whole: dict[int, torch.Tensor | None] = {}
        for value in weights.values():
            if id(value) not in whole:
                whole[id(value)] = gathered(value, self.run.devices)
        return {name: whole[id(value)] for name, value in weights.items()}
