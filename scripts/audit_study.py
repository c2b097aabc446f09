"""Audit the data and the prompts of a study, before anything is trained on them."""

import sys
from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(
    plan: Path,
    data: Path,
    model: Path,
    splits: Path,
    prompts: Path,
    checkpoints: Path | None = None,
    language: str = "en",
) -> None:
    """Audit the data and the prompts of a study; a refusal ends in an error.

    Args:
        plan: the study's slice, JSON file
        data: folder of prepared datasets
        model: folder with the tokenizer
        splits: table of splits to write, parquet
        prompts: table of prompts to write, parquet
        checkpoints: JSON file: list of pins or folders to compare
        language: of the pages
    """
    from ptft.analysis.csv_tables import write_csv
    from ptft.audit.checkpoints import refuse_other_architectures
    from ptft.audit.study import ABOUT, AuditSlice, audit_study
    from ptft.files.slice_files import read_slice
    from ptft.hub.pins import refuse_twins
    from ptft.language.translation import translator
    from ptft.models.loading import load_model, load_tokenizer, wrap_model
    from ptft.report.table_page import table_page

    try:
        asked = read_slice(plan, AuditSlice)
        compared = read_slice(checkpoints, list[Path]) if checkpoints else []
        refuse_twins(compared, asked.get("same_weights", []))
        refuse_other_architectures(compared)
        # On the device meta the weights are compared with the architecture and not read.
        wrapped = wrap_model(load_model(model, device="meta"), load_tokenizer(model))
    except ValueError as error:
        sys.exit(f"error: {error}")
    tables = audit_study(asked, data, wrapped.tokenizer, wrapped.max_length)
    for table, path in zip(tables, (splits, prompts), strict=True):
        write_csv(table, path.with_suffix(".csv"))
        page = table_page(table, path.stem, ABOUT[path.stem], translator(language), language)
        path.with_suffix(".html").write_text(page, encoding="utf-8")
        table.write_parquet(path)


if __name__ == "__main__":
    raise SystemExit(main())
