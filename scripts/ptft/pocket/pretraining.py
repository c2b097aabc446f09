"""Pre-train the pocket model from scratch and keep checkpoints along the way.

An OLMo-architecture model (transformers' `OlmoForCausalLM`) of a few hundred thousand parameters,
AdamW, learning rate warmed up, held, then let down to a tenth. Documents are shuffled anew each
epoch and packed end to end into rows of `sequence_length` tokens, as OLMo's pre-training does.
"""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from transformers import OlmoConfig, OlmoForCausalLM, PreTrainedTokenizerFast

from ptft.pocket.settings import PretrainSettings
from ptft.pocket.tokenizer import train_tokenizer


def rate_factor(settings: PretrainSettings, step: int) -> float:
    """The learning rate of `step` (from 0), as a part of `learning_rate`."""
    warmup = min(1.0, (step + 1) / max(1, settings.warmup_steps))
    decay_steps = settings.decay_fraction * settings.total_steps
    if decay_steps == 0:
        return warmup
    left = (settings.total_steps - step) / decay_steps
    return warmup * (0.1 + 0.9 * min(1.0, left))


def build_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> OlmoForCausalLM:
    """The untrained model, its weights fixed by the seed."""
    torch.manual_seed(settings.seed)
    config = OlmoConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=settings.max_positions,
        initializer_range=settings.initializer_range,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return OlmoForCausalLM(config)


def packed_batches(
    documents: list[list[int]], settings: PretrainSettings, end: int
) -> Iterator[torch.Tensor]:
    """Endless batches (rows, tokens) of shuffled documents, each closed by the `end` token."""
    rng = np.random.default_rng(settings.seed)
    size = settings.batch_size * settings.sequence_length
    buffer = np.empty(0, dtype=np.int64)
    while True:
        order = rng.permutation(len(documents))
        epoch = np.concatenate([np.array([*documents[i], end], dtype=np.int64) for i in order])
        buffer = np.concatenate([buffer, epoch])
        for start in range(0, len(buffer) - size + 1, size):
            batch = buffer[start : start + size]
            yield torch.from_numpy(batch.reshape(settings.batch_size, -1))
        buffer = buffer[len(buffer) // size * size :]


def pretrain(
    documents: list[str],
    settings: PretrainSettings,
    save: Callable[[OlmoForCausalLM, PreTrainedTokenizerFast, dict], None],
) -> None:
    """Train on `documents`, calling `save(model, tokenizer, facts)` at each of `settings.steps`.

    The same documents, settings and number of threads give the same weights, bit for bit.
    """
    tokenizer = train_tokenizer(documents, settings.vocab_size)
    model = build_model(settings, tokenizer)
    encoded = tokenizer(documents, return_attention_mask=False)["input_ids"]
    batches = packed_batches(encoded, settings, tokenizer.eos_token_id)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    optimizer = torch.optim.AdamW(
        matrices,
        lr=settings.learning_rate,
        betas=(0.9, settings.beta2),
        weight_decay=settings.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: rate_factor(settings, s))
    started = time.perf_counter()
    recent: list[float] = []
    model.train()
    for step in tqdm(range(1, settings.steps[-1] + 1), desc="pre-training", unit="step"):
        batch = next(batches)  # (rows, tokens)
        # Without a cache: OLMo would otherwise build one in every training step.
        logits = model(input_ids=batch, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(
            logits[:, :-1].reshape(-1, logits.shape[-1]), batch[:, 1:].reshape(-1)
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(matrices, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        recent.append(loss.item())
        if step in settings.steps:
            window = recent[-50:]
            facts = {
                "step": step,
                "tokens": step * batch.numel(),
                "loss": sum(window) / len(window),
                "seconds": round(time.perf_counter() - started, 3),
            }
            save(model, tokenizer, facts)


def save_checkpoint(
    root: Path, model: OlmoForCausalLM, tokenizer: PreTrainedTokenizerFast, facts: dict
) -> Path:
    """Write `root/stepN` as a Hugging Face model folder, complete or not at all."""
    target = root / f"step{facts['step']}"
    draft = root / f".{target.name}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    (draft / "pretraining.json").write_text(json.dumps(facts, indent=2) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    os.replace(draft, target)
    return target
