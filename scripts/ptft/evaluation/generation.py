"""Greedy generation with stop strings, in batches that finished rows leave."""

from collections.abc import Callable, Sequence

import torch

from ptft.evaluation.batches import by_token_budget
from ptft.evaluation.encoding import Prompt
from ptft.evaluation.engine import Engine, Prefix


class StopStrings:
    """Recognises the stop strings in growing texts.

    A stop string can only be completed by a token that contains its last character, so the text
    is decoded for such tokens only.
    """

    def __init__(self, tokenizer, stop: Sequence[str]):
        self.tokenizer = tokenizer
        self.stop = list(stop)
        self.closers: set[int] = set()
        if self.stop:
            last = {text[-1] for text in self.stop}
            texts = tokenizer.batch_decode([[token] for token in range(len(tokenizer))])
            # A replacement character stands for part of a character, which may be any.
            last.add("�")
            self.closers = {token for token, text in enumerate(texts) if last & set(text)}

    def text(self, ids: Sequence[int]) -> str:
        """The generated text up to the first stop string, stripped."""
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        cut = min((at for end in self.stop if (at := text.find(end)) >= 0), default=len(text))
        return text[:cut].strip()

    def reached(self, ids: Sequence[int]) -> bool:
        """Whether the generated ids hold a stop string."""
        if ids[-1] not in self.closers:
            return False
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return any(end in text for end in self.stop)


def generate(
    engine: Engine,
    prompts: Sequence[Prompt],
    max_new_tokens: int,
    stop: Sequence[str],
    progress: Callable[[int], None] = lambda rows: None,
) -> list[str]:
    """Greedy continuation of every prompt.

    Args:
        max_new_tokens: most tokens of a continuation.
        stop: the text ends before the first of these; an end token ends it too.

    Raises:
        FloatingPointError: the model's logits are not finite.
    """
    stops = StopStrings(engine.loaded.tokenizer, stop)
    texts = [""] * len(prompts)
    for prefix, members in engine.groups(prompts):
        lengths = [len(prompts[number].context) - len(prefix) for number in members]
        overhead = len(prefix) + max_new_tokens
        for rows in by_token_budget(lengths, overhead, engine.token_budget):
            batch = [members[row] for row in rows]
            contexts = [prompts[number].context[len(prefix) :] for number in batch]
            generated = _decode_batch(engine, prefix, contexts, max_new_tokens, stops)
            for number, ids in zip(batch, generated, strict=True):
                texts[number] = stops.text(ids)
            progress(len(batch))
    return texts


@torch.inference_mode()
def _decode_batch(
    engine: Engine,
    prefix: Prefix,
    contexts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stops: StopStrings,
) -> list[list[int]]:
    """Ids generated behind each context (what the prefix holds left out)."""
    loaded = engine.loaded
    length = max(map(len, contexts))
    skip = len(prefix)
    tokens = torch.full((len(contexts), length), loaded.pad)
    real = torch.zeros(len(contexts), length, dtype=torch.bool)
    for row, ids in enumerate(contexts):  # padded on the left: all rows end together
        tokens[row, length - len(ids) :] = torch.tensor(ids)
        real[row, length - len(ids) :] = True
    tokens, real = tokens.to(loaded.device), real.to(loaded.device)
    positions = skip + (real.long().cumsum(1) - 1).clamp(min=0)
    visible = torch.cat([real.new_ones(len(contexts), skip), real], dim=1)
    causal = real.new_ones(length, skip + length).tril(skip)
    # A padding token sees itself, since a row of the softmax must not be empty.
    itself = torch.eye(length, dtype=torch.bool, device=loaded.device)
    mask = (causal & visible[:, None, :])[:, None]  # (B, 1, T, skip + T)
    mask[..., skip:] |= itself
    cache = prefix.repeated(len(contexts))

    generated: list[list[int]] = [[] for _ in contexts]
    alive = list(range(len(contexts)))
    for _ in range(max_new_tokens):
        output = loaded.model(
            tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits, cache = output.logits[:, -1], output.past_key_values
        best, chosen = logits.max(-1)
        if not bool(torch.isfinite(best).all()):
            raise FloatingPointError("the model's logits are not finite (NaN or infinite)")
        keep = []
        for row, token in enumerate(chosen.tolist()):
            if token in loaded.ends:
                continue
            ids = generated[alive[row]]
            ids.append(token)
            if not stops.reached(ids):
                keep.append(row)
        if not keep:
            break
        if len(keep) < len(alive):
            alive = [alive[row] for row in keep]
            rows = torch.tensor(keep, device=loaded.device)
            cache.batch_select_indices(rows)
            chosen, positions, visible = chosen[rows], positions[rows], visible[rows]
        tokens = chosen[:, None]
        positions = positions[:, -1:] + 1
        visible = torch.cat([visible, visible.new_ones(len(alive), 1)], dim=1)
        mask = visible[:, None, None, :]
    return generated
