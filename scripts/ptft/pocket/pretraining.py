"""Pre-train the pocket model from scratch and keep checkpoints along the way.

An OLMo-architecture model (transformers' `OlmoForCausalLM`) of a few hundred thousand parameters,
Muon for its matrices and AdamW for its embedding, learning rate warmed up, held, then let down to
a tenth. Documents are shuffled again in each epoch and packed end to end into rows. In most rows a
document sees itself only, from which the model learns fastest; in the others it also sees those
before it, as in OLMo's own pre-training, so that the model has met longer contexts.
"""

import contextlib
import json
import math
import os
import shutil
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from transformers import OlmoConfig, OlmoForCausalLM, PreTrainedTokenizerFast

from ptft.paths import replacing
from ptft.pocket.settings import LEARNING_RATE, MAX_POSITIONS, PretrainSettings, rate_factor
from ptft.pocket.tokenizer import EncodedCorpus
from ptft.runtime.bars import progress

# Quintic Newton-Schulz iteration, tuned for a steep slope at zero (Jordan et al.).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
# AdamW's peak rate, for the embedding, and its decay of the second moment.
EMBEDDING_RATE, BETA2 = 2e-3, 0.98
WEIGHT_DECAY = 0.01
# Spread of the first weights: larger than usual, a tiny model learns faster from it.
INITIALIZER_RANGE = 0.08
# Share of the rows in which a document sees itself only.
ROWS_APART = 0.875


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """Nearly the nearest orthogonal matrices: singular values brought close to 1.

    Args:
        matrices: (number, rows, columns).
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for a few small matrices on a CPU, those of one shape in one batch of matrix products.

    Orthogonalised momentum (Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural
    networks"), in float32, with the step size of Liu et al. 2025 (arXiv 2502.16982), which lets it
    share AdamW's learning rates. The same updates as `torch.optim.Muon`, which works in bfloat16
    and matrix by matrix: that is 10 to 20 times slower on a CPU without bfloat16 units.

    With AdamW alone (8 rows of 64 tokens a step, words compared only) the model gave 68 to 78 % of
    the verdicts right after 800 steps, with Muon 82 to 91 % after 400.
    """

    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        """`momentum` is of Nesterov's kind; `weight_decay` is decoupled."""
        super().__init__(
            list(parameters), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure=None):  # noqa: ARG002  (the signature of torch's optimizers)
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[torch.nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                self._step_shape(parameters, shape, group)

    def _step_shape(self, parameters: list, shape: torch.Size, group: dict) -> None:
        gradients = torch.stack([parameter.grad for parameter in parameters])
        # One momentum for the whole batch, kept with its first parameter.
        state = self.state[parameters[0]]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(gradients)
        state["momentum"].lerp_(gradients, 1 - group["momentum"])
        updates = orthogonalize(gradients.lerp(state["momentum"], group["momentum"]))
        # An orthogonal matrix's entries are small: scale to the size of AdamW's updates.
        rate = group["lr"] * 0.2 * math.sqrt(max(shape))
        for parameter, update in zip(parameters, updates, strict=True):
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.add_(update, alpha=-rate)


def build_model(settings: PretrainSettings, tokenizer: PreTrainedTokenizerFast) -> OlmoForCausalLM:
    """The untrained model, its weights fixed by the seed."""
    torch.manual_seed(settings.seed)
    config = OlmoConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden_size,
        intermediate_size=settings.intermediate_size,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        max_position_embeddings=MAX_POSITIONS,
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    return OlmoForCausalLM(config)


def packed_batches(
    documents: list[np.ndarray], settings: PretrainSettings
) -> Iterator[torch.Tensor]:
    """Endless batches (rows, tokens) of shuffled documents, laid end to end."""
    rng = np.random.default_rng(settings.seed)
    size = settings.batch_size * settings.sequence_length
    buffer = np.empty(0, dtype=np.int64)
    while True:
        order = rng.permutation(len(documents))
        buffer = np.concatenate([buffer, *(documents[i] for i in order)])
        for start in range(0, len(buffer) - size + 1, size):
            batch = buffer[start : start + size]
            yield torch.from_numpy(batch.reshape(settings.batch_size, -1))
        buffer = buffer[len(buffer) // size * size :]


def attention_mask(batch: torch.Tensor, apart: int, end: int) -> torch.Tensor:
    """Which token (second last axis) sees which: (rows, 1, tokens, tokens), true where it does.

    Never a later one; in the first `apart` rows, none of another document.
    """
    ends = (batch == end).long()
    document = ends.cumsum(1) - ends  # (rows, tokens): a document's end token is still its own
    visible = document[:, :, None] == document[:, None, :]
    visible[apart:] = True
    return visible.tril()[:, None]


def build_optimizers(model: OlmoForCausalLM) -> list[torch.optim.Optimizer]:
    """AdamW for the embedding (which is the output projection, too), Muon for all else."""
    embedding = model.get_input_embeddings().weight
    matrices = [parameter for parameter in model.parameters() if parameter is not embedding]
    return [
        torch.optim.AdamW(
            [embedding],
            lr=EMBEDDING_RATE,
            betas=(0.9, BETA2),
            weight_decay=WEIGHT_DECAY,
            fused=True,
        ),
        Muon(matrices, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY),
    ]


def seen_tokens(corpus: EncodedCorpus) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens that occur in the corpus, and for every token its place among them (-100: none).

    The loss is over these tokens. Were it over all, every step would push the words of the task
    prompts, which never occur, further away, AdamW by as much as any other word: after some
    thousand steps their probability is 1e-9, and fine-tuning first has to undo that.
    """
    seen = torch.from_numpy(np.unique(np.concatenate(corpus.documents)))
    column = torch.full((len(corpus.tokenizer),), -100)
    column[seen] = torch.arange(len(seen))
    return seen, column


@contextlib.contextmanager
def lengthened(embedding: torch.Tensor, seen: torch.Tensor) -> Iterator[None]:
    """Within, embeddings of tokens that never occur are on average as long as those that do.

    Pre-training lengthens what it uses, here twofold, and leaves the rest as it was drawn.
    Embeddings are the output layer, too, behind a norm without weights: with half the length, a
    label that never occurred can have at most half the logit of other words. Then an adapter, which
    trains no embedding, can't make it likely, and full fine-tuning spends a third of its updates on
    lengthening it. All are lengthened alike, so what a model prefers among them stays the same.

    Args:
        embedding: (tokens, width), changed within.
        seen: ids of the tokens that occur.
    """
    unseen = torch.ones(len(embedding), dtype=torch.bool)
    unseen[seen] = False
    with torch.no_grad():
        kept = embedding[unseen].clone()
        lengths = embedding.norm(dim=1)
        if len(kept):
            embedding[unseen] *= lengths[seen].mean() / lengths[unseen].mean()
        yield
        embedding[unseen] = kept


class Pretraining:
    """A run of pre-training: starts from scratch or where an earlier part ended, goes on to a step.

    The same corpus, settings and number of threads give the same weights, bit for bit, in one part
    or in several.
    """

    def __init__(self, corpus: EncodedCorpus, settings: PretrainSettings):
        """A run at step 0, the model untrained."""
        self.settings = settings
        self.corpus = corpus
        self.tokenizer = corpus.tokenizer
        self.model = build_model(settings, self.tokenizer)
        self.optimizers = build_optimizers(self.model)
        self.schedules = [
            torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(settings, step))
            for optimizer in self.optimizers
        ]
        self.step = 0
        self.seconds = 0.0
        self.recent: deque[float] = deque(maxlen=50)  # losses of the last steps
        self._end = self.tokenizer.eos_token_id
        self._batches = packed_batches(corpus.documents, settings)
        self._seen, self._column = seen_tokens(corpus)

    def train(self, last: int) -> None:
        """Train up to and including step `last`."""
        started = time.perf_counter()
        self.model.train()
        with progress("pre-train", last, "steps", self.step) as bar:
            while self.step < last:
                self.recent.append(self._update(next(self._batches)))
                self.step += 1
                bar.update()
        self.seconds += time.perf_counter() - started

    def _update(self, batch: torch.Tensor) -> float:
        """One step on a batch (rows, tokens); its loss."""
        apart = round(ROWS_APART * self.settings.batch_size)
        mask = attention_mask(batch, apart, self._end)
        # Without a cache: OLMo would otherwise build one in every training step.
        hidden = self.model.model(input_ids=batch, attention_mask=mask, use_cache=False)[0]
        head = self.model.lm_head.weight[self._seen]
        logits = hidden[:, :-1].flatten(0, 1) @ head.T  # (tokens, seen)
        loss = torch.nn.functional.cross_entropy(logits, self._column[batch[:, 1:].flatten()])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        return loss.item()

    def facts(self) -> dict:
        """How far the run is: step, tokens seen, mean loss of the last 50 steps, seconds."""
        return {
            "step": self.step,
            "tokens": self.step * self.settings.batch_size * self.settings.sequence_length,
            "loss": sum(self.recent) / len(self.recent),
            "seconds": round(self.seconds, 3),
        }

    def save_state(self, path: Path) -> None:
        """Write all that a later part needs, complete or not at all."""
        state = self.corpus.state() | {
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "step": self.step,
            "seconds": self.seconds,
            "recent": list(self.recent),
        }
        with replacing(path) as draft:
            torch.save(state, draft)

    def load_state(self, path: Path) -> None:
        """Go on where an earlier part of the same run ended, at a step not before this one."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        parts = (("optimizers", self.optimizers), ("schedules", self.schedules))
        for name, objects in parts:
            for one, saved in zip(objects, state[name], strict=True):
                one.load_state_dict(saved)
        for _ in range(state["step"] - self.step):
            next(self._batches)
        self.step, self.seconds = state["step"], state["seconds"]
        self.recent.extend(state["recent"])

    def save_checkpoint(self, target: Path) -> None:
        """Write a Hugging Face model folder with a pretraining.json, complete or not at all."""
        draft = target.with_name(f".{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        with lengthened(self.model.get_input_embeddings().weight, self._seen):
            self.model.save_pretrained(draft)
        self.tokenizer.save_pretrained(draft)
        (draft / "pretraining.json").write_text(json.dumps(self.facts(), indent=2) + "\n")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(draft, target)
