"""The preview of a study in progress: what is there, with its holes, and nothing else touched."""

import re
from pathlib import Path

import polars as pl
import pytest

import preview_study
from ptft.analysis.first_tables import NothingYetError
from ptft.evaluation.records import write_cells_record
from ptft.paths import Results
from ptft.runtime.locks import lock_study
from ptft.tools.preview import Preview


def score(grid, folder: Path, checkpoint: str, arm: str, recorded: bool = True) -> None:
    """Put the cells of a model in place, half of the answers right."""
    results = Results(grid.name)
    for number, (dataset, format_name, shots) in enumerate(grid.scores()):
        file = folder / results.cell(checkpoint, arm, dataset, format_name, shots)
        file.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame(
            {
                "example_id": [f"{dataset}-{i}" for i in range(20)],
                "prediction": ["yes"] * 20,
                "gold": ["yes", "no"] * 10,
                "score": [1.0, 0.0] * 10,
                "logprobs": [[-1.0, -2.0]] * 20,
                "prompt_tokens": [10 + number] * 20,
                "truncated": [False] * 20,
            }
        ).write_parquet(file)
    if recorded:
        write_cells_record({}, folder / results.scored_model(checkpoint, arm))


def files_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files but those of the preview: time and content."""
    return {
        str(file.relative_to(folder)): (file.stat().st_mtime_ns, file.read_bytes())
        for file in folder.rglob("*")
        if file.is_file() and "/preview/" not in str(file)
    }


@pytest.mark.slow
def test_a_study_at_work_is_shown_and_not_touched(grid, repository, tmp_path, capsys, monkeypatch):
    score(grid, tmp_path, "step4", "base")
    score(grid, tmp_path, "step4", "full.pocket_nli.s0")
    score(grid, tmp_path, "step16", "base", recorded=False)  # of a run before
    held = lock_study(tmp_path / Results(grid.name).root)  # as the main process does
    before = files_in(tmp_path)
    study = str(repository / "tests/studies/cluster.yaml")
    assert preview_study.main(["--configfile", study, "--directory", str(tmp_path)]) == 0
    page = Preview(grid, tmp_path).page
    assert capsys.readouterr().out == f"4 of 12 cells: {page}\n"
    assert files_in(tmp_path) == before
    assert not held.closed
    text = page.read_text(encoding="utf-8")
    assert re.search(r"In progress: 4 / 12 scores, \d{4}-\d\d-\d\d \d\d:\d\d\.", text)
    assert "full.pocket_nli.s1: 0 / 2 checkpoints, 0 / 4 scores" in text
    assert (page.parent / "tables/findings.csv").is_file()
    # Another model is there: what was read of the first is not read again.
    part = page.parent / "collected/step4/base.parquet"
    first = part.stat().st_mtime_ns
    monkeypatch.setattr("ptft.tools.preview.draw_figures", lambda *_, kinds: None)
    score(grid, tmp_path, "step4", "full.pocket_nli.s1")
    assert Preview(grid, tmp_path).make() == (6, 12)
    assert part.stat().st_mtime_ns == first
    assert "In progress: 6 / 12 scores" in page.read_text(encoding="utf-8")


def test_a_study_without_scores_is_told(grid, tmp_path):
    with pytest.raises(NothingYetError, match="none of the study's 12 cells is there yet"):
        Preview(grid, tmp_path).make()
