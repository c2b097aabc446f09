"""Score every cell that is asked of a model and not in the store yet."""

import argparse
import logging
import sys
from pathlib import Path

from ptft.runtime.programs import quick_imports, run_program


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model folder")
    parser.add_argument("--checkpoint", type=Path, help="what the model is an adapter of, if it is")
    parser.add_argument("--data", type=Path, required=True, help="folder of prepared datasets")
    parser.add_argument("--plan", type=Path, required=True, help="what to score, JSON file")
    parser.add_argument("--store", type=Path, required=True, help="finished cells by key")
    parser.add_argument("--published", type=Path, required=True, help="record of the output")
    parser.add_argument("--output", type=Path, required=True, help="folder of the cells asked for")
    parser.add_argument(
        "--records", type=Path, help="gets the model's training records, where it is deleted"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    # Late, so that --help and a wrong command line answer at once.
    with quick_imports():
        import torch

        from ptft.evaluation.job import CellsFailed, EvaluationJob, evaluate
        from ptft.runtime.gpus import GpusMissing, require_leased_gpus

    paths = vars(args)
    torch.set_num_threads(paths.pop("threads"))
    try:
        require_leased_gpus()
        evaluate(EvaluationJob(**paths))
    except (GpusMissing, CellsFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, GpusMissing) else 1
    return 0


if __name__ == "__main__":
    run_program(main)
