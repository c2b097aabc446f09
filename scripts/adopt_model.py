"""Adopt a tuned model of others: its files are linked, if it belongs to a checkpoint of the study.

Ends with status 2 for a model of another architecture or vocabulary.

Args:
    source: folder of whole weights or of an adapter
    checkpoint: that it was tuned from
    about: what the study says of it, JSON file
    output: folder of the arm's model
"""

import json
from functools import partial
from pathlib import Path

from ptft.runtime.programs import program


@partial(program, refuses=(ValueError,))
def main(source: Path, checkpoint: Path, about: Path, output: Path) -> None:
    from ptft.hub.adopt import adopt

    adopt(source, checkpoint, output, json.loads(about.read_text()))
