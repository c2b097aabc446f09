"""The model's head, only for the requested positions, in float32.

In bfloat16 logits between 8 and 16 are 0.0625 apart, so labels, choices and greedy tokens tie
although their hidden states differ; a tie goes to the first. The product of the hidden
state and the head's weights is therefore summed and kept in float32 at any precision of the model.
"""

import torch
import torch.nn.functional as F


class exact_head:
    """While in force, the model's head computes float32 logits, of the given places only.

    ``logits_to_keep`` keeps the same columns of every row; rows of a batch end at different ones.
    Replacing the head leaves whatever a model does to its logits (scaling, soft caps) in force.

    Args:
        places: (n,) indices into the flattened (batch x length) hidden states; None for all.
    """

    def __init__(self, model: torch.nn.Module, places: torch.Tensor | None = None):
        self.head = model.get_output_embeddings()
        self.places = places

    def __enter__(self) -> None:
        def forward(hidden: torch.Tensor) -> torch.Tensor:  # (B, T, d)
            if self.places is not None:
                hidden = hidden.reshape(-1, hidden.shape[-1])[self.places].unsqueeze(0)
            with torch.autocast(hidden.device.type, enabled=False):
                return float32_logits(hidden, self.head.weight, getattr(self.head, "bias", None))

        self.head.forward = forward

    def __exit__(self, *_error) -> None:
        del self.head.forward


def float32_logits(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Logits (..., V) float32 of hidden states (..., d) under a head's weight (V, d)."""
    if hidden.dtype == weight.dtype == torch.float32:
        return F.linear(hidden, weight, bias)
    flat = hidden.reshape(-1, hidden.shape[-1])
    if flat.is_cuda and flat.dtype == weight.dtype:
        # The tensor cores sum in float32 anyway; only the result is kept in it.
        logits = torch.mm(flat, weight.t(), out_dtype=torch.float32)
    else:
        logits = flat.float() @ weight.float().t()
    logits = logits if bias is None else logits + bias.float()
    return logits.view(*hidden.shape[:-1], -1)
