"""Note digests of the splits that models are scored on, in one small file for all of them.

Args:
    checks: folder of the checks
    datasets: names of those that are scored
    output: digests by split, JSON
"""

import json
from pathlib import Path

from ptft.runtime.programs import program


@program
def main(checks: Path, datasets: tuple[str, ...], output: Path) -> None:
    digests = {
        f"{name}/{split}": digest
        for name in datasets
        for split, digest in json.loads((checks / f"{name}.json").read_text())["digests"].items()
    }
    output.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
