"""Write a finished study into one archive, from which it can be redrawn without a model."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, write the archive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="its name")
    parser.add_argument("--results", required=True, type=Path, help="its folder")
    parser.add_argument(
        "--files", required=True, nargs="+", type=Path, help="files and folders of that folder"
    )
    parser.add_argument("--models", type=Path, help="tuned models, for their records")
    parser.add_argument("--records", type=Path, help="the same of models that were deleted")
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args(argv)

    from ptft.models.folder import TRAINING_SUMMARY
    from ptft.paths import Results
    from ptft.study.finished import write_archive

    files = {
        file.relative_to(args.results).as_posix(): file
        for part in args.files
        for file in (part.rglob("*") if part.is_dir() else [part])
        if file.is_file()
    }
    trained = Path(Results(args.study).trained).relative_to(Results(args.study).root)
    for folder in (args.records, args.models):  # what is there tells more than what was there
        for file in folder.glob(f"*/*/{TRAINING_SUMMARY}") if folder else ():
            files[(trained / file.relative_to(folder)).as_posix()] = file
    write_archive(args.study, files, args.output)


if __name__ == "__main__":
    run_program(main)
