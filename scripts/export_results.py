"""Write a study's results as LaTeX, in lm-evaluation-harness's layout, and as model cards."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> None:
    """Parse the command line; write latex/, lm_eval/ and model_cards/ under the output folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", required=True, type=Path, help="cells.parquet")
    parser.add_argument("--tables-dir", required=True, type=Path, help="folder of NAME.parquet")
    parser.add_argument(
        "--about", required=True, type=Path,
        help='JSON file: {"repository": ..., "license": ..., "settings": {arm: {...}}}',
    )  # fmt: skip
    parser.add_argument("--output-dir", required=True, type=Path)
    args = parser.parse_args(argv)

    import polars as pl

    from ptft.analysis.csv_tables import without_empty
    from ptft.analysis.tables import TABLES
    from ptft.files.slice_files import read_slice
    from ptft.report.export import AboutModels, harness_results, latex_table, model_card

    about = read_slice(args.about, AboutModels)
    cells = pl.read_parquet(args.cells)
    for name in TABLES:
        table = pl.read_parquet(args.tables_dir / f"{name}.parquet")
        text = latex_table(
            without_empty(table), f"Table {name} of study {cells['study'][0]}.", f"tab:{name}"
        )
        write(args.output_dir / "latex" / f"{name}.tex", text)
    models = cells.select("checkpoint", "arm", "derived").unique().sort("checkpoint", "arm")
    for checkpoint, arm, derived in models.iter_rows():
        results = harness_results(cells, checkpoint, arm)
        path = args.output_dir / "lm_eval" / results["model_name"] / "results.json"
        write(path, json.dumps(results, indent=2) + "\n")
        if arm != "base" and derived is None:  # of what is derived there is no model on disk
            details = about | {"settings": about["settings"].get(arm, {})}
            card = model_card(cells, checkpoint, arm, details)
            write(args.output_dir / "model_cards" / checkpoint / arm / "README.md", card)


def write(path: Path, text: str) -> None:
    """Write text, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_program(main)
