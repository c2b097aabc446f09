"""CUDA graphs: the kernels of some work are recorded once, then launched together.

A short update is a thousand small kernels, which take the host longer to launch
one by one than the GPU to run.
"""

import weakref
from collections.abc import Callable
from typing import Protocol

import torch


class NotRecorded(Exception):
    """Work can't be recorded. The process should end: torch may be unable to free its memory."""


class Recorder(Protocol):
    """What repeats work without Python.

    Work may read and write only tensors that exist before and stay (its caller changes their
    content, not the tensors), and may not look at a value.
    """

    def rehearse(self, work: Callable[[], None]) -> None:
        """Do work once as it will be recorded, for libraries to prepare."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record work that was done once, without doing it; the result does it."""
        ...


class CudaGraphs:
    """Records work on a CUDA device: the same kernels at the same addresses.

    Recordings share the memory of everything in between: what is made inside of one is gone with
    the next replay of any.
    """

    def __init__(self) -> None:
        self._latest: Callable[[], torch.cuda.CUDAGraph | None] = lambda: None
        self._stream = torch.cuda.Stream()

    def rehearse(self, work: Callable[[], None]) -> None:
        """Do work once on the stream of recordings, which gradients remember."""
        usual = torch.cuda.current_stream()
        self._stream.wait_stream(usual)
        try:
            with torch.cuda.stream(self._stream):
                work()
        finally:
            usual.wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record work that was done once, without doing it; the result does it.

        Raises:
            NotRecorded: it fails, be it for want of memory.
        """
        graph = torch.cuda.CUDAGraph()
        usual = torch.cuda.current_stream()
        # Torch refuses the pool of recordings that are gone, and frees it.
        latest = self._latest()
        pool = latest and latest.pool()
        try:
            with torch.cuda.graph(graph, pool=pool, stream=self._stream):
                work()
        except RuntimeError as error:
            torch.cuda.set_stream(usual)  # torch may leave the other
            first = str(error.__context__ or error).partition("\n")[0]
            raise NotRecorded(
                f"this work can't be recorded as a CUDA graph ({first}): start again without, by "
                "finetune.METHOD.settings.cuda_graphs: false"
            ) from error
        self._latest = weakref.ref(graph)
        return graph.replay


class Repeated:
    """Work that is done many times: first rehearsed, then recorded, from then on replayed.

    Args:
        recorder: None does it in the usual way each time.
    """

    def __init__(self, recorder: Recorder | None) -> None:
        self._recorder = recorder
        self._replay: Callable[[], None] | None = None
        self.begun = False

    def do(self, work: Callable[[], None]) -> None:
        """Do the work, which must be the same at each call.

        Raises:
            NotRecorded: recording fails.
        """
        if self._recorder is None:
            work()
        elif not self.begun:
            self._recorder.rehearse(work)
        else:
            self._replay = self._replay or self._recorder.record(work)
            self._replay()
        self.begun = True
