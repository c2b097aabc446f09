"""Copy the tokenizer of a checkpoint, for the checks of data; a refusal ends in an error.

Args:
    checkpoint: model folder
    output: JSON file; the tokenizer goes into a folder beside it
"""

import sys
from pathlib import Path

from ptft.runtime.programs import program


@program
def main(checkpoint: Path, output: Path) -> None:
    from ptft.audit.tokenizers import take_tokenizer

    try:
        take_tokenizer(checkpoint, output)
    except ValueError as error:
        sys.exit(f"error: {error}")
