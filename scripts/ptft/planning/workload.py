"""How much data the jobs of a study process: rows of its splits and tokens of their examples.

Counted once the study's data is prepared and audited, assumed before.
"""

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ptft.paths import POCKET, Results
from ptft.study.grid import Grid
from ptft.study.slices import split_slice

TOKENS = {"classification": 60, "multiple_choice": 100, "generation": 260, "chat": 800, "text": 500}
"""tokens of an example with its answer: means over the first 150 examples of each shipped dataset
under OLMo's tokenizer; for chat and text the reported lengths of TÜLU's mixture and C4"""
POCKET_TOKENS = 30
"""the same in the pocket world, whose audit counts 7 to 42"""
TRAIN_ROWS = 50_000
TEST_ROWS = {"classification": 9000, "multiple_choice": 2000, "generation": 6000, "text": 2000}
"""rows of a split if the study gives no size: about those of the shipped datasets' splits"""


@dataclass(frozen=True)
class Size:
    """Size of a prepared split."""

    rows: int
    tokens: float
    """mean of an example with its answer, without shots"""
    counted: bool
    """whether rows and tokens were counted; else one or both are assumed"""
    longest: int | None = None
    """tokens of the longest example, if counted"""


@dataclass(frozen=True)
class Workload:
    """Sizes of the splits of one study."""

    grid: Grid
    folder: Path = Path()
    """working directory of the study"""

    @cached_property
    def sizes(self) -> dict[tuple[str, str], Size]:
        """(dataset, split) -> size, for every split that is trained on or scored."""
        return {pair: self._size(*pair) for pair in self.grid.splits() if pair[1] != "shots"}

    @cached_property
    def _audit(self) -> dict[tuple[str, str], dict[str, str]]:
        """(dataset, split) -> its row of the study's audit."""
        file = self.folder / Results(self.grid.name).table("audit_splits", "csv")
        if not file.exists():
            return {}
        with file.open(newline="") as lines:
            return {(row["dataset"], row["split"]): row for row in csv.DictReader(lines)}

    def _size(self, dataset: str, split: str) -> Size:
        kind = self.grid.families[self.grid.family(dataset)].kind
        limit = split_slice(self.grid, dataset, split)["limit"]
        kept = self._kept(dataset, split)
        audited = self._audit.get((dataset, split), {})
        tokens, longest = (audited.get(f"tokens_{name}") for name in ("mean", "max"))
        counted = kept is not None and tokens is not None
        if kept is None:
            kept = limit or (TRAIN_ROWS if split == "train" else TEST_ROWS[kind])
        usual = POCKET_TOKENS if self.grid.study.root == POCKET else TOKENS[kind]
        return Size(
            min(kept, limit or kept),
            float(usual if tokens is None else tokens),
            counted,
            None if longest is None else int(longest),
        )

    def _kept(self, dataset: str, split: str) -> int | None:
        """Usable rows of a split, if it is prepared."""
        file = self.folder / Results(self.grid.name).split_audit(dataset, split)
        return json.loads(file.read_text()).get("kept") if file.exists() else None
