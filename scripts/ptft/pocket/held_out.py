"""Text of the pocket world for models to be scored on, none of it in what they are trained on."""

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from ptft.pocket.corpus import write_documents
from ptft.pocket.world import World

log = logging.getLogger(__name__)

# Documents of each split; those of the train split are for whoever mixes text into fine-tuning.
SPLITS = {"train": 2000, "test": 500}


def held_out_documents(world: World, corpus: Iterable[str]) -> dict[str, list[str]]:
    """Documents of each split, the same for the same world, from a stream of their own.

    Those that are in the corpus as well, word for word, are left out, and so are repetitions.
    """
    fresh = _fresh(world, set(corpus))
    return {split: [next(fresh) for _ in range(count)] for split, count in SPLITS.items()}


def _fresh(world: World, seen: set[str]) -> Iterator[str]:
    # Of world 0, one in seven documents was drawn before; three times as many are more than enough.
    for document in write_documents(world, 3 * sum(SPLITS.values()), stream="text"):
        if document not in seen:
            seen.add(document)
            yield document


def write_held_out(world: World, corpus: Iterable[str], folder: Path) -> None:
    """Write `folder/SPLIT.jsonl`, an object with the column `text` a line."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, documents in held_out_documents(world, corpus).items():
        lines = "".join(json.dumps({"text": text}) + "\n" for text in documents)
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
        log.info("%s: %d documents", folder / f"{split}.jsonl", len(documents))
