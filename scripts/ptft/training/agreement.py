"""Whether packed training is right for a model: before the first update, against transformers.

Some of the study's own examples, short and long, are run in one packed row and each alone by
transformers' own attention, in float32: behaviour decides, not a list of architectures.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from ptft.models.loading import first_line, load_model
from ptft.training.examples import Example
from ptft.training.losses import token_losses
from ptft.training.packing import NAME as PACKED_ATTENTION
from ptft.training.packing import example_weights, pack

log = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""most that a token's loss may differ in float32, in nats"""
EXAMPLES = 4
MOST_TOKENS = 512
"""of an example that is looked at"""


class NotTrainable(ValueError):
    """Training would not be of the model that transformers has."""


def load_trainable(folder: Path, examples: Sequence[Example], device: torch.device):
    """A checkpoint's model for packed training, on the CPU, after it was compared on examples.

    Args:
        device: where the comparison runs.

    Raises:
        NotTrainable: packed and plain losses differ by more than rounding, or it can't be run.
    """
    try:
        model = load_model(folder, attention=PACKED_ATTENTION)
    except ValueError:
        load_model(folder, device="meta")  # says what is wrong with the folder itself
        raise NotTrainable(_refusal(folder, "its attention can't be replaced")) from None
    some = _some(examples)
    try:
        reason = _difference(model.to(device), some)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise NotTrainable(_refusal(folder, first_line(error))) from error
    if reason:
        raise NotTrainable(_refusal(folder, reason))
    return model.cpu()


def _refusal(folder: Path, reason: str) -> str:
    return (
        f"{folder}: this study can't train a model of this architecture, since packed sequences "
        f"are not trained as transformers would train them ({reason}); its checkpoints can be "
        "scored as they are, without finetune"
    )


def _some(examples: Sequence[Example]) -> list[Example]:
    """The shortest and the longest, the latter cut where they are very long."""
    ordered = sorted(examples, key=lambda item: len(item.ids))
    half = EXAMPLES // 2
    chosen = ordered if len(ordered) <= EXAMPLES else [*ordered[:half], *ordered[-half:]]
    cut = [
        replace(item, ids=item.ids[-MOST_TOKENS:], loss_mask=item.loss_mask[-MOST_TOKENS:].copy())
        for item in chosen
    ]
    for item in cut:
        item.loss_mask[0] = False  # nothing predicts the first token
    return [item for item in cut if item.loss_mask.any()]


@torch.no_grad()
def _difference(model, examples: Sequence[Example]) -> str | None:
    """How packed losses differ from plain ones; None if it is by rounding alone."""
    weights = example_weights(examples, "token")
    packed = pack(examples, weights, model.device)
    model.train()  # dropout included: it has to run
    token_losses(model, packed)
    model.eval()
    ours, _ = token_losses(model, packed)
    model.set_attn_implementation("sdpa")
    theirs = torch.cat([_plain_losses(model, item) for item in examples])
    model.set_attn_implementation(PACKED_ATTENTION)
    most = (ours - theirs).abs().max().item()
    log.info("as plain transformers: losses of %d tokens to %.1e", len(ours), most)
    return None if most <= TOLERANCE else f"losses differ by up to {most:.2g} nats a token"


def _plain_losses(model, item: Example) -> torch.Tensor:
    """Losses (n,) of an example's learned tokens, alone."""
    ids = torch.from_numpy(item.ids)[None].to(model.device)
    logprobs = model(ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)
    losses = -logprobs.gather(1, ids[0, 1:, None]).squeeze(1)
    return losses[torch.from_numpy(item.loss_mask[1:]).to(model.device)]
