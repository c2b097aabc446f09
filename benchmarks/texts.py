"""Real texts in the Hub's layout, as training examples and as cells to score."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from ptft.training.examples import Example, completion_examples, truncate  # noqa: E402

MAX_LENGTH = 2048
SHARED = Path(os.environ.get("PTFT_SHARED", REPOSITORY.parent / "shared"))


@dataclass(frozen=True)
class Source:
    """A dataset in the Hub's layout, and how its rows become examples."""

    family: str | None
    folder: str
    fields: tuple[str, ...]
    gold: str
    labels: tuple[str, ...] = ()
    choices: str | None = None

    @property
    def template(self) -> str:
        """The default format of its family; without one, its field alone."""
        import yaml

        if self.family is None:
            return f"{{{self.fields[0]}}}"
        file = REPOSITORY / f"config/families/{self.family}.yaml"
        return yaml.safe_load(file.read_text())["formats"]["default"]

    def examples(self, hub: Path, split: str) -> list[dict]:
        """The rows of a split that have a gold answer."""
        from pyarrow import parquet

        file = hub / f"datasets/{self.folder}/{split}-00000-of-00001.parquet"
        rows = [self._example(row) for row in parquet.read_table(file).to_pylist()]
        return [{"example_id": f"{split}-{n}", **row} for n, row in enumerate(rows) if row]

    def _example(self, row: dict) -> dict | None:
        gold = row[self.gold]
        if self.labels or self.choices:
            gold = int(gold)
            if gold < 0:
                return None
        if self.labels:
            gold = self.labels[gold]
        offered = {"choices": row[self.choices]} if self.choices else {}
        return {"fields": {name: row[name] for name in self.fields}, "gold": gold, **offered}


SOURCES = {
    "mnli": Source(
        "nli", "nyu-mll/glue/mnli", ("premise", "hypothesis"), "label",
        ("entailment", "neutral", "contradiction"),
    ),
    "paws": Source(
        "paraphrase", "google-research-datasets/paws/labeled_final",
        ("sentence1", "sentence2"), "label", ("no", "yes"),
    ),
    "socialiqa": Source(
        "question_generation", "allenai/social_i_qa/question_generation",
        ("context", "answer"), "question",
    ),
    "xsum": Source("summarization", "EdinburghNLP/xsum/default", ("document",), "summary"),
    "hellaswag": Source(
        None, "Rowan/hellaswag/default", ("ctx",), "label", choices="endings"
    ),
}  # fmt: skip


def real_data(shared: Path) -> Path:
    """The folder of real texts and the real tokenizer; ends the program where there is none."""
    hub = shared / "hub"
    if not hub.is_dir():
        sys.exit(
            f"error: no folder {hub}: this benchmark reads real texts and OLMo-1B's tokenizer, "
            "which do not come with the project, in the Hub's layout (hub/datasets/OWNER/NAME/"
            "CONFIG/SPLIT-00000-of-00001.parquet, hub/models/OWNER/NAME); name the folder that "
            "holds hub/ with --shared or PTFT_SHARED"
        )
    return hub


def training_examples(hub: Path, name: str, tokenizer) -> list[Example]:
    """A training set as tokens."""
    source = SOURCES[name]
    examples = completion_examples(tokenizer, source.examples(hub, "train"), source.template)
    return truncate(examples, MAX_LENGTH)[0]
