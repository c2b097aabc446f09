"""Audit the data and the prompts of a study, before anything is trained on them."""

import argparse
import logging
import sys
from pathlib import Path

from ptft.analysis.csv_tables import write_csv
from ptft.audit.checkpoints import refuse_other_architectures
from ptft.audit.study import ABOUT, AuditSlice, audit_study
from ptft.audit.training import AuditError
from ptft.files.slice_files import read_slice
from ptft.hub.pins import refuse_twins
from ptft.language.translation import languages, translator
from ptft.report.table_page import table_page
from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, audit, write the two tables; a refusal ends in an error."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="the study's slice, JSON file")
    parser.add_argument("--data", type=Path, required=True, help="folder of prepared datasets")
    parser.add_argument("--model", type=Path, required=True, help="folder with the tokenizer")
    parser.add_argument(
        "--checkpoints", type=Path, help="JSON file: list of pins or folders to compare"
    )
    parser.add_argument("--splits", type=Path, required=True, help="table of splits, parquet")
    parser.add_argument("--prompts", type=Path, required=True, help="table of prompts, parquet")
    parser.add_argument("--language", default="en", choices=languages(), help="of the pages")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

    from ptft.models.loading import load_model, load_tokenizer, wrap_model

    try:
        plan = read_slice(args.plan, AuditSlice)
        checkpoints = read_slice(args.checkpoints, list[Path]) if args.checkpoints else []
        refuse_twins(checkpoints, plan.get("same_weights", []))
        refuse_other_architectures(checkpoints)
        # On the device meta the weights are compared with the architecture and not read.
        weightless = load_model(args.model, device="meta")
        model = wrap_model(weightless, load_tokenizer(args.model))
    except ValueError as error:
        sys.exit(f"error: {error}")
    try:
        splits, prompts = audit_study(plan, args.data, model.tokenizer, model.max_length)
    except AuditError as error:
        sys.exit(f"error: {error}")
    translate = translator(args.language)
    for table, path in ((splits, args.splits), (prompts, args.prompts)):
        write_csv(table, path.with_suffix(".csv"))
        page = table_page(table, path.stem, ABOUT[path.stem], translate, args.language)
        path.with_suffix(".html").write_text(page, encoding="utf-8")
        table.write_parquet(path)


if __name__ == "__main__":
    run_program(main)
