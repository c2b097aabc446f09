"""Put what the checks of a study counted into two tables, of its splits and of its prompts.

Args:
    plan: the study's slice, JSON file
    checks: what each check counted, JSON files
    data: folder of prepared datasets
    tokenizer: the study's, as take_tokenizer.py left it
    splits: table of splits to write, parquet
    prompts: table of prompts to write, parquet
"""

from pathlib import Path

from ptft.runtime.programs import program


@program
def main(
    plan: Path,
    checks: tuple[Path, ...],
    data: Path,
    tokenizer: Path,
    splits: Path,
    prompts: Path,
) -> None:
    from ptft.analysis.csv_tables import write_table
    from ptft.audit.tables import ChecksSlice, collect_checks
    from ptft.files import read_slice

    tables = collect_checks(read_slice(plan, ChecksSlice), checks, data, tokenizer)
    for table, path in zip(tables, (splits, prompts), strict=True):
        write_table(table, path)
