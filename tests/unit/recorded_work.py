"""A stand-in for CUDA graphs on a CPU: operations are recorded and repeated without Python.

Like a graph, a recording runs the same operations on the same memory: what follows from Python in
the recorded call (a number, a shape, another tensor) stays as it was. What a graph can't hold is
refused: looking at a value, data that comes from the host.
"""

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

REFUSED = {
    "_local_scalar_dense": "the host looks at a value",
    "item": "the host looks at a value",  # as it arrives in inference mode
    "nonzero": "a shape depends on values",
    "lift_fresh": "data comes from the host",
    "masked_select": "a shape depends on values",
    "is_nonzero": "the host looks at a value",
    "equal": "the host looks at a value",
}


class RecordedWork:
    """Takes the place of ``CudaGraphs``."""

    def __init__(self) -> None:
        self.recordings = 0
        self.replays = 0

    def rehearse(self, work: Callable[[], None]) -> None:
        """As ``CudaGraphs.rehearse``."""
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """As ``CudaGraphs.record``, except that the work is done while it is recorded.

        So what it changes is put back, and tensors that are made in it keep their memory.
        """
        self.recordings += 1
        tape = _Tape()
        with tape:
            work()
        tape.put_back()

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return replay


class _Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.steps: list = []
        self.made: set[int] = set()
        self.before: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.partition("::")[2]
        kwargs = kwargs or {}
        masks = name.startswith("index") and any(t.dtype == torch.bool for t in _tensors(args[1:2]))
        if masks or name in REFUSED:
            reason = "a shape depends on values" if masks else REFUSED[name]
            raise RuntimeError(f"{name} can't be in a CUDA graph: {reason}")
        self._keep_what_changes(func, args, kwargs)
        result = func(*args, **kwargs)
        # A view of what is outside is outside.
        given = {_memory(tensor) for tensor in _tensors((args, kwargs))}
        self.made |= {_memory(tensor) for tensor in _tensors(result)} - given
        self.steps.append((func, args, kwargs, result))
        return result

    def _keep_what_changes(self, func, args, kwargs) -> None:
        """Copies of tensors from outside that an operation is about to change."""
        for place, argument in enumerate(func._schema.arguments):
            if argument.alias_info is None or not argument.alias_info.is_write:
                continue
            value = args[place] if place < len(args) else kwargs.get(argument.name)
            for tensor in _tensors(value):
                memory = _memory(tensor)
                if memory not in self.made and memory not in self.before:
                    storage = tensor.untyped_storage()
                    whole = torch.empty(0, dtype=torch.uint8).set_(storage)
                    self.before[memory] = (whole, whole.clone())

    def put_back(self) -> None:
        for whole, copy in self.before.values():
            whole.copy_(copy)
        self.before.clear()

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, result in self.steps:
            # Views and results of changes in place are at their address already.
            for own, new in zip(_tensors(result), _tensors(func(*args, **kwargs)), strict=True):
                if own.data_ptr() != new.data_ptr():
                    own.detach().copy_(new)


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _tensors(value) -> list[torch.Tensor]:
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, torch.Tensor)]
