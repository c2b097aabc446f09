"""Real texts in the Hub's layout, as the families of the workflow prepare them."""

import os
import sys
from pathlib import Path

from frame import REPOSITORY

from ptft.data.mapping import used_columns
from ptft.data.prepare import prepare
from ptft.data.rows import read_rows
from ptft.evaluation.cells import CellRequest
from ptft.study.families import Dataset, Family
from ptft.study.load import LIBRARY, dump, read_families

SHARED = Path(os.environ.get("PTFT_SHARED", REPOSITORY.parent / "shared"))
SHOTS, NEW_TOKENS = 4, 60
FAMILIES = read_families([LIBRARY])[0]
FAMILIES["multiple_choice"].datasets["hellaswag"] = Dataset.model_validate(
    {
        "repository": "Rowan/hellaswag", "splits": {"test": "validation"},
        "formats": {"default": "{ctx}"}, "fields": {"ctx": "ctx"}, "choices": "endings",
        "answer": {"column": "label"},
    }
)  # fmt: skip
"""with its context as it stands, not cleaned as the harness does it"""


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


def _family(dataset: str) -> Family:
    return next(each for each in FAMILIES.values() if dataset in each.datasets)


def default_cell(dataset: str) -> CellRequest:
    """The cell of a dataset in its family's default format; no stop string shortens a text."""
    family = _family(dataset)
    labels = family.datasets[dataset].labels or family.labels
    return CellRequest(
        dataset, "default", SHOTS, family.kind, family.templates(dataset)["default"],
        tuple(labels) if labels else None,
        max_new_tokens=NEW_TOKENS if family.kind == "generation" else None,
    )  # fmt: skip


def examples(hub: Path, cell: CellRequest, split: str) -> list[dict]:
    """The rows of a split, or of a part of it (``train[:64]``), that have a gold answer."""
    description = dump(_family(cell.dataset).datasets[cell.dataset])
    rows = read_rows(hub, description, split, used_columns(description))
    asked = {"kind": cell.kind, "labels": cell.labels and list(cell.labels), "split": split,
             "dataset": description, "limit": None, "seed": 0}  # fmt: skip
    return prepare(rows, asked, cell.dataset)[0]
