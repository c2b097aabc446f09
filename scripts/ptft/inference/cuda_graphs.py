"""CUDA graphs: the kernels of some work are recorded once, then launched together.

A short update or a decoding step is a thousand small kernels, which take the host longer to launch
one by one than the GPU to run.
"""

from collections.abc import Callable

import torch


class CudaGraphs:
    """Records work on a CUDA device.

    A recording repeats the same kernels at the same addresses. So work may read and write only
    tensors that exist before and stay (its caller changes their content, not the tensors), and may
    not look at a value. Recordings share the memory of everything in between: what is made inside
    of one is gone with the next replay of any.
    """

    def __init__(self) -> None:
        self._pool = None

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record work, without doing it; the result does it.

        Before, the same work must have run once in the usual way, for libraries to prepare.
        """
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            work()
        self._pool = graph.pool()
        return graph.replay
