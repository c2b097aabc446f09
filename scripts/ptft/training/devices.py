"""The devices of a run: one, or several processes that `torchrun` starts, one a device.

Replicated (DistributedDataParallel) or sharded (FSDP2) models give the same updates as one device
does: every process knows the whole batch, weighs its examples as parts of it, and works on its
share. The host holds one whole copy of the model at a time: processes load in turn, and only the
main one gathers weights to save them, as plain tensors on the CPU. The sharded path and the
multi-GPU path are tested with gloo on CPU processes only.
"""

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

LONGEST_WAIT = timedelta(days=7)
"""Of one process for the others: for a lock that another job holds, or while the main process
writes. Work that the devices share has torch's own, shorter limit."""


@dataclass(frozen=True)
class Devices:
    """This process's place among ``world`` processes, and its device."""

    device: torch.device
    rank: int = 0
    world: int = 1
    waiting: dist.ProcessGroup | None = None
    """what the processes wait for one another in"""

    @property
    def main(self) -> bool:
        """Whether this process writes files and progress."""
        return self.rank == 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a tensor over the processes."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def of_main(self, value: float) -> float:
        """The main process's value, so that all decide alike."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, src=0)
        return float(shared)

    def least(self, *values: int) -> list[int]:
        """Of each value the smallest that a process has."""
        if self.world == 1:
            return list(values)
        shared = torch.tensor(values, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MIN)
        return shared.tolist()

    def any(self, *wishes: bool) -> list[bool]:
        """Wishes that any of the processes has; no GPU is waited for."""
        if self.world == 1:
            return list(wishes)
        votes = torch.tensor(wishes, dtype=torch.int64)
        dist.all_reduce(votes, group=self.waiting)
        return [vote > 0 for vote in votes.tolist()]

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.world > 1:
            dist.barrier(group=self.waiting)

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The block is run by one process after another."""
        for turn in range(self.world):
            if turn == self.rank:
                yield
            self.wait()


def join_devices() -> Devices:
    """The device of this process; joins the others where torchrun started several.

    Raises:
        ValueError: there are fewer GPUs than processes on this machine.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    gpus = torch.cuda.device_count()
    if gpus and local >= gpus:
        asked = os.environ.get("LOCAL_WORLD_SIZE", str(local + 1))
        raise ValueError(f"{asked} GPUs are asked for on this machine, but it has {gpus}")
    device = torch.device("cuda", local) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    if world == 1:
        return Devices(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if gpus else "gloo")
    waiting = dist.new_group(backend="gloo", timeout=LONGEST_WAIT)
    return Devices(device, dist.get_rank(), world, waiting)


def works_in_bfloat16(dtype: str, device: torch.device) -> bool:
    """Whether the forward pass is in bfloat16; weights and optimizer are in float32.

    Args:
        dtype: ``float32``, ``bfloat16`` or ``auto``: bfloat16 on CUDA.
    """
    return dtype == "bfloat16" or (dtype == "auto" and device.type == "cuda")


def blocks(model: nn.Module) -> list[nn.Module]:
    """The blocks of a model, in order: what its longest list of modules holds."""
    lists = [part for part in model.modules() if isinstance(part, nn.ModuleList)]
    return list(max(lists, key=len, default=()))


def block_of(name: str) -> int | None:
    """Number of the block, from 0, that a weight belongs to; None outside of the blocks."""
    found = re.search(r"\.(\d+)\.", name)
    return int(found[1]) if found else None


def leave_devices() -> None:
    """Undo :func:`join_devices`."""
    if dist.is_initialized():
        dist.destroy_process_group()


def place(model: nn.Module, devices: Devices, sharding: str, bfloat16: bool) -> nn.Module:
    """Put a model on this process's device: whole, or its share of each weight.

    The blocks' weights are gathered in the precision of the forward pass. What comes between the
    blocks stays in float32, as it does on one device under autocast.

    Args:
        model: with its weights, on the CPU.
        devices: as joined.
        sharding: ``data`` (a replica each) or ``full`` (each weight cut over the devices).
        bfloat16: whether the forward pass works in it.
    """
    if devices.world == 1 or sharding == "data":
        return model.to(devices.device)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(devices.device.type, (devices.world,))
    inner = MixedPrecisionPolicy(
        torch.bfloat16 if bfloat16 else None, torch.float32, cast_forward_inputs=False
    )
    for block in blocks(model):
        fully_shard(block, mesh=mesh, mp_policy=inner)
    return fully_shard(model, mesh=mesh)


def replicate(model: nn.Module, devices: Devices, sharding: str) -> nn.Module:
    """The model to call in training: the placed model itself, or one of its replicas."""
    if devices.world == 1 or sharding == "full":
        return model
    return DistributedDataParallel(model)  # no device_ids: inputs are on the right device already


def synchronise_gradients(model: nn.Module, wanted: bool) -> None:
    """Whether the next backward pass of replicas exchanges gradients; the last of an update does.

    Sharded gradients are exchanged in each pass, so that no device holds them whole.
    """
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = wanted


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that is on this device; changing it changes the tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def gathered(value, devices: Devices):
    """A tensor whole, on the CPU of the main process, None on others; anything else as it is.

    All processes must call it.
    """
    if not isinstance(value, torch.Tensor):
        return value
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()
    return value.detach().cpu() if devices.main else None


def scattered(whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The reverse of :func:`gathered`: a copy of a whole tensor, cut and placed as ``like`` is.

    Every process has the whole tensor in a file and takes its own share.
    """
    if not hasattr(like, "device_mesh"):
        return whole.to(like.device, copy=True)
    from torch.distributed.tensor import distribute_tensor

    shares = distribute_tensor(
        whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None
    )
    return shares.clone()


def snapshot(
    trained: Mapping[str, torch.Tensor], optimizer: torch.optim.Optimizer, devices: Devices
) -> dict[str, Any]:
    """Trained weights and the optimizer's state, whole on the main process; all must call it."""
    state = optimizer.state_dict()
    moments = {
        index: {key: gathered(value, devices) for key, value in entry.items()}
        for index, entry in state["state"].items()
    }
    return {
        "parameters": gathered_weights(trained, devices),
        "optimizer": state | {"state": moments},
        "rng": torch.get_rng_state(),
    }


def restore(
    saved: dict[str, Any],
    trained: Mapping[str, torch.Tensor],
    optimizer: torch.optim.Optimizer,
) -> None:
    """The reverse of :func:`snapshot`; every process reads its own share."""
    moments = saved["optimizer"]["state"]
    load_weights(saved["parameters"], trained)
    for index, own in enumerate(trained.values()):
        for key in ("exp_avg", "exp_avg_sq"):
            moments[index][key] = scattered(moments[index][key], own)
    optimizer.load_state_dict(saved["optimizer"])
    torch.set_rng_state(saved["rng"])


def gathered_weights(trained: Mapping[str, torch.Tensor], devices: Devices) -> dict[str, Any]:
    """Weights by name, whole on the main process, None on others; all must call it."""
    return {name: gathered(value, devices) for name, value in trained.items()}


@torch.no_grad()
def load_weights(saved: Mapping[str, torch.Tensor], trained: Mapping[str, torch.Tensor]) -> None:
    """Put saved weights in place."""
    for name, own in trained.items():
        own.copy_(scattered(saved[name], own))


def whole_weights(model: nn.Module, devices: Devices) -> dict[str, torch.Tensor | None] | None:
    """All weights of a model that devices share, whole, on the main process; all must call it.

    None of one device alone, whose model has them. What is tied is gathered once and stays one
    tensor.
    """
    if devices.world == 1:
        return None
    weights = model.state_dict(keep_vars=True)
    whole: dict[int, torch.Tensor | None] = {}
    for value in weights.values():
        if id(value) not in whole:
            whole[id(value)] = gathered(value, devices)
    return {name: whole[id(value)] for name, value in weights.items()}
