"""Slices of a study as the files that programs read."""

import json
from pathlib import Path


def slice_file(path: Path, content: object) -> str:
    """Write a slice; its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return str(path)
