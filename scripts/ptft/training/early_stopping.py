"""Early stopping: which weights were best by validation, and when to stop."""

import math
from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """State of the validation measurements so far.

    The start is not a candidate: saved weights have been trained. ``patience`` None never stops.
    """

    patience: int | None
    lowest: float = math.inf
    step: int | None = None
    """updates done when validation was lowest"""
    waited: int = 0
    """measurements since then"""

    @property
    def over(self) -> bool:
        """Whether training ends, after ``patience`` measurements without improvement."""
        return self.patience is not None and self.waited >= self.patience

    def measured(self, step: int, loss: float) -> bool:
        """Record a measurement after an update; return whether it is the lowest so far."""
        if loss < self.lowest:
            self.lowest, self.step, self.waited = loss, step, 0
            return True
        self.waited += 1
        return False
