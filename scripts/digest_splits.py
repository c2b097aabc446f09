"""Note what the splits that models are scored on hold, in one small file for all of them."""

import json
from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(checks: tuple[Path, ...], output: Path) -> None:
    """Write the digest of each split, from the check of its dataset.

    Args:
        checks: of the datasets, JSON files
        output: digests by split, JSON
    """
    digests = {
        f"{check.stem}/{split}": digest
        for check in checks
        for split, digest in json.loads(check.read_text(encoding="utf-8"))["digests"].items()
    }
    output.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
