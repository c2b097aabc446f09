"""The texts that training and evaluation are measured on, under the real tokenizer.

Four training sets, and the prompts of three tasks with 4 shots. They are read in the Hub's layout,
and can be taken along as token ids in one file.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY / "scripts"))

from ptft.models.loading import load_tokenizer  # noqa: E402
from ptft.prompts.encoding import Prompt  # noqa: E402
from ptft.prompts.tokens import label_tokens  # noqa: E402
from ptft.training.examples import Example, completion_examples, truncate  # noqa: E402

MAX_LENGTH = 2048
PROMPT_TASKS = ("mnli", "hellaswag", "xsum")
PROMPTS = 512
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


def read_evaluation_prompts(shared: Path) -> dict[str, list[Prompt]]:
    """Prompts with 4 shots; behind those of MNLI each label's first tokens, as in evaluation."""
    from evaluation_contestants import NLI_LABELS, encode, read_task
    from transformers import AutoConfig

    hub = real_data(shared)
    checkpoint = hub / "models/allenai/OLMo-1B-hf"
    tokenizer = load_tokenizer(checkpoint)
    length = AutoConfig.from_pretrained(checkpoint).max_position_embeddings
    first = label_tokens(tokenizer, NLI_LABELS)
    starts = [[token] for label in NLI_LABELS for token in first[label]]
    found = {}
    for name in PROMPT_TASKS:
        task = read_task(name, hub, PROMPTS)
        prompts = encode(tokenizer, length, task)
        if task.cell.kind == "classification":
            prompts = [replace(prompt, continuations=starts) for prompt in prompts]
        found[name] = prompts
    return found


def write_tokens(
    examples: dict[str, list[Example]], prompts: dict[str, list[Prompt]], path: Path
) -> None:
    """Write token ids: of examples with the number of learned ones at each end, of prompts."""
    arrays = {}
    for name, items in examples.items():
        _put(arrays, f"{name}.", [item.ids for item in items])
        arrays[f"{name}.targets"] = np.array([item.targets for item in items])
    for name, asked in prompts.items():
        _put(arrays, f"{name}.prompts.", [prompt.context for prompt in asked])
        ends = [ids for prompt in asked for ids in prompt.continuations]
        _put(arrays, f"{name}.ends.", ends)
        arrays[f"{name}.ends.counts"] = np.array([len(prompt.continuations) for prompt in asked])
        arrays[f"{name}.shots"] = np.array([prompt.shots for prompt in asked])
    np.savez_compressed(path, **arrays)


def _put(arrays: dict[str, np.ndarray], prefix: str, rows: Sequence[Sequence[int]]) -> None:
    """Put rows of ids end to end into one array, their lengths into another."""
    arrays[f"{prefix}ids"] = np.concatenate([*rows, []]).astype(np.int32)
    arrays[f"{prefix}lengths"] = np.array([len(row) for row in rows], dtype=np.int64)


def _rows(arrays: Mapping[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    """The reverse of :func:`_put`."""
    ends = np.cumsum(arrays[f"{prefix}lengths"])
    if not len(ends):
        return []
    return np.split(arrays[f"{prefix}ids"].astype(np.int64), ends[:-1])


def read_tokens(path: Path) -> dict[str, list[Example]]:
    """The examples that :func:`write_tokens` wrote."""
    arrays = np.load(path)
    return {
        name: [
            Example(str(number), ids, np.arange(len(ids)) >= len(ids) - targets)
            for number, (ids, targets) in enumerate(
                zip(_rows(arrays, f"{name}."), arrays[f"{name}.targets"], strict=True)
            )
        ]
        for name in TASKS
    }


def read_prompts(path: Path) -> dict[str, list[Prompt]]:
    """The prompts that :func:`write_tokens` wrote."""
    arrays = np.load(path)
    found = {}
    for name in PROMPT_TASKS:
        ends = iter(_rows(arrays, f"{name}.ends."))
        parts = (_rows(arrays, f"{name}.prompts."), arrays[f"{name}.ends.counts"],
                 arrays[f"{name}.shots"])  # fmt: skip
        found[name] = [
            Prompt(ids.tolist(), [next(ends).tolist() for _ in range(count)], int(shots), False)
            for ids, count, shots in zip(*parts, strict=True)
        ]
    return found
