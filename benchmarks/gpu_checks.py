"""Sections of ``gpu.py`` on what is right: device, attention, logits, saving and stopping."""

import os
import signal
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers
from gpu_context import BATCH, Context, build, losses, trainer_of
from gpu_speed import adapted

from ptft.inference.forward import float32_logits
from ptft.runtime.gpus import driver_version
from ptft.training.methods import LoraSettings, get_method
from ptft.training.packing import example_weights, pack
from ptft.training.remedies import Objective
from ptft.training.settings import TrainingSettings
from ptft.training.state import Interrupted, StateFolder, StopRequest

NEW_SHAPES = 20
OUT_OF_MEMORY_AT = 0.8  # of what a batch takes


def machine(context: Context) -> dict:
    """Versions, copy bandwidth, and a large matrix product in bfloat16."""
    size = context.pick(8192, 256)
    about = {
        "device": torch.cuda.get_device_name() if context.cuda else "cpu",
        "driver": driver_version() if context.cuda else None,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "transformers": transformers.__version__,
        "capability": list(torch.cuda.get_device_capability()) if context.cuda else None,
        "memory_gib": torch.cuda.mem_get_info()[1] / 2**30 if context.cuda else None,
    }
    context.note(**about)
    source = torch.empty(size * size * context.pick(16, 1), device=context.device)
    target = torch.empty_like(source)
    one = torch.randn(size, size, device=context.device, dtype=torch.bfloat16)
    target.copy_(source), one @ one  # both warm
    copying = context.seconds(lambda: target.copy_(source), 10)
    product = context.seconds(lambda: one @ one, 10)
    return {
        "copy_bytes_per_second": 2 * source.nbytes / copying,
        "bf16_flops": 2 * size**3 / product,
    }


def packed_attention(context: Context) -> dict:
    """Loss and gradients of packed bfloat16 against float32 rectangles, and of sharded weights."""
    size = {"num_hidden_layers": 2}
    kinds = {
        "olmo": ("olmo", {}),
        "llama_gqa": ("llama", {"num_key_value_heads": 2}),
        "neox_64": ("neox", {"hidden_size": 256, "num_attention_heads": 4}),
        "neox_256": ("neox", {"hidden_size": 512, "num_attention_heads": 2}),
        "olmo_lora": ("olmo", {}),
    }
    for name, (kind, changes) in kinds.items():
        model = build(kind, context.device, **(size | changes))
        if name.endswith("lora"):
            model = get_method("lora").prepare(model, LoraSettings())
            for key, weight in model.named_parameters():
                if "lora_B" in key:
                    torch.nn.init.normal_(weight, std=0.02)
        context.note(**{name: _compare_precisions(model, context)})
    return {"sharded": _sharded_in_a_world_of_one(context)}


def _compare_precisions(model: torch.nn.Module, context: Context) -> dict:
    """How far loss and gradients of the packed pass are from those in float32."""
    batch = context.batches()["mnli"][:BATCH]
    weights = example_weights(batch, "example")
    results = []
    for bfloat16 in (False, True):
        packed = pack(batch, weights, context.device, bfloat16)
        with torch.autocast(context.device.type, torch.bfloat16, enabled=bfloat16):
            loss = Objective(TrainingSettings())(model, packed)
        loss.backward()
        gradients = [p.grad.double().flatten() for p in model.parameters() if p.grad is not None]
        results.append((loss.item(), gradients))
        model.zero_grad(set_to_none=True)
    (exact, slow), (loss, fast) = results
    cosines = [F.cosine_similarity(one, other, 0) for one, other in zip(slow, fast, strict=True)]
    whole = F.cosine_similarity(torch.cat(slow), torch.cat(fast), 0)
    return {
        "relative_loss_difference": abs(loss - exact) / abs(exact),
        "gradient_cosine": whole.item(),
        "least_gradient_cosine": torch.stack(cosines).min().item(),
    }


def _sharded_in_a_world_of_one(context: Context) -> dict:
    """Losses of updates with FSDP2 on one device, against those without."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    examples = context.batches()["mnli"]
    plain = losses(trainer_of(build("olmo", context.device, num_hidden_layers=2), examples,
                              context.device), 3)  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(context.pick("nccl", "gloo"), init_method=f"file://{folder}/meet",
                                rank=0, world_size=1)  # fmt: skip
        model = build("olmo", context.device, num_hidden_layers=2)
        mesh = init_device_mesh(context.device.type, (1,))
        inner = MixedPrecisionPolicy(
            torch.bfloat16 if context.cuda else None, torch.float32, cast_forward_inputs=False
        )
        for layer in model.model.layers:  # as ptft.training.devices.place does for several
            fully_shard(layer, mesh=mesh, mp_policy=inner)
        trainer = trainer_of(fully_shard(model, mesh=mesh), examples, context.device,
                             sharding="full")  # fmt: skip
        sharded = losses(trainer, 3)
        dist.destroy_process_group()
    return {"plain_losses": plain, "sharded_losses": sharded}


def new_shapes(context: Context) -> dict:
    """The first call of attention at each of 20 lengths, with and without cuDNN."""
    context.need_cuda()
    found = {}
    for name, enabled in (("without_cudnn", False), ("with_cudnn", True)):
        torch.backends.cuda.enable_cudnn_sdp(enabled)
        times = []
        for number in range(NEW_SHAPES + 1):  # the first is for the libraries to load
            length = 301 + 17 * number
            one = torch.randn(4, 16, length, 128, device=context.device, dtype=torch.bfloat16)
            times.append(
                context.seconds(
                    lambda one=one: F.scaled_dot_product_attention(one, one, one, is_causal=True)
                )
            )
        found[name] = {
            "first_ms": 1e3 * times[0],
            "mean_new_shape_ms": 1e3 * sum(times[1:]) / NEW_SHAPES,
            "longest_ms": 1e3 * max(times[1:]),
        }
        context.note(**found)
    return found


def float32_logits_of_the_head(context: Context) -> dict:
    """Logits in float32 and in bfloat16: time, ties and changed answers at logits around 12."""
    rows, width, words = context.pick((512, 2048, 50304), (64, 64, 512))
    torch.manual_seed(0)
    common = F.normalize(torch.randn(width), dim=0)
    weight = (torch.randn(words, width) / width**0.5 + common).to(context.device, torch.bfloat16)
    hidden = (torch.randn(rows, width) + 12 * common).to(context.device, torch.bfloat16)
    ways = {
        "float32": lambda: float32_logits(hidden, weight),
        "bfloat16": lambda: F.linear(hidden, weight).float(),
    }
    exact, rounded = (run() for run in ways.values())
    found: dict = {f"{name}_ms": 1e3 * context.seconds(run, 10) for name, run in ways.items()}
    for name, most in (("labels", 3), ("tokens", words)):
        answers = []
        for kind, logits in (("float32", exact), ("bfloat16", rounded)):
            best = logits[:, :most].topk(2).values
            found[f"{name}_ties_{kind}"] = (best[:, 0] == best[:, 1]).float().mean().item()
            answers.append(logits[:, :most].argmax(-1))
        found[f"{name}_changed"] = (answers[0] != answers[1]).float().mean().item()
    return found


def survival(context: Context) -> dict:
    """A full memory, SIGTERM, and going on from the state that it left."""
    context.note(out_of_memory=_out_of_memory(context))
    examples = context.batches()["mnli"]
    with tempfile.TemporaryDirectory() as folder:
        state = StateFolder(Path(folder), "gpu.py")
        first = trainer_of(build("olmo", context.device), examples, context.device)
        begun = time.perf_counter()
        with StopRequest() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            try:
                first.train(state, stop)
            except Interrupted as error:
                context.note(
                    sigterm=str(error),
                    update_and_save_seconds=time.perf_counter() - begun,
                    state_gib=state.file.stat().st_size / 2**30,
                )
        expected = losses(first, 2)
        del first
        again = trainer_of(build("olmo", context.device), examples, context.device)
        seconds = context.seconds(lambda: again._resume(state))
        return {
            "resume_seconds": seconds,
            "losses_undisturbed": expected,
            "losses_resumed": losses(again, 2),
        }


def _out_of_memory(context: Context) -> dict:
    """Force an out-of-memory error in an update: real on CUDA, raised by hand on a CPU."""
    examples = context.batches()["long"]
    whole = sum(len(item.ids) for item in examples[:BATCH])
    # An adapter's gradients are small: half of the tokens take about half of the memory.
    trainer = trainer_of(adapted(context), examples, context.device, token_budget=whole)
    if context.cuda:
        torch.cuda.reset_peak_memory_stats()
        losses(trainer, 1)  # the optimizer's moments are there
        context.synchronise()
        peak, held = torch.cuda.max_memory_allocated(), torch.cuda.memory_allocated()
        torch.cuda.empty_cache()
        total = torch.cuda.mem_get_info()[1]
        limit = held + OUT_OF_MEMORY_AT * (peak - held)
        torch.cuda.set_per_process_memory_fraction(limit / total)
    else:
        work = trainer.gradients.accumulate

        def full(batch):
            if trainer.gradients.budget.whole > OUT_OF_MEMORY_AT * whole:
                raise torch.OutOfMemoryError("by hand")
            return work(batch)

        trainer.gradients.accumulate = full
    try:
        found = {"loss": losses(trainer, 1)[0], "tokens_after": trainer.gradients.budget.whole}
    finally:
        if context.cuda:
            torch.cuda.set_per_process_memory_fraction(1.0)
    return {"tokens_before": whole} | found
