"""Take the tokenizer of a checkpoint for the checks of data, and note what decides them."""

import sys
from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(checkpoint: Path, output: Path) -> None:
    """Look at a checkpoint and copy its tokenizer; a refusal ends in an error.

    Args:
        checkpoint: model folder
        output: JSON file; the tokenizer goes into a folder beside it
    """
    from ptft.audit.tokenizers import take_tokenizer

    try:
        take_tokenizer(checkpoint, output)
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    raise SystemExit(main())
