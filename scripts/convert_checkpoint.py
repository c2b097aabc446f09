"""Convert a native OLMo checkpoint (config.yaml, model.pt) to the Hub's layout."""

from pathlib import Path

from ptft.hub.native import convert
from ptft.runtime.programs import command_line


@command_line
def main(source: Path, tokenizer: Path, output: Path) -> None:
    """Convert a native OLMo checkpoint (config.yaml, model.pt) to the Hub's layout.

    Args:
        source: native checkpoint folder
        tokenizer: model folder with the tokenizer's files
        output: model folder to write
    """
    convert(source, tokenizer, output)


if __name__ == "__main__":
    raise SystemExit(main())
