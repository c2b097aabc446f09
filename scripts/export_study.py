"""Write a finished study into one archive, from which it can be redrawn without a model.

Args:
    study: its name
    results: its folder
    files: files of that folder
    output: the archive
    models: tuned models, for their records
    records: the same of models that were deleted
    about: what cards say of the models, JSON file; with it `export/model_cards` is written, too
"""

from pathlib import Path

import polars as pl

from ptft.files import read_slice
from ptft.models.folder import TRAINING_SUMMARY
from ptft.paths import Results
from ptft.report.export import AboutModels, write_cards
from ptft.runtime.programs import program
from ptft.study.finished import write_archive


@program
def main(
    study: str,
    results: Path,
    files: tuple[Path, ...],
    output: Path,
    models: Path | None = None,
    records: Path | None = None,
    about: Path | None = None,
) -> None:
    names, exports = Results(study), []
    if about:
        folder = results / Path(names.exported).relative_to(names.root)
        cells = pl.read_parquet(results / "tables/cells.parquet")
        write_cards(cells, read_slice(about, AboutModels), folder / "model_cards")
        exports = [file for file in folder.rglob("*") if file.is_file()]
    packed = {file.relative_to(results).as_posix(): file for file in (*files, *exports)}
    trained = Path(names.trained).relative_to(names.root)
    for folder in filter(None, (records, models)):  # what is there tells more than what was there
        for file in folder.glob(f"*/*/{TRAINING_SUMMARY}"):
            packed[(trained / file.relative_to(folder)).as_posix()] = file
    write_archive(study, packed, output)
