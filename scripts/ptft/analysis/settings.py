"""Settings of the analyses: choices that the scores do not determine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

# Fine-tuning shows the model no solved examples in the prompt.
TUNED_SHOTS = 0


@dataclass(frozen=True)
class Settings:
    """Choices shared by the analyses."""

    __pydantic_config__: ClassVar[dict] = {"extra": "forbid", "strict": True}

    format: str = "default"
    """Prompt format of all analyses except that of formats."""
    shots: int | None = None
    """Number of shots of the analyses. None: zero, as models were tuned, or, for a dataset with
    few such cells, the number of most of its cells."""
    formats: Literal["fixed", "random"] = "fixed"
    """Whether table `random_effects` takes the prompt formats as a sample of others."""
    datasets: Literal["fixed", "random"] = "fixed"
    """Whether table `random_effects` takes the datasets as a sample of others."""
    rise_margin: float = 0.10
    """A dataset is learned in pre-training if its base score rises by at least this much."""
    stop_margin: float = 0.02
    """Pre-training can stop once the tuned score is at most this much below the last one."""
    headroom_margin: float = 0.05
    """Forgetting is measured where the base score is above guessing by at least this much."""
    gain_margin: float = 0.01
    """Methods are compared at a gain this much below the smallest of their best gains."""
    level: float = 0.95
    """Confidence level of every interval and statement."""
    paper_groups: Mapping[str, str] = field(default_factory=dict)
    """Dataset -> `learned` or `not_learned`, as in a publication, for comparison."""
    paper_double_counted: list[str] = field(default_factory=list)
    """Datasets of ``paper_groups`` that the publication's mean counts twice."""
    transfer_datasets: list[str] = field(default_factory=list)
    """Datasets for measuring forgetting; empty: all."""

    def __post_init__(self) -> None:
        if not 0 < self.level < 1:
            raise ValueError(f"analysis setting 'level' is {self.level}, expected between 0 and 1")
        for name in ("rise_margin", "stop_margin", "headroom_margin", "gain_margin"):
            if getattr(self, name) < 0:
                raise ValueError(
                    f"analysis setting {name!r} is {getattr(self, name)}, expected 0 or more"
                )
