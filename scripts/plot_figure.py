"""Draw one figure from the tables of a study."""

from collections.abc import Sequence
from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(
    figure: str,
    tables_dir: Path,
    svg: Path,
    png: Path,
    titles: Path | None = None,
    language: str = "en",
    axis: str = "index",
    arms: Path | None = None,
    overlay: str | None = None,
    overlay_dir: Path | None = None,
) -> None:
    """Draw one figure from the tables of a study.

    Args:
        figure: its name
        tables_dir: folder of NAME.parquet
        svg: file to write
        png: file to write
        titles: names as people write them, JSON file
        language: of the figure
        axis: of the checkpoints: index, step or tokens
        arms: arms.parquet, for which settings are drawn
        overlay: name of a study that is laid over the figure
        overlay_dir: folder of its NAME.parquet
    """
    import polars as pl

    from ptft import language as said
    from ptft.figures import FIGURES, Overlay, draw
    from ptft.figures.style import save
    from ptft.files import read_slice

    def read(folder: Path, names: Sequence[str]) -> dict[str, pl.DataFrame]:
        return {name: pl.read_parquet(folder / f"{name}.parquet") for name in names}

    spec = FIGURES[figure]
    laid_over = None
    if overlay and overlay_dir and spec.overlaid:
        file = overlay_dir / "arms.parquet"
        other = pl.read_parquet(file) if file.exists() else None
        laid_over = Overlay(overlay, read(overlay_dir, [spec.overlaid]), other)
    trained = pl.read_parquet(arms) if arms else None
    names = read_slice(titles, dict[str, dict[str, str]]) if titles else {}
    said.use(language, names)
    drawn = draw(figure, read(tables_dir, spec.tables), axis, laid_over, trained)
    save(drawn, svg, png)


if __name__ == "__main__":
    raise SystemExit(main())
