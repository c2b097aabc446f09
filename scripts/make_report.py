"""Write the page of a study, and findings.parquet and .csv beside its tables.

Args:
    study: the resolved study
    tables: folder of cells.parquet, NAME.parquet, missing.csv, costs.csv
    figures: folder of NAME.svg
    output: the page, HTML
    shown: figures of the page; without, all
    records: folders of tuned models' records, the more recent last
    beside: pages in the folder of the output, to be linked: examples, comparison
    scored: folder of scored models' records
    updates: folder of how each method's updates are computed on a GPU
    titles: names as people write them, JSON file
    language: of the page
"""

from pathlib import Path

from ptft.runtime.programs import program


@program
def main(
    study: Path,
    tables: Path,
    figures: Path,
    output: Path,
    shown: tuple[str, ...] = (),
    records: tuple[Path, ...] = (),
    beside: tuple[Path, ...] = (),
    scored: Path | None = None,
    updates: Path | None = None,
    titles: Path | None = None,
    language: str = "en",
) -> None:
    from ptft import language as said
    from ptft.figures import FIGURES
    from ptft.files import read_slice
    from ptft.report.page import StudyFiles, write_page

    said.use(language, read_slice(titles, dict[str, dict[str, str]]) if titles else {})
    pages = {page.stem: page.name for page in beside}
    files = StudyFiles(study, tables, figures, records, pages, scored, updates)
    write_page(files, output, shown or list(FIGURES))
