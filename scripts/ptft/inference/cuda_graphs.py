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
        self._stream = torch.cuda.Stream()

    def rehearse(self, work: Callable[[], None]) -> None:
        """Do work once as it will be recorded, for libraries to prepare."""
        usual = torch.cuda.current_stream()
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            work()
        usual.wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record rehearsed work, without doing it; the result does it."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            work()
        self._pool = graph.pool()
        return graph.replay
