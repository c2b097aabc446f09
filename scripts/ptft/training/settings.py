"""Settings of a fine-tuning run. Standard library only: the study's schema reads them.

The defaults are those of Sun & Dredze (arXiv 2408.06663) for OLMo-1B on the supervised tasks.
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal


def require(holds: bool, key: str, found: Any, expected: str) -> None:
    """Raise a ValueError that names a setting, its value and what was expected of it."""
    if not holds:
        raise ValueError(f"{key}: found {found!r}, expected {expected}")


def replayed_count(examples: int, share: float) -> int:
    """Examples that are replayed with so many of the task, rounded: ``share`` of all."""
    return math.floor(examples * share / (1 - share) + 0.5)


SELF = "self"
"""in place of a replayed dataset: text that the checkpoint writes"""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Examples of another dataset, or the checkpoint's own, learned with those of the task."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    dataset: str
    """Dataset whose train split is replayed, not the task's; or self: text that the checkpoint
    writes."""
    share: float
    """Share of all training examples, below 1; the number of the task's examples does not change.
    0: no replay, as one value of a sweep."""

    learn: Literal["tokens", "distributions"] = "tokens"
    """The target of learning: the tokens, or (distributions) the checkpoint's predictions at each
    token, by their KL divergence, in place of it."""
    prompts: str | None = None
    """Of self: dataset of texts (its train split), with whose first words texts begin; they are not
    learned. Default: texts begin with BOS, or else EOS."""
    tokens: int = 256
    """Of self: tokens of a text, at most."""
    samples: int = 1000
    """Of self: texts that a checkpoint writes, once for all arms."""
    temperature: float = 1.0
    """Of self: tokens are drawn from the predictions at this temperature."""

    @property
    def own(self) -> bool:
        """Whether the checkpoint writes what is replayed."""
        return self.dataset == SELF

    @property
    def text(self) -> str:
        """Name of the checkpoint's text, by what decides it."""
        begin = self.prompts or "bos"
        return f"{begin}-{self.samples}x{self.tokens}-t{self.temperature:g}"

    def __post_init__(self) -> None:
        require(0 <= self.share < 1, "share", self.share, "a number from 0 to below 1")
        require(self.tokens >= 2, "tokens", self.tokens, "2 or more")
        require(self.samples >= 1, "samples", self.samples, "1 or more")
        require(0 < self.temperature < math.inf, "temperature", self.temperature, "more than 0")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings every method has. Raises ValueError naming the key for a value out of range."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    epochs: int = 3
    """Passes over the training set."""
    batch_size: int = 8
    """Examples per update, over all devices."""
    lr: float = 2e-6
    """Peak learning rate of AdamW (the paper: 2e-6, for XSum 2e-7)."""
    warmup_ratio: float = 0.03
    """Share of the updates over which the learning rate rises from 0; then it falls to 0."""
    weight_decay: float = 0.0
    """Decoupled weight decay of AdamW, on every trainable parameter."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this total norm; 0: no clipping."""
    loss: Literal["cross_entropy", "dft"] = "cross_entropy"
    """Of a token. dft (dynamic fine-tuning): its cross-entropy times its probability, which has no
    gradient, so that tokens that the model finds unlikely pull less."""
    weighting: Literal["example", "token"] = "example"
    """Unit of equal weight in an update: each example (mean of means, the paper) or each token."""
    max_length: int = 2048
    """Maximum tokens of an example, and never more than the checkpoint's context."""
    token_budget: int | None = None
    """Maximum tokens of a micro-batch; an update accumulates micro-batches. None: by memory."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Precision of the forward pass; weights and optimizer stay float32. auto: bfloat16 on CUDA."""
    updates: Literal["auto", "plain"] = "auto"
    """How updates are computed. auto: on one GPU the fastest of the ways that agree with the plain
    one, tried by the first training of a method; elsewhere plain."""
    sharding: Literal["data", "full"] = "data"
    """Under torchrun: a copy of the model on each device, or weights sharded over them (FSDP2)."""
    validation_examples: int = 0
    """Examples held out of the training set, drawn by the seed, for the validation loss."""
    validation_steps: list[int] = field(default_factory=list)
    """Updates after which the validation loss is measured, besides the start and the end."""
    replay: Replay | None = None
    """Examples of another dataset, or the checkpoint's own, learned together with those of the
    task."""
    l2sp: float = 0.0
    """L2-SP, weight decay towards the checkpoint: weight of half the squared distance to its
    weights, added to the loss. Not for adapters."""
    kl: float = 0.0
    """Weight of KL(checkpoint ‖ model) of the next-token probabilities at the learned tokens,
    added to the loss."""
    freeze: int = 0
    """The input embeddings (with a tied output layer) and this many first blocks are frozen; 0:
    nothing is."""
    early_stopping: int | None = None
    """Stop after this many validation measurements in a row without a new lowest loss; the weights
    with the lowest are saved. Needs ``validation_steps``."""
    save_steps: int | None = None
    """Updates between saves of resumable state, which is saved every ten minutes besides."""

    adapter: ClassVar[bool] = False
    """Whether a small part beside the checkpoint is trained, and the checkpoint frozen."""

    @property
    def keeps_base(self) -> bool:
        """Whether the trained model can still give the checkpoint's predictions."""
        return False

    @property
    def needs_base(self) -> bool:
        """Whether the loss compares the model with its checkpoint."""
        return self.kl > 0 or (self.replay is not None and self.replay.learn == "distributions")

    def count_updates(self, examples: int) -> int:
        """Updates of a training on so many examples, the smaller last batches included."""
        return self.epochs * -(-examples // self.batch_size)

    def __post_init__(self) -> None:
        for key in ("epochs", "batch_size"):
            require(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        require(0 < self.lr < math.inf, "lr", self.lr, "a number above 0")
        for key in ("weight_decay", "max_grad_norm", "validation_examples", "l2sp", "kl", "freeze"):
            found = getattr(self, key)
            require(0 <= found < math.inf, key, found, "0 or more")
        require(0 <= self.warmup_ratio < 1, "warmup_ratio", self.warmup_ratio, "0 up to below 1")
        require(self.max_length >= 2, "max_length", self.max_length, "2 or more")
        for key in ("token_budget", "save_steps", "early_stopping"):
            found = getattr(self, key)
            require(found is None or found >= 1, key, found, "1 or more")
        require(
            all(step >= 1 for step in self.validation_steps)
            and len(set(self.validation_steps)) == len(self.validation_steps),
            "validation_steps",
            self.validation_steps,
            "different updates from 1 on",
        )
        require(
            self.early_stopping is None or bool(self.validation_steps),
            "validation_steps",
            self.validation_steps,
            "at least one update, because early_stopping is set",
        )
        require(
            self.validation_examples > 0 or not self.validation_steps,
            "validation_examples",
            self.validation_examples,
            "1 or more, because validation_steps is set",
        )
