"""The reference of the training tests: one example at a time, no packing, stock transformers."""

import math

import torch

from ptft.training.examples import batch_indices, updates_per_epoch


def plain_train(model, examples, settings, lr, seed, updates):
    """Train with sdpa attention, labels through the whole projection; returns the losses."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=lr, weight_decay=settings.weight_decay)
    steps = settings.epochs * updates_per_epoch(len(examples), settings.batch_size)
    warmup = math.ceil(steps * settings.warmup_ratio)
    losses = []
    for step in range(updates):
        indices = batch_indices(len(examples), settings.batch_size, seed, step)
        batch = [examples[i] for i in indices]
        all_targets = sum(int(item.loss_mask.sum()) for item in batch)
        total = 0.0
        for item in batch:
            ids = torch.from_numpy(item.ids)[None]
            logits = model(input_ids=ids).logits[0, :-1]
            each = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
            each = each[torch.from_numpy(item.loss_mask[1:])]
            if settings.weighting == "example":
                loss = each.mean() / len(batch)
            else:
                loss = each.sum() / all_targets
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        for group in optimizer.param_groups:
            rise, fall = step / max(1, warmup), (steps - step) / max(1, steps - warmup)
            group["lr"] = lr * (rise if step < warmup else fall)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(total)
    return losses
