"""Tell what the texts are like that checkpoints wrote for their replay, as parquet and CSV.

Args:
    texts: of checkpoints, CHECKPOINT/NAME.jsonl
    output: table to write, parquet
"""

from pathlib import Path

from ptft.runtime.programs import program


@program
def main(texts: tuple[Path, ...], output: Path) -> None:
    import polars as pl

    from ptft.analysis.csv_tables import write_table
    from ptft.data.jsonl import read_all
    from ptft.training.self_text import quality

    rows = [
        {"checkpoint": file.parent.name, "text": file.stem, **quality(read_all(file))}
        for file in texts
    ]
    write_table(pl.DataFrame(rows), output)
