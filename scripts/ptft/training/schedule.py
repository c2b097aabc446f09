"""The paper's learning-rate schedule: linear warm-up, then linear decay to zero."""

import math


def learning_rate(step: int, steps: int, peak: float, warmup_ratio: float) -> float:
    """Learning rate of update ``step`` (from 0) of ``steps``.

    The same values as transformers' ``get_linear_schedule_with_warmup`` with
    ``ceil(steps * warmup_ratio)`` warm-up updates, as its Trainer computes them; a function of
    the step alone, so that a resumed run needs no scheduler state.
    """
    warmup = math.ceil(steps * warmup_ratio)
    if step < warmup:
        return peak * step / max(1, warmup)
    return peak * max(0.0, (steps - step) / max(1, steps - warmup))
