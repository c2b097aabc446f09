"""Note what prepared splits hold, in one small file that stands for all of them."""

import argparse
import json
from pathlib import Path

from ptft.files.slice_files import read_slice
from ptft.models.folder import hash_files
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, write a digest for each split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=Path, required=True, help="datasets and splits, JSON file")
    parser.add_argument("--data", type=Path, required=True, help="folder of prepared datasets")
    parser.add_argument("--output", type=Path, required=True, help="digests by split, JSON")
    args = parser.parse_args(argv)
    names = [f"{dataset}/{split}" for dataset, split in read_slice(args.splits, list[list[str]])]
    digests = {name: hash_files([args.data / f"{name}.jsonl"]) for name in names}
    args.output.write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    run_program(main)
