"""Collect what fine-tuned models were trained with: arms.parquet and .csv.

Args:
    study: slice of the study (checkpoints, arms), JSON
    models: folder of tuned models
    output_dir: folder to write into
    records: the same of models that were deleted
"""

from pathlib import Path

from ptft.runtime.programs import program


@program
def main(study: Path, models: Path, output_dir: Path, records: Path | None = None) -> None:
    from ptft.analysis.csv_tables import write_table
    from ptft.analysis.tuned_models import ArmsSlice, arms
    from ptft.files import read_slice

    table = arms(read_slice(study, ArmsSlice), models, records)
    write_table(table, output_dir / "arms.parquet")
