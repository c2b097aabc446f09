"""Write a pocket world to disk: the corpus as text, the datasets in the Hub's parquet layout."""

import logging
from pathlib import Path

import pyarrow
import pyarrow.parquet

from ptft.pocket.corpus import write_documents
from ptft.pocket.tasks import CHOICES, DATASETS, draw_dataset
from ptft.pocket.world import World

log = logging.getLogger(__name__)

# 1.7 M tokens: a full pre-training run reads them about three times.
DOCUMENTS = 70_000


def write_corpus(world: World, root: Path) -> Path:
    """Write `root/corpus.txt`, one document per line."""
    root.mkdir(parents=True, exist_ok=True)
    target = root / "corpus.txt"
    documents = write_documents(world, DOCUMENTS)
    target.write_text("\n".join(documents) + "\n", encoding="utf-8")
    log.info("%s: %d documents", target, len(documents))
    return target


def write_datasets(world: World, root: Path) -> list[Path]:
    """Write every dataset's splits below `root/datasets/pocket/`, as a Hub repository has them."""
    written = []
    for name in (*DATASETS, *CHOICES):
        for split, rows in draw_dataset(world, name).items():
            target = root / f"datasets/pocket/{name}/default/{split}-00000-of-00001.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), target)
            log.info("%s: %d rows", target, len(rows))
            written.append(target)
    return written
