"""What can be chosen about a fine-tuning run. Standard library only: the study's schema reads it.

The defaults are those of Sun & Dredze (arXiv 2408.06663) for OLMo-1B on the supervised tasks.
"""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal


def require(holds: bool, key: str, found: Any, expected: str) -> None:
    """Raise a ValueError that names a setting, its value and what was expected of it."""
    if not holds:
        raise ValueError(f"{key}: found {found!r}, expected {expected}")


def added(default: Any) -> Any:
    """A setting that came after models were trained: at its default it goes unsaid.

    So what identifies a model, and the slice of its job, is what it was before.
    """
    return field(default=default, metadata={"added": True})


def plain_settings(settings: Any) -> dict[str, Any]:
    """A dataclass of settings as plain data, without those of :func:`added` at their default."""
    unsaid = {
        item.name
        for item in fields(settings)
        if "added" in item.metadata and getattr(settings, item.name) == item.default
    }
    return {name: value for name, value in asdict(settings).items() if name not in unsaid}


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Examples of another dataset that are learned beside those of the task."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    dataset: str
    """Whose train split is replayed; another one than the task's."""
    share: float
    """Of all examples of training, below 1; the examples of the task stay as many. 0: none, where
    only some of the values that are swept replay."""

    def __post_init__(self) -> None:
        require(0 <= self.share < 1, "share", self.share, "a number from 0 to below 1")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings every method has. Raises ValueError naming the key for a value out of range."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    epochs: int = 3
    """Passes over the training set."""
    batch_size: int = 8
    """Examples an update, over all devices."""
    lr: float = 2e-6
    """Peak learning rate of AdamW (the paper: 2e-6, for XSum 2e-7)."""
    learning_rates: list[float] = field(default_factory=list)
    """Candidates for the peak, of which validation alone chooses; none: ``lr``."""
    warmup_ratio: float = 0.03
    """Share of the updates over which the learning rate rises from 0; then it falls to 0."""
    weight_decay: float = 0.0
    """Decoupled weight decay of AdamW, on every trainable parameter."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this total norm; 0 leaves them as they are."""
    weighting: Literal["example", "token"] = "example"
    """What weighs the same in an update: each example (mean of means, the paper) or each token."""
    max_length: int = 2048
    """Tokens of an example at most, and never more than the checkpoint's context."""
    token_budget: int | None = None
    """Tokens a micro-batch may hold; an update accumulates over micro-batches. None: by memory."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the forward pass; weights and optimizer stay float32. auto: bfloat16 on CUDA."""
    compile: bool = False
    """torch.compile the decoder's layers: for long runs on a GPU, where compiling pays."""
    sharding: Literal["data", "full"] = "data"
    """Under torchrun: a copy of the model on each device, or each weight cut over them (FSDP2)."""
    validation_examples: int = 0
    """Examples cut from the training set, by the seed, to measure validation on."""
    validation_steps: list[int] = field(default_factory=list)
    """Updates after which validation is measured, in addition to the start and the end."""
    replay: Replay | None = added(None)
    """Examples of another dataset that are learned beside those of the task."""
    l2sp: float = added(0.0)
    """L2-SP: this number times half the squared distance to the checkpoint's weights is added to
    the loss. Not for LoRA."""
    kl: float = added(0.0)
    """This number times the KL divergence of the checkpoint's next-token probabilities from the
    model's, at the learned tokens, is added to the loss."""
    freeze: int = added(0)
    """The input embeddings (with a tied output layer) and so many first blocks are not trained; 0:
    all are."""
    early_stopping: int | None = added(None)
    """Stop after so many measurements of validation in a row without a new lowest loss; the
    weights of the lowest are saved. Needs ``validation_steps``."""
    save_steps: int | None = None
    """Save resumable state every so many updates."""
    save_minutes: float = 10.0
    """Save resumable state at least this often."""

    def __post_init__(self) -> None:
        for key in ("epochs", "batch_size"):
            require(getattr(self, key) >= 1, key, getattr(self, key), "1 or more")
        require(0 < self.lr < math.inf, "lr", self.lr, "a number above 0")
        rates = self.learning_rates
        valid = len(set(rates)) == len(rates) and all(0 < rate < math.inf for rate in rates)
        require(valid, "learning_rates", rates, "different numbers above 0")
        for key in ("weight_decay", "max_grad_norm", "validation_examples", "l2sp", "kl", "freeze"):
            found = getattr(self, key)
            require(0 <= found < math.inf, key, found, "0 or more")
        require(0 <= self.warmup_ratio < 1, "warmup_ratio", self.warmup_ratio, "0 up to below 1")
        require(self.max_length >= 2, "max_length", self.max_length, "2 or more")
        require(self.save_minutes > 0, "save_minutes", self.save_minutes, "more than 0")
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
        needs = "learning_rates" if self.learning_rates else "validation_steps"
        require(
            self.validation_examples > 0 or not (self.learning_rates or self.validation_steps),
            "validation_examples",
            self.validation_examples,
            f"1 or more, because {needs} is set",
        )
