"""Decoding steps that are recorded once for a batch and then repeated, as CUDA graphs.

A step is hundreds of short kernels, which take the host longer to launch than a GPU to run; a
recorded step is one launch. All its shapes and addresses are fixed: attention runs over all columns
of the rows' keys under a mask, and where the new keys go is a tensor.

It never ran on a GPU.
"""

from collections.abc import Callable
from functools import partial

import torch

from ptft.inference.cuda_graphs import CudaGraphs, Recorder, Repeated
from ptft.inference.steps import Steps, require_finite

# Stands for a token that was chosen by a logit that is not finite.
NOT_FINITE = -1


def record_steps(device: torch.device, recorder: Recorder | None = None) -> Callable[..., Steps]:
    """What makes the steps of a batch, for ``Engine``.

    Args:
        device: of the model. On CUDA steps are recorded; elsewhere the same steps are launched
            operation by operation, to the same results.
        recorder: in place of CUDA graphs.
    """
    if recorder is None and device.type == "cuda":
        recorder = CudaGraphs()
    return partial(RecordedSteps, recorder)


class RecordedSteps(Steps):
    """As ``Steps``, but recorded for each number of rows.

    Args:
        recorder: None launches every step in the usual way.
        batch: as of ``Steps``. ``chosen`` and ``positions`` are changed in place.
    """

    leaving = 0.5
    """more than where nothing is recorded, because each time the step is recorded anew"""

    def __init__(self, recorder: Recorder | None, *batch):
        super().__init__(*batch)
        self._recorder = recorder
        self._columns = torch.arange(self.visible.shape[1], device=self.loaded.device)
        self._end = torch.tensor([self.cache.end], device=self.loaded.device)
        self.cache.at = self._end
        self._fix_rows()

    def select(self, rows) -> None:
        super().select(rows)
        self._fix_rows()

    def next(self) -> list[int]:
        self._repeated.do(self._step)
        found = self._found.tolist()
        require_finite(NOT_FINITE not in found)
        return found

    def _fix_rows(self) -> None:
        """Rows have new tensors: nothing is recorded of these."""
        self._repeated = Repeated(self._recorder)
        self._found = torch.empty_like(self.chosen)

    def _step(self) -> None:
        """What is recorded: no value is looked at, and only tensors that stay are changed."""
        best, chosen = self.logits(self.visible & (self._columns <= self._end)).max(-1)
        self._found.copy_(chosen.masked_fill(~best.isfinite(), NOT_FINITE))
        self.chosen.copy_(chosen)
        self.positions.add_(1)
        self._end.add_(1)
