"""What scoring a cell gives: per-example results, and notes about the cell as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ptft.prompts.encoding import Prompt


@dataclass
class CellResults:
    """Per-example results of a cell, one entry per example in each list.

    Attributes:
        logprobs: per example, the log-likelihood of each label or choice; None for generation.
        predicted: label or choice number, or the generated text.
        extra: further columns, one value per example.
        notes: about the cell as a whole, kept in its file's metadata.
    """

    example_id: list[str] = field(default_factory=list)
    predicted: list[int | str] = field(default_factory=list)
    gold: list[int | str] = field(default_factory=list)
    logprobs: list[list[float] | None] = field(default_factory=list)
    prompt_tokens: list[int] = field(default_factory=list)
    truncated: list[bool] = field(default_factory=list)
    extra: dict[str, list] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        examples: Sequence[Mapping],
        prompts: Sequence[Prompt],
        predicted: list,
        logprobs: list,
        extra: dict[str, list] | None = None,
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
        )

    def extend(self, more: "CellResults") -> None:
        """Append the results of the examples that come next."""
        for name in ("example_id", "predicted", "gold", "logprobs", "prompt_tokens", "truncated"):
            getattr(self, name).extend(getattr(more, name))
        for name, column in more.extra.items():
            self.extra.setdefault(name, []).extend(column)
