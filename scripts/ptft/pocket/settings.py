"""What can be chosen about the pocket model. Standard library only: the study's schema reads it."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class PretrainSettings:
    """How the pocket model is built and trained; part of what determines its checkpoints."""

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid", "strict": True}

    steps: list[int]  # optimizer steps after which a checkpoint is kept, rising
    total_steps: int  # length of the learning-rate schedule; no step above it is kept
    batch_size: int = 8  # rows a step
    sequence_length: int = 128  # tokens a row
    rows_apart: float = 0.875  # share of the rows in which a document sees itself only
    learning_rate: float = 3e-3  # Muon's, for the matrices
    embedding_rate: float = 2e-3  # AdamW's, for the embedding
    warmup_steps: int = 100
    decay_fraction: float = 0.3  # last part of the schedule, in which the rate falls to a tenth
    weight_decay: float = 0.01
    beta2: float = 0.98
    hidden_size: int = 96
    layers: int = 3
    heads: int = 4
    intermediate_size: int = 288
    initializer_range: float = 0.08  # larger than usual: a tiny model learns faster from it
    max_positions: int = 512  # longest prompt; rotary positions, so longer than a row is allowed
    vocab_size: int = 1100  # at most; the corpus gives fewer
    seed: int = 0

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
            ("sequence_length", 8, self.max_positions),
            ("warmup_steps", 0, None),
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
        for name in ("learning_rate", "embedding_rate", "beta2"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name}: expected 0 < {name} < 1, found {getattr(self, name)}")
        for name in ("decay_fraction", "rows_apart"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, found {getattr(self, name)}")
