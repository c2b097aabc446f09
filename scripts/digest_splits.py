"""Note what prepared splits hold, in one small file that stands for all of them."""

import json
from pathlib import Path

from ptft.files.slice_files import read_slice
from ptft.models.folder import hash_files
from ptft.runtime.programs import command_line


@command_line
def main(splits: Path, data: Path, output: Path) -> None:
    """Write a digest for each prepared split.

    Args:
        splits: datasets and splits, JSON file
        data: folder of prepared datasets
        output: digests by split, JSON
    """
    names = [f"{dataset}/{split}" for dataset, split in read_slice(splits, list[list[str]])]
    digests = {name: hash_files([data / f"{name}.jsonl"]) for name in names}
    output.write_text(json.dumps(digests, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
