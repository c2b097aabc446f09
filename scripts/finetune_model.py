"""Fine-tune a checkpoint: `finetune_model.py --help` names the files it reads and writes.

Resumable: state is kept in --state, under a lock, and removed when the finished model has been
moved to --output by one rename. Ends with status 143 after SIGTERM (state saved), 2 for input it
refuses, 1 if training fails.
"""

import argparse
import logging
import sys
from pathlib import Path

from ptft.runtime.programs import quick_imports, run_program


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="model folder to start from")
    parser.add_argument(
        "--train",
        type=Path,
        required=True,
        nargs="+",
        metavar="FILE",
        help="prepared examples, JSON lines; a second file: those that are replayed",
    )
    parser.add_argument(
        "--settings",
        type=Path,
        required=True,
        help='JSON file: {"method": "full", "seed": 0, "template": "...", "settings": {...}}',
    )
    parser.add_argument("--state", type=Path, required=True, help="folder for resumable state")
    parser.add_argument("--output", type=Path, required=True, help="folder of the finished model")
    parser.add_argument("--threads", type=int, help="CPU threads")
    arguments = parser.parse_args(argv)
    if len(arguments.train) > 2:
        parser.error(f"--train: found {len(arguments.train)} files, expected one or two")
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    arguments = parse_arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    # Late, so that --help and a wrong command line answer at once.
    with quick_imports():
        import torch

        from ptft.runtime.gpus import GpusMissing, require_leased_gpus
        from ptft.training.job import finetune
        from ptft.training.request import read_request
        from ptft.training.run import Diverged, OutOfMemory
        from ptft.training.state import Interrupted

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    paths = {key: getattr(arguments, key) for key in ("checkpoint", "state", "output")}
    try:
        paths |= dict(zip(("train", "replay"), arguments.train, strict=False))
        require_leased_gpus()
        finetune(read_request(arguments.settings, **paths))
    except (ValueError, GpusMissing) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (Diverged, OutOfMemory, OSError) as error:  # OSError: a full disk, say
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as error:
        print(error, file=sys.stderr)
        return 143
    return 0


if __name__ == "__main__":
    run_program(main)
