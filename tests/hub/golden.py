"""One prompt per dataset and format, kept as text that a person can read.

Long fields are shortened, so that the texts show the template and not the data. After a change
that is meant, ``python tests/hub/golden.py`` writes them again.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent / "golden"
REPOSITORY = Path(__file__).resolve().parents[2]
LONGEST = 160


def families() -> dict:
    """Every family of the library that has data outside the pocket world, checked."""
    from ptft.study.families import Family

    found = {}
    for path in sorted((REPOSITORY / "config/families").glob("*.yaml")):
        family = Family.model_validate(yaml.safe_load(path.read_text()))
        if not all(name.startswith("pocket") for name in family.datasets):
            found[path.stem] = family
    return found


def datasets() -> Iterator[tuple[str, object, str]]:
    """(family's name, family, dataset) of every dataset with prompts outside the pocket world."""
    for name, family in families().items():
        if family.kind == "text":
            continue
        for dataset in family.datasets:
            if not dataset.startswith("pocket"):
                yield name, family, dataset


def split(root: Path, family, dataset: str, use: str, limit: int | None = None):
    """Examples and audit of a split, prepared as the workflow does."""
    from raw_rows import read_raw

    from ptft.data.prepare import prepare
    from ptft.study.load import dump

    description = family.datasets[dataset]
    spec = {
        "kind": family.kind,
        "dataset": dump(description),
        "split": getattr(description.splits, use),
        "limit": limit,
        "seed": 42,
    }
    rows = read_raw(root.parent, dataset, spec["dataset"], spec["split"])
    return prepare(rows, spec, f"{dataset}-{use}")


def rendered(root: Path, family, dataset: str) -> str:
    """The first test example in every format, its answers below."""
    from ptft.prompts.templates import alternatives, gold_text

    example = split(root, family, dataset, "test")[0][0]
    example["fields"] = {name: _shortened(text) for name, text in example["fields"].items()}
    answers = example.get("choices") or family.labels or [gold_text(example)]
    parts = []
    for format_name, template in family.templates(dataset).items():
        pairs = alternatives(template, example, answers)
        for context in dict.fromkeys(context for context, _ in pairs):
            parts.append(f"===== {dataset}, format {format_name}: context\n{context}|\n")
    for answer, (_, end) in zip(answers, pairs, strict=True):
        mark = "gold" if answer == gold_text(example) else "other"
        parts.append(f"===== completion ({mark})\n{_shortened(end)}|\n")
    return "".join(parts)


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]} [{len(text) - LONGEST} more characters]"


def main() -> None:
    """Write all golden texts from real data; ends the program where there is none."""
    hub = Path(os.environ.get("PTFT_SHARED", REPOSITORY.parent / "shared"), "hub")
    if not hub.is_dir():
        sys.exit(f"error: no real data at {hub} (set PTFT_SHARED to the folder that holds hub/)")
    sys.path[:0] = [str(REPOSITORY / "scripts"), str(REPOSITORY / "tests/unit")]
    for _, family, dataset in datasets():
        if family.kind != "chat":
            text = rendered(hub, family, dataset)
            (FOLDER / f"{dataset}.txt").write_text(text)


if __name__ == "__main__":
    main()
