"""Write the resolved study, YAML.

Args:
    study: the study, JSON file
    output: file to write
    pins: JSON file: list of the pins of what was fetched
"""

import json
from pathlib import Path

import yaml

from ptft.files import read_slice
from ptft.runtime.programs import program


@program
def main(study: Path, output: Path, pins: Path | None = None) -> None:
    files = read_slice(pins, list[Path]) if pins else []
    fetched = {str(path): json.loads(path.read_text()) for path in files}
    resolved = {**read_slice(study, dict), **({"fetched": fetched} if fetched else {})}
    output.write_text(yaml.safe_dump(resolved, sort_keys=False, allow_unicode=True, width=100))
