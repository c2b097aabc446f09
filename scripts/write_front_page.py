"""Write the report's front page from the tables of a study."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(
    study: Path,
    cells: Path,
    tables: Path,
    models: Path,
    output: Path,
    records: Path | None = None,
    figures: Path | None = None,
    shown: tuple[str, ...] = (),
    titles: Path | None = None,
    examples: str = "",
    language: str = "en",
) -> None:
    """Write the report's front page, reStructuredText.

    Args:
        study: the resolved study
        cells: cells.parquet
        tables: folder of NAME.parquet, missing.csv, costs.csv
        models: folder of tuned models, for their records
        output: the page
        records: the same of models that were deleted
        figures: folder of NAME.svg, shown in the page
        shown: figures of the report; without, all
        titles: names as people write them, JSON file
        examples: name of the page of examples, if any
        language: of the page
    """
    from ptft.figures import FIGURES, LINKED
    from ptft.files import read_slice
    from ptft.language.translation import translator
    from ptft.language.words import Words
    from ptft.report.rst import without_templates
    from ptft.report.study_page import StudyFiles, study_page

    names = read_slice(titles, dict[str, dict[str, str]]) if titles else {}
    words = Words(translator(language), names)
    files = StudyFiles(study, cells, tables, models, records, figures, examples=examples)
    output.parent.mkdir(parents=True, exist_ok=True)
    linked = {f"{name}.svg": LINKED[f"{name}.svg"] for name in shown or FIGURES}
    output.write_text(without_templates(study_page(files, linked, words)), encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
