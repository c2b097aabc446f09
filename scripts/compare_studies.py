"""Put finished studies side by side: tables, figures and a page; nothing is trained or scored.

Args:
    studies: names of studies that were run in this folder
    output: folder to write into
    description: of the comparison, for the page
    language: of figures and pages: en, ja
"""

from pathlib import Path
from typing import Annotated

import tyro

from ptft.runtime.programs import program


@program
def main(
    studies: tyro.conf.Positional[tuple[str, ...]],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    description: str = "",
    language: str = "en",
) -> None:
    from ptft.tools.compare import compare_studies

    compare_studies(list(studies), output, description, language)
