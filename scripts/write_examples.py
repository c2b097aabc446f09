"""Write the page of single examples: learned, forgotten, changed by format or remedy."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(
    cells: Path,
    arms: Path,
    plan: Path,
    settings: Path,
    titles: Path,
    evaluations: Path,
    data: Path,
    seed: int,
    output: Path,
    language: str = "en",
) -> None:
    """Write the page of single examples: learned, forgotten, changed by format or remedy.

    Args:
        cells: cells.parquet
        arms: arms.parquet
        plan: what is scored, JSON file
        settings: of the analyses, JSON file
        titles: names as people write them, JSON file
        evaluations: folder of the evaluations
        data: folder of prepared datasets
        seed: of the draws
        output: the page, HTML
        language: of the page
    """
    import polars as pl

    from ptft import language as said
    from ptft.analysis.examples import cells_reader, pick_examples
    from ptft.analysis.settings import Settings
    from ptft.evaluation.cells import EvaluationPlan, cells_of_plan
    from ptft.files import read_slice
    from ptft.report.examples import examples_data, examples_page

    asked = cells_of_plan(read_slice(plan, EvaluationPlan))
    labels = {cell.dataset: cell.labels for cell in asked}
    table = pl.read_parquet(cells)
    reader = cells_reader(table, evaluations, labels)
    chosen = read_slice(settings, Settings)
    picked = pick_examples(table, pl.read_parquet(arms), chosen, reader, seed)
    said.use(language, read_slice(titles, dict[str, dict[str, str]]))
    page = examples_page(examples_data(picked, asked, data), seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
