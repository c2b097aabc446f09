"""Write a finished study into one archive, from which it can be redrawn without a model."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(
    study: str,
    results: Path,
    files: tuple[Path, ...],
    output: Path,
    models: Path | None = None,
    records: Path | None = None,
) -> None:
    """Write a finished study into one archive, from which it can be redrawn without a model.

    Args:
        study: its name
        results: its folder
        files: files and folders of that folder
        output: the archive
        models: tuned models, for their records
        records: the same of models that were deleted
    """
    from ptft.models.folder import TRAINING_SUMMARY
    from ptft.paths import Results
    from ptft.study.finished import write_archive

    packed = {
        file.relative_to(results).as_posix(): file
        for part in files
        for file in (part.rglob("*") if part.is_dir() else [part])
        if file.is_file()
    }
    trained = Path(Results(study).trained).relative_to(Results(study).root)
    for folder in (records, models):  # what is there tells more than what was there
        for file in folder.glob(f"*/*/{TRAINING_SUMMARY}") if folder else ():
            packed[(trained / file.relative_to(folder)).as_posix()] = file
    write_archive(study, packed, output)


if __name__ == "__main__":
    raise SystemExit(main())
