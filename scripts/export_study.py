"""Write a finished study into one archive, from which it can be redrawn without a model.

Args:
    study: its name
    results: its folder
    files: files of that folder
    output: the archive
    models: tuned models, for their records
    records: the same of models that were deleted
"""

from pathlib import Path

from ptft.models.folder import TRAINING_SUMMARY
from ptft.paths import Results
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
) -> None:
    names = Results(study)
    packed = {file.relative_to(results).as_posix(): file for file in files}
    trained = Path(names.trained).relative_to(names.root)
    for folder in filter(None, (records, models)):  # what is there tells more than what was there
        for file in folder.glob(f"*/*/{TRAINING_SUMMARY}"):
            packed[(trained / file.relative_to(folder)).as_posix()] = file
    write_archive(study, packed, output)
