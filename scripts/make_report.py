"""Write the page of a study, and findings.parquet and .csv beside its tables.

Args:
    output: the page, HTML
    shown: figures of the page; without, all
    titles: names as people write them, JSON file
    language: of the page
"""

from pathlib import Path
from typing import Annotated

import tyro

from ptft import language as said
from ptft.figures import FIGURES
from ptft.files import read_slice
from ptft.report.page import StudyFiles, write_page
from ptft.runtime.programs import program


@program
def main(
    files: Annotated[StudyFiles, tyro.conf.arg(name="")],
    output: Path,
    shown: tuple[str, ...] = (),
    titles: Path | None = None,
    language: str = "en",
) -> None:
    said.use(language, read_slice(titles, dict[str, dict[str, str]]) if titles else {})
    write_page(files, output, shown or list(FIGURES))
