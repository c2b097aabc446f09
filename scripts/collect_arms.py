"""Collect what fine-tuned models were trained with and how their training ended."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(
    study: Path, models: Path, output_dir: Path, records: Path | None = None, language: str = "en"
) -> None:
    """Collect what fine-tuned models were trained with: arms.parquet, .csv and .html.

    Args:
        study: slice of the study (checkpoints, arms), JSON
        models: folder of tuned models
        output_dir: folder to write into
        records: the same of models that were deleted
        language: of the page
    """
    from inspect import getdoc

    from ptft.analysis.tuned_models import ArmsSlice, arms
    from ptft.files import read_slice
    from ptft.language.translation import translator
    from ptft.report.table_page import write_table

    table = arms(read_slice(study, ArmsSlice), models, records)
    about = getdoc(arms) or ""
    write_table(table, output_dir / "arms.parquet", about, translator(language), language)


if __name__ == "__main__":
    raise SystemExit(main())
