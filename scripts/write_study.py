"""Write the resolved study beside its results: everything that decided them, in one file."""

import json
from pathlib import Path

import yaml

from ptft.files import read_slice
from ptft.runtime.programs import command_line


@command_line
def main(study: Path, output: Path, pins: Path | None = None) -> None:
    """Write the resolved study, YAML.

    Args:
        study: the study, JSON file
        output: file to write
        pins: JSON file: list of the pins of what was fetched
    """
    files = read_slice(pins, list[Path]) if pins else []
    fetched = {str(path): json.loads(path.read_text()) for path in files}
    resolved = {**read_slice(study, dict), **({"fetched": fetched} if fetched else {})}
    output.write_text(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True, width=100))


if __name__ == "__main__":
    raise SystemExit(main())
