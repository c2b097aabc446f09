"""Ways to the same updates, and which of them a study's trainings of a method take.

On one GPU in bfloat16, the fastest of the ways that agree with the plain one is taken: by the
seconds of a whole run, compiling included, of updates on the study's own first batches. The first
job of a method chooses under a lock; all others, and resumed ones, follow its record. Everywhere
else, and with ``updates: plain``, updates are plain. No way was measured on a GPU yet.
"""

import gc
import json
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from ptft.models.loading import first_line
from ptft.paths import replacing
from ptft.runtime.locks import exclusive
from ptft.training.devices import Devices, works_in_bfloat16
from ptft.training.settings import TrainingSettings

log = logging.getLogger(__name__)

UPDATES = 20
"""that each way is tried for"""
WARM = 5
"""of them, after which an update takes what later ones take"""
TOLERANCE = 0.005
"""Relative difference from each of the plain way's losses, at most."""


@dataclass(frozen=True)
class Way:
    """How updates are computed.

    compiled: the blocks' layers are compiled: for long texts. masters: linear layers hold bfloat16
    weights, with float32 masters: for short ones.
    """

    name: str
    compiled: bool = False
    masters: bool = False

    @property
    def extra_bytes(self) -> int:
        """Bytes of GPU memory more, a trained weight: masters' gradients are in both precisions."""
        return 2 * self.masters


PLAIN = Way("plain")
WAYS = (
    PLAIN,
    Way("compiled", compiled=True),
    Way("masters", masters=True),
    Way("compiled masters", compiled=True, masters=True),
)


@dataclass(frozen=True)
class Trial:
    """A way's trial; ``dropped`` says why it can't be taken.

    seconds: of a whole run. difference: the largest relative one to a loss of the plain way.
    """

    way: str
    seconds: float | None = None
    updates_per_second: float | None = None
    difference: float | None = None
    peak_bytes: int | None = None
    dropped: str | None = None


def possible_ways(settings: TrainingSettings, devices: Devices) -> tuple[Way, ...]:
    """The ways that a run's device and settings allow."""
    device = devices.device
    bfloat16 = works_in_bfloat16(settings.dtype, device)
    able = device.type == "cuda" and devices.world == 1 and bfloat16
    return WAYS if able and settings.updates == "auto" else (PLAIN,)


def choose_way(ways: Sequence[Way], record: Path | None, make: Callable[[Way], Any]) -> Way:
    """The fastest way that agrees with the plain one; that of an earlier job, if there is one.

    Args:
        ways: those that are possible, the plain one first.
        record: where the choice is kept, with the table of trials.
        make: a trainer (``loop.Trainer``) that works in a way, new each time.
    """
    if len(ways) == 1:
        return ways[0]
    if record is None:
        return _tried(ways, make)[0]
    record.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(record):
        if record.exists():
            chosen = json.loads(record.read_text())["way"]
            return next((way for way in ways if way.name == chosen), PLAIN)
        way, trials = _tried(ways, make)
        table = {"way": way.name, "trials": [asdict(trial) for trial in trials]}
        with replacing(record) as draft:
            draft.write_text(json.dumps(table, indent=1))
    return way


def _tried(ways: Sequence[Way], make: Callable[[Way], Any]) -> tuple[Way, list[Trial]]:
    trials, expected = [], []
    for way in ways:
        try:
            trial, losses = _try(way, make, expected)
        except Exception as error:  # whatever a compiler raises, or no memory
            if way == PLAIN:
                raise
            trial, losses = Trial(way.name, dropped=f"fails: {first_line(error)}"), []
        expected = expected or losses
        trials.append(trial)
        if trial.dropped:
            log.warning("updates: %s is not used: %s", way.name, trial.dropped)
        _give_back()
    best = min((t for t in trials if not t.dropped), key=lambda trial: trial.seconds)
    log.info("updates: %s, %.2f a second", best.way, best.updates_per_second)
    return next(way for way in ways if way.name == best.way), trials


def _try(
    way: Way, make: Callable[[Way], Any], expected: Sequence[float]
) -> tuple[Trial, list[float]]:
    """Some updates in a way, and their losses; the trainer is thrown away."""
    trainer = make(way)
    device = trainer.run.devices.device
    trainer.model.train()
    count = min(UPDATES, trainer.steps)
    warm = min(WARM, count - 1)
    times = [time.monotonic()]
    for done in range(1, count + 1):
        trainer.update()
        if done in (warm, count):
            trainer.readings.took(0.0)
            trainer.readings.read()  # waits for the device
            times.append(time.monotonic())
    losses = [row["loss"] for row in trainer.curve]
    update = (times[-1] - times[-2]) / (count - warm)
    begin = times[-2] - times[0] if warm else 0.0
    pairs = zip(losses, expected or losses, strict=True)
    difference = max(abs(loss - plain) / max(abs(plain), 1e-12) for loss, plain in pairs)
    agrees = difference <= TOLERANCE and all(map(math.isfinite, losses))
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    return Trial(
        way.name,
        begin + (trainer.steps - warm) * update,
        1 / update,
        difference,
        peak,
        None if agrees else f"a loss differs by {difference:.2%} from the plain way's",
    ), losses


def _give_back() -> None:
    """A compiled model is in a circle of references, and holds its memory until it is collected."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
