"""Put finished studies side by side in tables and figures; nothing is trained or scored.

Args:
    studies: names of studies that were run in this folder
    output: folder to write into
    language: of figures: en, ja
"""

from pathlib import Path
from typing import Annotated

import tyro

from ptft.runtime.programs import program


@program
def main(
    studies: tyro.conf.Positional[tuple[str, ...]],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    language: str = "en",
) -> None:
    from ptft.tools.compare import compare_studies

    compare_studies(studies, output, language)
