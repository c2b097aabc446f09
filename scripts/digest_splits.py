"""Note what the splits that models are scored on hold, in one small file for all of them."""

import json
from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(checks: Path, datasets: tuple[str, ...], output: Path) -> None:
    """Write the digest of each split, from the check of its dataset.

    Args:
        checks: folder of the checks
        datasets: names of those that are scored
        output: digests by split, JSON
    """
    digests = {
        f"{name}/{split}": digest
        for name in datasets
        for split, digest in json.loads((checks / f"{name}.json").read_text())["digests"].items()
    }
    output.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
