"""Write the report's front page from the tables of a study."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line, read, write reStructuredText."""
    from ptft.language.translation import languages

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, type=Path, help="the resolved study")
    parser.add_argument("--cells", required=True, type=Path, help="cells.parquet")
    parser.add_argument(
        "--tables", required=True, type=Path, help="folder of NAME.parquet, missing.csv, costs.csv"
    )
    parser.add_argument(
        "--models", required=True, type=Path, help="folder of tuned models, for their records"
    )
    parser.add_argument("--records", type=Path, help="the same of models that were deleted")
    parser.add_argument("--figures", type=Path, help="folder of NAME.svg, shown in the page")
    parser.add_argument("--shown", nargs="+", help="figures of the report; default: all")
    parser.add_argument("--titles", type=Path, help="names as people write them, JSON file")
    parser.add_argument("--examples", default="", help="name of the page of examples, if any")
    parser.add_argument("--language", default="en", choices=languages())
    parser.add_argument("--output", required=True, type=Path)
    args = parser.parse_args(argv)

    import polars as pl
    import yaml

    from ptft.analysis.arms import shown
    from ptft.analysis.costs import SCHEMA
    from ptft.analysis.settings import Settings
    from ptft.analysis.tables import COMPARING, TABLES
    from ptft.figures import FIGURES
    from ptft.files.slice_files import read_slice
    from ptft.language.translation import translator
    from ptft.language.words import Words
    from ptft.report.deviations import deviations
    from ptft.report.front_page import FrontPage, front_page
    from ptft.report.hypothesis import hypothesis
    from ptft.report.provenance import audit_summary, provenance
    from ptft.report.rst import bullets, without_templates
    from ptft.report.trained import read_trained

    titles = read_slice(args.titles, dict[str, dict[str, str]]) if args.titles else {}
    words = Words(translator(args.language), titles)
    resolved = yaml.safe_load(args.study.read_text(encoding="utf-8"))
    study = resolved["study"]
    files = {name: args.tables / f"{name}.parquet" for name in TABLES}
    tables = {name: pl.read_parquet(path) for name, path in files.items() if path.exists()}
    file = args.tables / "arms.parquet"
    arms = pl.read_parquet(file) if file.exists() else None
    told = {
        name: table if name in COMPARING else shown(table, arms) for name, table in tables.items()
    }
    costs, missing = args.tables / "costs.csv", args.tables / "missing.csv"
    trained = read_trained(args.models, args.records)
    about = {"Deviations from the paper": bullets(deviations(resolved, trained, words))}
    audits = [args.tables / f"{name}.parquet" for name in ("audit_splits", "audit_prompts")]
    if all(path.exists() for path in audits):
        splits, prompts = map(pl.read_parquet, audits)
        about["Audit of labels and prompts"] = audit_summary(splits, prompts, trained, words)
    about["Where the numbers come from"] = provenance(resolved, words)
    pictures = sorted(args.figures.glob("*.svg")) if args.figures else []
    page = FrontPage(
        title=study["study"],
        description=study.get("description") or "",
        tables=told | {"cells": pl.read_parquet(args.cells)},
        arms=arms,
        costs=pl.read_csv(costs, schema=SCHEMA) if costs.exists() else None,
        # Released tables have no plan that a score could be missing from.
        missing=len(pl.read_csv(missing)) if missing.exists() else 0,
        settings=Settings(**study.get("analysis", {})),
        figures={f"{name}.svg": FIGURES[name].title for name in args.shown or FIGURES},
        pictures={path.stem: path.read_bytes() for path in pictures},
        examples=args.examples,
        hypothesis=hypothesis(study.get("hypothesis"), tables, words),
        about=about,
    )
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text(without_templates(front_page(page, words)), encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
