"""The texts that training is measured on, in the Hub's layout, under the real tokenizer."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from ptft.models.loading import load_tokenizer  # noqa: E402
from ptft.training.examples import Example, completion_examples, truncate  # noqa: E402

MAX_LENGTH = 2048
SHARED = Path(os.environ.get("PTFT_SHARED", REPOSITORY.parent / "shared"))


@dataclass(frozen=True)
class Task:
    """Where a task's training texts are, in the Hub's layout, and how they become prompts."""

    family: str
    file: str
    fields: tuple[str, ...]
    gold: str
    labels: tuple[str, ...] = ()


TASKS = {
    "mnli": Task(
        "nli", "nyu-mll/glue/mnli", ("premise", "hypothesis"), "label",
        ("entailment", "neutral", "contradiction"),
    ),
    "paws": Task(
        "paraphrase", "google-research-datasets/paws/labeled_final",
        ("sentence1", "sentence2"), "label", ("no", "yes"),
    ),
    "socialiqa": Task(
        "question_generation", "allenai/social_i_qa/question_generation",
        ("context", "answer"), "question",
    ),
    "xsum": Task("summarization", "EdinburghNLP/xsum/default", ("document",), "summary"),
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


def read_training_texts(shared: Path) -> dict[str, list[Example]]:
    """The four training sets as tokens, by the templates of config/families."""
    import yaml
    from pyarrow import parquet

    hub = real_data(shared)
    tokenizer = load_tokenizer(hub / "models/allenai/OLMo-1B-hf")
    found = {}
    for name, task in TASKS.items():
        family = yaml.safe_load((REPOSITORY / f"config/families/{task.family}.yaml").read_text())
        table = parquet.read_table(hub / f"datasets/{task.file}/train-00000-of-00001.parquet")
        rows = [
            {
                "example_id": str(number),
                "fields": {field: row[field] for field in task.fields},
                "gold": task.labels[int(row[task.gold])] if task.labels else row[task.gold],
            }
            for number, row in enumerate(table.to_pylist())
        ]
        examples = completion_examples(tokenizer, rows, family["formats"]["default"])
        found[name], _ = truncate(examples, MAX_LENGTH)
    return found
