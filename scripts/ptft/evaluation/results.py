"""What scoring a cell gives: per-example results, and notes about the cell as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ptft.prompts.encoding import Prompt


@dataclass
class Ties:
    """How many of a cell's decisions tie for the first place: the first of the tied is taken.

    Attributes:
        decisions: of labels or choices, in a precision below float32.
        exact: those that tie in float32, in which they are made.
        rounded: those that would tie if logits had the model's precision.
    """

    decisions: int = 0
    exact: int = 0
    rounded: int = 0

    def count(self, exact: np.ndarray, rounded: np.ndarray) -> None:
        """Note a decision by the scores that it is made from, in both precisions."""
        self.decisions += 1
        self.exact += int((exact == exact.max()).sum() > 1)
        self.rounded += int((rounded == rounded.max()).sum() > 1)

    def add(self, more: "Ties") -> None:
        """Note those of further examples."""
        self.decisions += more.decisions
        self.exact += more.exact
        self.rounded += more.rounded

    def notes(self, dtype: str) -> dict[str, str]:
        """The shares that tie, for a cell's metadata; nothing where nothing was counted."""
        if not self.decisions:
            return {}
        return {
            f"ties_in_{dtype}": str(self.rounded / self.decisions),
            "ties_in_float32": str(self.exact / self.decisions),
        }


@dataclass
class CellResults:
    """Per-example results of a cell, one entry per example in each list.

    Attributes:
        logprobs: per example, the log-likelihood of each label or choice; None for generation
            and text.
        predicted: label or choice number, or the generated text; None for text.
        gold: what is right, in the same way; None for text.
        extra: further columns, one value per example.
        notes: about the cell as a whole, kept in its file's metadata.
        ties: among its decisions.
    """

    example_id: list[str] = field(default_factory=list)
    predicted: list[int | str | None] = field(default_factory=list)
    gold: list[int | str | None] = field(default_factory=list)
    logprobs: list[list[float] | None] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    extra: dict[str, list] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    ties: Ties = field(default_factory=Ties)

    @classmethod
    def of(
        cls,
        examples: Sequence[Mapping],
        prompts: Sequence[Prompt],
        predicted: list,
        logprobs: list,
        extra: dict[str, list] | None = None,
        ties: Ties | None = None,
    ) -> "CellResults":
        """Results of examples, by the prompts that stood for them."""
        return cls(
            example_id=[row["example_id"] for row in examples],
            predicted=predicted,
            gold=[row["gold"] for row in examples],
            logprobs=logprobs,
            prompt_tokens=[prompt.tokens for prompt in prompts],
            truncated=[prompt.truncated for prompt in prompts],
            extra=extra or {},
            ties=ties or Ties(),
        )

    def extend(self, more: "CellResults") -> None:
        """Append the results of the examples that come next."""
        for name in ("example_id", "predicted", "gold", "logprobs", "prompt_tokens", "truncated"):
            getattr(self, name).extend(getattr(more, name))
        self.ties.add(more.ties)
        for name, column in more.extra.items():
            self.extra.setdefault(name, []).extend(column)
