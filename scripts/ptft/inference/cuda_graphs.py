"""CUDA graphs: the kernels of some work are recorded once, then launched together.

A short update or a decoding step is a thousand small kernels, which take the host longer to launch
one by one than the GPU to run.
"""

import weakref
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
        self._latest: Callable[[], torch.cuda.CUDAGraph | None] = lambda: None
        self._stream = torch.cuda.Stream()

    def rehearse(self, work: Callable[[], None]) -> None:
        """Do work once as it will be recorded: on the same stream, which gradients remember."""
        usual = torch.cuda.current_stream()
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            work()
        usual.wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record work, without doing it; the result does it.

        Before, the same work must have run once in the usual way, for libraries to prepare.

        Raises:
            torch.OutOfMemoryError: there is no memory for it.
        """
        graph = torch.cuda.CUDAGraph()
        # Torch refuses the pool of recordings that are gone, and frees it.
        latest = self._latest()
        try:
            pool = latest and latest.pool()
            with torch.cuda.graph(graph, pool=pool, stream=self._stream):
                work()
        except RuntimeError as error:
            # To end a recording may fail for memory as well, with an error of another kind.
            if any("out of memory" in str(one) for one in (error, error.__context__)):
                raise torch.OutOfMemoryError(str(error)) from error
            raise
        self._latest = weakref.ref(graph)
        return graph.replay
