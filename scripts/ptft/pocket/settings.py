"""Settings of the pocket model. Standard library only: the study's schema reads it."""

from dataclasses import dataclass
from typing import ClassVar

LEARNING_RATE = 3e-3
"""Muon's peak rate, for the matrices"""
WARMUP_STEPS = 100
"""over which the rates rise from 0"""
DECAY = 0.3
"""last part of the schedule, in which the rates fall to a tenth"""
MAX_POSITIONS = 512
"""longest prompt; rotary positions, so longer than a row is allowed"""


@dataclass(frozen=True)
class PretrainSettings:
    """How the pocket model is built and trained; part of what determines its checkpoints."""

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid", "strict": True}

    steps: list[int]
    """Optimizer steps after which a checkpoint is kept, rising."""
    total_steps: int
    """Length of the learning-rate schedule; no step above it is kept."""
    batch_size: int = 8
    """Rows a step."""
    sequence_length: int = 128
    """Tokens a row."""
    hidden_size: int = 96
    """Width of the model."""
    layers: int = 3
    """Layers of the model."""
    heads: int = 4
    """Attention heads a layer."""
    intermediate_size: int = 288
    """Width of each layer's MLP."""
    vocab_size: int = 1100
    """Tokens of the vocabulary at most; the corpus gives fewer."""
    seed: int = 0
    """Of the first weights and the order of the rows."""

    @property
    def weights(self) -> int:
        """Weights of the model with its largest vocabulary: each layer's attention and gated MLP,
        and the embedding, which is the output layer as well."""
        attention, mlp = 4 * self.hidden_size**2, 3 * self.hidden_size * self.intermediate_size
        return self.layers * (attention + mlp) + self.vocab_size * self.hidden_size

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: naming the setting, what was found and what was expected.
        """
        if not self.steps or list(self.steps) != sorted(set(self.steps)) or self.steps[0] < 1:
            raise ValueError(f"steps: expected rising positive step numbers, found {self.steps}")
        for name, low, high in (
            ("total_steps", self.steps[-1], None),
            ("batch_size", 1, None),
            ("sequence_length", 8, MAX_POSITIONS),
            ("layers", 1, None),
            ("heads", 1, None),
            ("intermediate_size", 1, None),
            ("vocab_size", 300, None),
        ):
            value = getattr(self, name)
            if value < low or (high is not None and value > high):
                limit = f"at least {low}" + ("" if high is None else f" and at most {high}")
                raise ValueError(f"{name}: expected {limit}, found {value}")
        if self.hidden_size % (2 * self.heads) != 0:
            raise ValueError(
                f"hidden_size: expected a multiple of 2 x heads = {2 * self.heads} (rotary "
                f"positions need an even size a head), found {self.hidden_size}"
            )


def rate_factor(settings: PretrainSettings, step: int) -> float:
    """The learning rate of `step` (from 0), as a part of its peak."""
    warmup = min(1.0, (step + 1) / WARMUP_STEPS)
    left = (settings.total_steps - step) / (DECAY * settings.total_steps)
    return warmup * (0.1 + 0.9 * min(1.0, left))
