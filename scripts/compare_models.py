"""Write the page on which any two models are compared, from the cells of a study."""

from dataclasses import replace
from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(
    cells: Path,
    replicates: Path,
    evaluations: Path,
    suspicious: Path,
    settings: Path,
    titles: Path,
    output: Path,
    arms: Path | None = None,
    language: str = "en",
) -> None:
    """Write the page on which any two models are compared.

    Args:
        cells: cells.parquet
        replicates: their paired draws
        evaluations: folder of cells' files
        suspicious: suspicious.parquet
        settings: of the analysis, JSON file
        titles: names as people write them, JSON file
        output: the page, HTML
        arms: arms.parquet, for what validation chooses
        language: of the page
    """
    import polars as pl

    from ptft import language as said
    from ptft.analysis.model_pairs import model_pairs, paired_wins
    from ptft.analysis.scores import Scores
    from ptft.analysis.settings import Settings
    from ptft.analysis.tables.learning import hidden_labels
    from ptft.analysis.tuned_models import with_chosen
    from ptft.files import read_slice
    from ptft.report.comparison import comparison_page

    chosen = read_slice(settings, Settings)
    said.use(language, read_slice(titles, dict[str, dict[str, str]]))
    table = pl.read_parquet(cells)
    scores = Scores.build(table, pl.scan_parquet(replicates))
    trained = pl.read_parquet(arms) if arms else None
    if trained is not None:
        scores = with_chosen(scores, trained)
    found = model_pairs(scores, chosen)
    found = replace(found, pairs=paired_wins(found, table, evaluations, trained))
    hidden = hidden_labels(pl.read_parquet(suspicious))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(comparison_page(found, hidden, chosen.level), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
