"""Make tables of the analyses from the cells of a study."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(
    cells: Path,
    output_dir: Path,
    replicates: Path | None = None,
    arms: Path | None = None,
    settings: Path | None = None,
    tables: tuple[str, ...] = (),
) -> None:
    """Make tables of the analyses: NAME.parquet and .csv for every table.

    Args:
        cells: cells.parquet
        output_dir: folder to write into
        replicates: paired bootstrap means of the cells; without, cells count as independent and
            normal with their standard error
        arms: arms.parquet, for what validation chooses
        settings: analysis settings, JSON file; without, the defaults
        tables: names of tables; without, all
    """
    import logging

    import polars as pl

    from ptft.analysis.csv_tables import write_table
    from ptft.analysis.scores import Scores
    from ptft.analysis.settings import Settings
    from ptft.analysis.tables import TABLES, make_table
    from ptft.analysis.tuned_models import with_chosen
    from ptft.files import read_slice

    chosen = read_slice(settings, Settings) if settings else Settings()
    scores = Scores.build(
        pl.read_parquet(cells), pl.scan_parquet(replicates) if replicates else None
    )
    if arms:
        scores = with_chosen(scores, pl.read_parquet(arms))
    for name in tables or TABLES:
        table = make_table(name, scores, chosen)
        write_table(table, output_dir / f"{name}.parquet")
        logging.info("%s: %d rows", name, len(table))


if __name__ == "__main__":
    raise SystemExit(main())
