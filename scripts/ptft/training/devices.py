"""The devices of a run: one, or several processes that `torchrun` starts, one a device.

Replicated (DistributedDataParallel) or sharded (FSDP2) models give the same updates as one device
does: every process knows the whole batch, weighs its examples as parts of it, and works on its
share. The sharded path and the multi-GPU path are tested with gloo on CPU processes only.
"""

import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Devices:
    """This process's place among ``world`` processes, and its device."""

    device: torch.device
    rank: int = 0
    world: int = 1

    @property
    def main(self) -> bool:
        """Whether this process writes files and progress."""
        return self.rank == 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a tensor over the processes."""
        if self.world > 1:
            dist.all_reduce(values)
        return values

    def least(self, value: int) -> int:
        """The smallest of the processes' values."""
        if self.world == 1:
            return value
        shared = torch.tensor(value, device=self.device)
        dist.all_reduce(shared, dist.ReduceOp.MIN)
        return int(shared)

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.world > 1:
            dist.barrier()


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
    return Devices(device, dist.get_rank(), world)


def leave_devices() -> None:
    """Undo :func:`join_devices`."""
    if dist.is_initialized():
        dist.destroy_process_group()


def spread(model: nn.Module, devices: Devices, sharding: str, bfloat16: bool) -> nn.Module:
    """The model to call in training: itself on one device, replicated or sharded over several.

    Args:
        model: with its weights, on the CPU.
        devices: as joined.
        sharding: ``data`` (a replica each) or ``full`` (each weight cut over the devices).
        bfloat16: what sharded weights are gathered in.
    """
    if devices.world == 1:
        return model.to(devices.device)
    if sharding == "data":
        # No device_ids: inputs are on the right device already.
        return DistributedDataParallel(model.to(devices.device))
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = init_device_mesh(devices.device.type, (devices.world,))
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if bfloat16 else None
    options = {"mesh": mesh} | ({"mp_policy": policy} if policy else {})
    blocks = set(getattr(model, "_no_split_modules", None) or ())
    for part in list(model.modules()):
        if type(part).__name__ in blocks:
            fully_shard(part, **options)
    return fully_shard(model, **options)


def synchronise_gradients(model: nn.Module, wanted: bool) -> None:
    """Whether the next backward pass exchanges gradients; the last of an update does."""
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = wanted
    elif hasattr(model, "set_requires_gradient_sync"):
        model.set_requires_gradient_sync(wanted)


def gathered(value):
    """A tensor whole, on the CPU; anything else as it is. All processes must call it."""
    if not isinstance(value, torch.Tensor):
        return value
    if hasattr(value, "full_tensor"):
        value = value.full_tensor()
    return value.detach().cpu()


def scattered(whole: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The reverse of :func:`gathered`: a whole tensor cut and placed as ``like`` is."""
    if not hasattr(like, "device_mesh"):
        return whole.to(like.device)
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)
