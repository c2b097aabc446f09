"""Write a study's results as LaTeX, in lm-evaluation-harness's layout, and as model cards."""

import json
from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(cells: Path, tables_dir: Path, about: Path, output_dir: Path) -> None:
    """Write latex/, lm_eval/ and model_cards/ under the output folder.

    Args:
        cells: cells.parquet
        tables_dir: folder of NAME.parquet
        about: JSON file: {"repository": ..., "license": ..., "settings": {arm: {...}}}
        output_dir: folder to write into
    """
    import polars as pl

    from ptft.analysis.csv_tables import without_empty
    from ptft.analysis.tables import TABLES
    from ptft.files import read_slice
    from ptft.report.export import AboutModels, harness_results, latex_table, model_card

    described = read_slice(about, AboutModels)
    table = pl.read_parquet(cells)
    for name in TABLES:
        filled = without_empty(pl.read_parquet(tables_dir / f"{name}.parquet"))
        text = latex_table(filled, f"Table {name} of study {table['study'][0]}.", f"tab:{name}")
        write(output_dir / "latex" / f"{name}.tex", text)
    models = table.select("checkpoint", "arm", "derived").unique().sort("checkpoint", "arm")
    for checkpoint, arm, derived in models.iter_rows():
        results = harness_results(table, checkpoint, arm)
        path = output_dir / "lm_eval" / results["model_name"] / "results.json"
        write(path, json.dumps(results, indent=2) + "\n")
        if arm != "base" and derived is None:  # of what is derived there is no model on disk
            details = described | {"settings": described["settings"].get(arm, {})}
            card = model_card(table, checkpoint, arm, details)
            write(output_dir / "model_cards" / checkpoint / arm / "README.md", card)


def write(path: Path, text: str) -> None:
    """Write text, making its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
