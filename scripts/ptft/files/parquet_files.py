"""Parquet files that are whole or absent, with notes in their metadata."""

import os
from pathlib import Path

import polars as pl


def write_frame(frame: pl.DataFrame, file: Path, notes: dict[str, str]) -> None:
    """Write a Parquet file, notes in its metadata, by a rename: it is whole or absent."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.partial")
    frame.write_parquet(partial, metadata=notes)
    partial.replace(file)
