"""Read the finished cells of a study: from tables that others released, or from an archive.

Args:
    reading: what is read, JSON file
    results: folder of the study
"""

from pathlib import Path

from ptft.runtime.programs import program


@program
def main(reading: Path, results: Path) -> None:
    from ptft.files import read_slice
    from ptft.study.finished import ArchivedCells, ReleasedCells

    read_slice(reading, ArchivedCells | ReleasedCells).read_into(results)
