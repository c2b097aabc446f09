"""Early stopping: which weights were best by validation, and when to wait no longer."""

import math
from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """What the measurements of validation so far say.

    The start is no candidate: what is saved has been trained. ``patience`` None never stops.
    """

    patience: int | None
    lowest: float = math.inf
    step: int | None = None
    """updates done when validation was lowest"""
    waited: int = 0
    """measurements since then"""

    @property
    def over(self) -> bool:
        """Whether so many measurements were no better that training ends."""
        return self.patience is not None and self.waited >= self.patience

    def measured(self, step: int, loss: float) -> bool:
        """Note a measurement after an update; whether it is the lowest so far."""
        if loss < self.lowest:
            self.lowest, self.step, self.waited = loss, step, 0
            return True
        self.waited += 1
        return False
