"""Write the page of a study, and findings.parquet and .csv beside its tables.

Args:
    output: the page, HTML
    shown: figures of the page; without, all
    wording: language and titles, JSON file
"""

from pathlib import Path
from typing import Annotated

import tyro

from ptft.figures import FIGURES
from ptft.language import use_wording
from ptft.report.page import StudyFiles, write_page
from ptft.runtime.programs import program


@program
def main(
    files: Annotated[StudyFiles, tyro.conf.arg(name="")],
    output: Path,
    shown: tuple[str, ...] = (),
    wording: Path | None = None,
) -> None:
    use_wording(wording)
    write_page(files, output, shown or list(FIGURES))
