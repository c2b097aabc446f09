"""Fine-tune a checkpoint.

Resumable: its state is kept under a lock, and removed when the finished model has been moved
to its place by one rename. Ends with status 143 after SIGTERM (state saved), 2 for input it
refuses, 1 if training fails.

Args:
    checkpoint: model folder to start from
    train: prepared examples, JSON lines; a second file: those that are replayed
    settings: JSON file: {"method": "full", "seed": 0, "template": "...", "settings": {...}}
    state: folder for resumable state
    output: folder of the finished model
    threads: CPU threads
    updates: folder in which the study keeps how a method's updates are computed on a GPU
    snapshots: points at which models are left on the way, beside the state: full=50,100
"""

import os
import sys
from functools import partial
from pathlib import Path

from ptft.runtime.programs import program, quick_imports


@partial(program, refuses=(ValueError,))
def main(
    checkpoint: Path,
    train: tuple[Path, ...],
    settings: Path,
    state: Path,
    output: Path,
    threads: int | None = None,
    updates: Path | None = None,
    snapshots: tuple[str, ...] = (),
) -> int:
    if len(train) > 2:
        raise ValueError(f"--train: found {len(train)} files, expected one or two")
    os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")  # torch reads it once
    with quick_imports():
        import torch

        from ptft.models import snapshots as points
        from ptft.runtime.gpus import require_leased_gpus
        from ptft.training.job import finetune, read_request
        from ptft.training.state import Interrupted

    if threads:
        torch.set_num_threads(threads)
    require_leased_gpus()
    files = dict(zip(("train", "replay"), train, strict=False))
    files |= {"checkpoint": checkpoint, "state": state, "output": output, "ways": updates}
    try:
        finetune(read_request(settings, points.read(snapshots), **files))
    except Interrupted as error:
        print(error, file=sys.stderr)
        return 143
    return 0
