"""A CUDA device that computes nothing: full-size tensors, whose memory and launches are counted.

``guard.cpp`` tells torch's CPU build that there is a device ``cuda:0``; torch's FakeTensorMode
gives the shapes of all results. The training loop and the engine run on it as on a GPU. It does not
see fragments of memory, the context (0.6 GiB), what kernels work in, nor what inductor makes of
code; values are made up. Its time is a roofline: of each operation the longest of what its bytes
take, its arithmetic, and the least of a kernel. A process that has once begun is good for nothing
else: tests start one each (``run``).
"""

import ctypes
import functools
import hashlib
import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).parent
GIB = 2**30
NAME = "NVIDIA H200"
BLOCK = 512
"""bytes that the allocator rounds to"""
BANDWIDTH, FLOPS, FLOAT32_FLOPS, KERNEL = 4.3e12, 790e12, 60e12, 2e-6
"""an H200's bytes a second, its operations a second, and seconds of a kernel, all at their best"""
FREE = {
    "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "set_", "resize_",
    "device", "prim_device", "is_same_size", "size", "stride", "numel", "sym_size", "sym_numel",
    "sym_stride", "result_type", "is_pinned", "set_data", "_has_compatible_shallow_copy_type",
    "record_stream",
}  # fmt: skip
"""operations without a kernel, besides those that give a view"""
SHAPES = {
    "Olmo": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
             "num_attention_heads": 16, "num_key_value_heads": 16, "vocab_size": 50304,
             "tie_word_embeddings": True},
    "Llama": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
              "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
              "tie_word_embeddings": False},
}  # fmt: skip
"""OLMo-1B and Llama-3-8B"""


def run(script: str, *arguments: str, gigabytes: float = 139) -> dict:
    """The JSON that a script prints last, in a process with the device; skips without a compiler.

    Args:
        script: Python; ``with device() as gpu:`` begins it.
        gigabytes: GiB of the device.
    """
    if not shutil.which("g++"):
        pytest.skip("g++ makes the fake device, and is missing")
    root = HERE.parents[1]
    paths = [root, root / "scripts", root / "tests/unit", root / "benchmarks"]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(map(str, paths)), "FAKE_GPU_GIB": str(gigabytes),
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    code = f"from tests.fake_gpu import device\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@functools.cache
def register() -> None:
    """Compile the guard, once for a version of torch, and load it before torch."""
    torch = Path(importlib.util.find_spec("torch").origin).parent
    for name in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(torch / "lib" / name), ctypes.RTLD_GLOBAL)
    source = HERE / "guard.cpp"
    key = hashlib.sha256(source.read_bytes() + (torch / "version.py").read_bytes()).hexdigest()
    library = Path(tempfile.gettempdir()) / f"ptft-fake-gpu-{os.getuid()}" / f"{key[:16]}.so"
    if not library.exists():
        library.parent.mkdir(exist_ok=True)
        partial = library.with_suffix(f".{os.getpid()}")
        includes = [f"-I{torch}/include", f"-I{torch}/include/torch/csrc/api/include"]
        linked = [f"-L{torch}/lib", "-lc10", "-ltorch_cpu"]
        subprocess.run(
            ["g++", "-std=c++20", "-O1", "-shared", "-fPIC", *includes, source, "-o", partial]
            + linked,
            check=True,
        )
        partial.replace(library)
    ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)


@contextmanager
def device() -> Iterator["Gpu"]:
    """The device; tensors that are made within may be on ``cuda``."""
    register()
    import numpy as np
    import torch
    from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
    from torch.overrides import TorchFunctionMode
    from torch.utils import _foreach_utils
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    gpu = Gpu(int(float(os.environ["FAKE_GPU_GIB"]) * GIB))

    class Count(TorchDispatchMode):
        """Sees each operation as a device would."""

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            name = function._schema.name.split("::")[1]
            kwargs = kwargs or {}
            read = {key: value for key, value in kwargs.items() if key != "out"}
            inputs = [t for t in tree_leaves((args, read)) if isinstance(t, torch.Tensor)]
            if name == "_local_scalar_dense":
                gpu.syncs[name] += 1
                return True if args[0].dtype == torch.bool else 1
            unknown = name == "_foreach_copy_"  # to FakeTensorMode
            out = None if unknown else function(*args, **kwargs)
            outputs = [t for t in tree_leaves(out) if isinstance(t, torch.Tensor)]
            for tensor in outputs:
                if tensor.device.type == "cuda":
                    gpu.hold(tensor.untyped_storage())
            here = any(t.device.type == "cuda" for t in [*inputs, *outputs])
            if here and name not in FREE and not is_view(name, kwargs, inputs, outputs):
                gpu.launches[name] += 1
                moved = traffic(name, args, inputs, outputs)
                gpu.bytes[name] += moved
                exact = inputs and inputs[0].dtype == torch.float32
                speed = FLOAT32_FLOPS if exact else FLOPS
                working = arithmetic(name, args, outputs) / speed
                gpu.seconds += max(KERNEL, moved / BANDWIDTH, working)
            return out

    class Answer(TorchFunctionMode):
        """Makes up the values that a program looks at; each look waits for the device."""

        def __torch_function__(self, function, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            name = getattr(function, "__name__", "")
            if function is torch.tensor and str(kwargs.get("device", "")).startswith("cuda"):
                made = torch.as_tensor(args[0], dtype=kwargs.get("dtype"))
                return torch.empty(made.shape, dtype=made.dtype, device="cuda")
            if args and isinstance(args[0], FakeTensor) and name in LOOKS:
                gpu.syncs[name] += args[0].device.type == "cuda"
                if name in {"tolist", "numpy"}:
                    whole = not args[0].dtype.is_floating_point
                    values = np.full(args[0].shape, 1 if whole else 0.5)
                    return values if name == "numpy" else values.tolist()
                return LOOKS[name]
            return function(*args, **kwargs)

    if FakeTensor not in _foreach_utils._foreach_supported_types:
        _foreach_utils._foreach_supported_types.append(FakeTensor)
    torch.nn.Module._apply = _apply
    torch.cuda.amp.common.amp_definitely_not_available = lambda: False
    for name, answer in {
        "is_available": lambda: True, "device_count": lambda: 1, "set_device": lambda *_: None,
        "synchronize": lambda *_: None, "empty_cache": lambda: None,
        "is_bf16_supported": lambda *_, **__: True, "get_device_name": lambda *_: NAME,
        "get_device_capability": lambda *_: (9, 0), "memory_allocated": lambda *_: gpu.live,
        "max_memory_allocated": lambda *_: gpu.peak, "reset_peak_memory_stats": gpu.reset_peak,
        "mem_get_info": lambda *_: (gpu.size - gpu.live, gpu.size),
        "set_per_process_memory_fraction": gpu.limit_to,
        "get_device_properties": lambda *_: SimpleNamespace(name=NAME, total_memory=gpu.size),
    }.items():  # fmt: skip
        setattr(torch.cuda, name, answer)
    with FakeTensorMode(allow_non_fake_inputs=True), Count(), Answer():
        yield gpu


LOOKS = {
    "tolist": None, "numpy": None, "item": 0.5, "__bool__": True, "__int__": 1, "__float__": 0.5,
    "__index__": 1,
}  # fmt: skip


class Gpu:
    """Counts: bytes that are held, their peak; launches, bytes moved and syncs by name; seconds.

    A storage is held while any tensor uses it. What would not fit raises torch's error.
    """

    def __init__(self, size: int) -> None:
        self.size = self.limit = size
        self.live = self.peak = 0
        self.launches: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        self.syncs: Counter[str] = Counter()
        self.seconds = 0.0
        self._held: dict[int, object] = {}

    def hold(self, storage) -> None:
        """Count a storage, unless it is counted."""
        key = storage._cdata
        if key in self._held:
            return
        size = -(-storage.nbytes() // BLOCK) * BLOCK
        if self.live + size > self.limit:
            import torch

            raise torch.OutOfMemoryError(f"CUDA out of memory: {self.live} + {size} bytes")
        self._held[key] = weakref.ref(storage, lambda _: self._gone(key, size))
        self.live += size
        self.peak = max(self.peak, self.live)

    def _gone(self, key: int, size: int) -> None:
        if self._held.pop(key, None) is not None:
            self.live -= size

    def reset_peak(self, *_) -> None:
        """The peak counts from now on."""
        self.peak = self.live

    def limit_to(self, share: float) -> None:
        """No more than this part of the device is given out."""
        self.limit = share * self.size

    def begin(self) -> None:
        """Count from now on, the peak too."""
        self.launches.clear(), self.bytes.clear(), self.syncs.clear(), self.reset_peak()
        self.seconds = 0.0


def _size(tensors) -> int:
    """Bytes of tensors, each once; what is expanded counts as what it was."""
    found = {}
    for tensor in tensors:
        real = math.prod(n for n, step in zip(tensor.shape, tensor.stride(), strict=True) if step)
        place = tensor.untyped_storage()._cdata, tensor.storage_offset(), tuple(tensor.shape)
        found[place] = real * tensor.dtype.itemsize
    return sum(found.values())


def is_view(name: str, kwargs, inputs, outputs) -> bool:
    """Whether an operation gives nothing but what it was given."""
    given = {tensor.untyped_storage()._cdata for tensor in inputs}
    made = {tensor.untyped_storage()._cdata for tensor in outputs}
    return bool(made) and made <= given and not name.endswith("_") and "out" not in kwargs


def traffic(name: str, args, inputs, outputs) -> int:
    """Bytes that an operation reads and writes at least."""
    if name in {"embedding", "index_select", "gather", "index"}:
        return 2 * _size(outputs)  # not the whole of what is looked up in
    if name in {"fill_", "zero_", "new_zeros", "zeros", "ones"}:
        return _size(outputs)
    if name == "copy_":
        return _size(outputs) + _size([args[1]])
    if name in {"index_copy_", "index_put_"}:
        return 2 * _size(inputs[-1:])
    if name == "_fused_adamw_":  # weights and moments are written
        return _size(inputs) + sum(_size(args[at]) for at in (0, 2, 3))
    written = args[0] if name.startswith("_foreach") and name.endswith("_") else outputs
    return _size(inputs) + _size(written)


def arithmetic(name: str, args, outputs) -> int:
    """Operations of products and attention; the rest is bound by memory."""
    if name in {"mm", "bmm", "linear", "matmul"}:
        return 2 * outputs[0].numel() * args[0].shape[-1]
    if name in {"addmm", "baddbmm"}:
        return 2 * outputs[0].numel() * args[1].shape[-1]
    if name == "scaled_dot_product_attention":
        return 4 * args[0].numel() * args[1].shape[-2]
    if name.startswith("_varlen_attn"):  # causal: half; backward two and a half times as much
        backward = name.endswith("backward")
        query, longest = args[1 if backward else 0], max(a for a in args if type(a) is int)
        return (5 if backward else 2) * query.numel() * longest
    return 0


def _apply(module, function, recurse=True):
    """As torch's ``Module._apply``, which swaps data in place: fake tensors can't."""
    import torch

    for child in module.children() if recurse else ():
        _apply(child, function)
    for name, weight in module._parameters.items():
        if weight is not None:
            with torch.no_grad():
                moved = function(weight)
            if moved is not weight:
                made = torch.nn.Parameter(moved.detach(), weight.requires_grad)
                module._parameters[name] = made
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = function(buffer)
    return module
