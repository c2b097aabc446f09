"""Put what the checks of a study counted into two tables, of its splits and of its prompts."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(
    plan: Path,
    checks: tuple[Path, ...],
    data: Path,
    tokenizer: Path,
    splits: Path,
    prompts: Path,
    language: str = "en",
) -> None:
    """Write both tables as parquet, CSV and page.

    Args:
        plan: the study's slice, JSON file
        checks: what each check counted, JSON files
        data: folder of prepared datasets
        tokenizer: the study's, as take_tokenizer.py left it
        splits: table of splits to write, parquet
        prompts: table of prompts to write, parquet
        language: of the pages
    """
    from ptft.analysis.csv_tables import write_csv
    from ptft.audit.tables import ABOUT, ChecksSlice, collect_checks
    from ptft.files import read_slice
    from ptft.language.translation import translator
    from ptft.report.table_page import table_page

    tables = collect_checks(read_slice(plan, ChecksSlice), checks, data, tokenizer)
    for table, path in zip(tables, (splits, prompts), strict=True):
        write_csv(table, path.with_suffix(".csv"))
        page = table_page(table, path.stem, ABOUT[path.stem], translator(language), language)
        path.with_suffix(".html").write_text(page, encoding="utf-8")
        table.write_parquet(path)


if __name__ == "__main__":
    raise SystemExit(main())
