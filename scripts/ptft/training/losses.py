"""Losses of a packed micro-batch, of held-out examples, and of the answer that ignores its input.

Only learned tokens go through the output projection.
"""

import contextlib
import math
from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ptft.inference.forward import exact_head
from ptft.training.examples import Example, micro_batches
from ptft.training.packing import PackedBatch, example_weights, pack

FEW_ANSWERS = 0.2
"""A set with at most this many different completions an example is one of labels."""


def token_logits(model, packed: PackedBatch) -> torch.Tensor:
    """Logits (N, V) at the places that predict a learned token.

    ``use_cache=False``: with a cache, transformers takes packed positions for one long sequence.
    """
    return model(
        input_ids=packed.input_ids,
        position_ids=packed.position_ids,
        use_cache=False,
        logits_to_keep=packed.predictors,
        layout=packed.layout,
    ).logits[0]


def cross_entropy(logits: torch.Tensor, packed: PackedBatch) -> torch.Tensor:
    """Cross-entropy (N,) float32 in nats of the learned tokens under logits (N, V)."""
    return F.cross_entropy(logits.float(), packed.targets, reduction="none")


def token_losses(model, packed: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy (N,) float32 of learned tokens, and whether the model ranks each first (N,)."""
    logits = token_logits(model, packed)
    return cross_entropy(logits, packed), logits.detach().argmax(dim=-1) == packed.targets


def divergence(base: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """KL(base || model) (N,) float32 in nats: sum over v of p_base(v) ln(p_base(v) / p_model(v)).

    Args:
        base, logits: (N, V) of the checkpoint and of the model.
    """
    expected, found = (each.float().log_softmax(dim=-1) for each in (base, logits))
    return F.kl_div(found, expected, reduction="none", log_target=True).sum(dim=-1)


@torch.no_grad()
def validate(
    model,
    examples: Sequence[Example],
    weighting: str,
    token_budget: int,
    device: torch.device,
    bfloat16: bool,
) -> tuple[float, float]:
    """Loss, weighted as in training, and the share of examples whose completion is exact.

    A completion is exact if the model ranks each of its tokens, EOS included, first given those
    before it: greedy decoding would then reproduce it. As in evaluation, logits are in float32 in
    whatever precision the model works: rounded, they tie.
    """
    weights = example_weights(examples, weighting)
    total, exact = 0.0, 0
    was_training = model.training
    model.eval()
    for part in micro_batches(examples, token_budget):
        packed = pack(part, weights, device, bfloat16)
        exact_logits = _float32_head(model) if bfloat16 else contextlib.nullcontext()
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16), exact_logits:
            losses, hits = token_losses(model, packed)
        total += (losses * packed.weights).sum().item()
        missed = torch.zeros(len(part), device=device).index_add_(0, packed.owners, (~hits).float())
        exact += int((missed == 0).sum())
    model.train(was_training)
    return total, exact / len(examples)


def _float32_head(model) -> contextlib.AbstractContextManager:
    """Lets the head compute float32 logits; nothing where the head itself is adapted."""
    whole = model.module if isinstance(model, DistributedDataParallel) else model
    plain = isinstance(whole.get_output_embeddings(), nn.Linear)
    return exact_head(whole) if plain else contextlib.nullcontext()


def constant_loss(examples: Sequence[Example], weighting: str) -> float | None:
    """Loss, in nats, of the best answer that ignores its input: labels by their frequency.

    It knows which completions there are and how often each occurs, and nothing else; for labels of
    one token it is half of their entropy, because the end of a completion is learned as well. None
    where most completions are different (summaries, conversations): there it would know them all.
    """
    completions = [item.ids[item.loss_mask].tobytes() for item in examples]
    counts = Counter(completions)
    if len(counts) > FEW_ANSWERS * len(examples):
        return None
    weights = example_weights(examples, weighting)
    return sum(
        weights[item.example_id] * math.log(len(examples) / counts[completion])
        for item, completion in zip(examples, completions, strict=True)
    )
