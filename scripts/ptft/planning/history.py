"""How fast a study's own jobs were, relative to the expected times."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptft.models.folder import TRAINING_SUMMARY
from ptft.paths import Results
from ptft.planning.estimates import Estimates
from ptft.planning.progress import EVALUATE, FINETUNE
from ptft.planning.rates import ADAPTER, training_seconds
from ptft.runtime.job_records import JobRecord, read_records
from ptft.study.grid import Grid

MOST_JOBS = 100
"""jobs per rule that are read"""


@dataclass(frozen=True)
class Speed:
    """Times of a rule's jobs in this study."""

    jobs: int = 0
    taken: float = 0.0
    """recorded seconds of jobs that did all their work in one attempt"""
    expected: float = 0.0
    """seconds for the same work at the device's rates"""

    @property
    def factor(self) -> float:
        """Time taken over time expected; 1 if nothing is recorded."""
        return self.taken / self.expected if self.jobs else 1.0


@dataclass(frozen=True)
class History:
    """Recorded jobs of a study."""

    grid: Grid
    estimates: Estimates
    folder: Path = Path()
    """working directory of the study"""

    def speed(self, rule: str) -> Speed:
        """Times of the recorded jobs of a rule."""
        found = list(itertools.islice(self._pairs(rule), MOST_JOBS))
        return Speed(len(found), *(sum(part) for part in zip(*found, strict=True)))

    def _pairs(self, rule: str) -> Iterator[tuple[float, float]]:
        """(seconds taken, seconds expected) of each job with a usable record."""
        expected = {FINETUNE: self._training, EVALUATE: self._scoring}[rule]
        results = Results(self.grid.name)
        for checkpoint, arm in self.grid.models():
            records = read_records(self.folder / results.job_records(rule, checkpoint, arm.name))
            if not records or records[-1].state != "done" or not self._same_device(records[-1]):
                continue
            seconds = expected(records[-1], checkpoint, arm.name)
            if seconds is not None:
                yield records[-1].seconds, seconds

    def _training(self, record: JobRecord, checkpoint: str, arm: str) -> float | None:
        """From the model's summary: the study's settings may have changed since."""
        results = Results(self.grid.name)
        places = [results.tuned(checkpoint, arm), results.training_records(checkpoint, arm)]
        files = [self.folder / place / TRAINING_SUMMARY for place in places]
        file = next((file for file in files if file.exists()), None)
        if record.resumed_from or record.reused or file is None:
            return None
        summary = json.loads(file.read_text())
        rates, gpus = self.estimates.training_rates(arm), summary["devices"]
        lanes = summary["threads"] if self.estimates.device == "cpu" else gpus
        seconds = training_seconds(
            rates,
            summary["parameters"],
            summary["tokens"] / lanes,
            summary["steps"],
            summary["method"] == ADAPTER,
            gpus,
            compared=summary["settings"].get("kl", 0) > 0,
        )
        return rates.start + seconds * max(1, len(summary["settings"]["learning_rates"]))

    def _scoring(self, record: JobRecord, checkpoint: str, arm: str) -> float | None:
        """In proportion to the examples scored."""
        if not record.examples:
            return None
        scores = list(self.grid.scores())
        sizes = self.estimates.workload.sizes
        examples = sum(sizes[dataset, "test"].rows for dataset, _, _ in scores)
        start = self.estimates.scoring_rates.start
        scoring = self.estimates.evaluate_seconds() - start
        return start + scoring * record.examples / examples

    def _same_device(self, record: JobRecord) -> bool:
        return bool(record.gpus) == (self.estimates.device == "cuda")
