"""Validation in bfloat16: whether a completion is exact is decided by float32 logits."""

import numpy as np
import torch
from tiny import save_tiny_checkpoint

from ptft.models.loading import load_model
from ptft.training.examples import Example
from ptft.training.losses import token_losses, validate
from ptft.training.packing import NAME, example_weights, pack

CPU = torch.device("cpu")
FIRST, SECOND = 40, 41


def test_a_completion_that_ties_in_bfloat16_alone_is_exact(tmp_path):
    folder = save_tiny_checkpoint(tmp_path, tie_word_embeddings=False)
    model = load_model(folder, attention=NAME).eval()
    learned = np.array([False, False, False, True])
    examples = [Example("a", np.array([11, 12, 13, SECOND]), learned)]
    packed = pack(examples, example_weights(examples, "example"), CPU, True)
    read = []
    hook = model.lm_head.register_forward_hook(lambda _, inputs, __: read.append(inputs[0]))

    def hits():
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            return token_losses(model, packed)[1].tolist()

    hits()
    hook.remove()
    hidden = read[0][0, -1].float()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[FIRST] = 10 * hidden / hidden.square().sum()
        model.lm_head.weight[SECOND] = 1.0001 * model.lm_head.weight[FIRST]
    assert hits() == [False]  # rounded, the two are equal, and the first is taken
    loss, exact = validate(model, examples, "example", 100, CPU, bfloat16=True)
    assert exact == 1.0
    assert (loss, exact) == validate(model, examples, "example", 100, CPU, bfloat16=True)
