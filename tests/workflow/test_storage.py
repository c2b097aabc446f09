"""A finished study is verified, each damage is named; what may go is deleted, and nothing else."""

import json
import os
from pathlib import Path

import yaml

import clean_study
import verify_study
from ptft.evaluation import cells
from ptft.evaluation.records import recorded_cells
from ptft.runtime.locks import lock_study
from ptft.study import read_study
from ptft.tools.verify import Verification

ROOT = "results/tiny"
CELL = f"{ROOT}/evaluations/step4/base/pocket_nli.default.0shot.parquet"
RECORD = f"{ROOT}/state/scored/step4/base.json"
NOTHING = '{"slice": null, "cells": {}}'
TUNED = f"{ROOT}/models/step16/full.pocket_nli.s0"


def asked(clone) -> list[str]:
    return ["--configfile", str(clone.root / "study.yaml"), "--directory", str(clone.root)]


def found(clone) -> list[str]:
    """Findings, a line each."""
    file = clone.root / "study.yaml"
    grid = read_study(yaml.safe_load(file.read_text()), [file], clone.root / "config")
    cells._hash_splits.cache_clear()
    return [str(finding) for finding in Verification(grid, clone.root).findings()]


def rewrite(file: Path, content: bytes) -> None:
    """Replace a file, which may be a link that other tests share."""
    draft = file.with_name("draft")
    draft.write_bytes(content)
    os.replace(draft, file)


def stored(clone) -> Path:
    key = recorded_cells(clone.root / RECORD)[Path(CELL).name]
    return clone.root / ROOT / "state/cells" / f"{key}.parquet"


def cut(file: Path) -> None:
    rewrite(file, file.read_bytes()[:-100])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    rewrite(file, bytes(content))


def unlisted(file: Path) -> None:
    record = json.loads(file.read_text())
    del record["cells"][Path(CELL).name]
    rewrite(file, json.dumps(record).encode())


def add(file: Path) -> None:
    file.write_text("?")


# What is damaged, how, and what is said: of which file, and in which words.
DAMAGES = [
    (CELL, cut, CELL, "can't be read"),
    (CELL, Path.unlink, CELL, f"{RECORD}, then rerun snakemake"),
    (RECORD, Path.unlink, RECORD, "was not scored to its end; rerun snakemake"),
    (RECORD, unlisted, RECORD, f"does not list {Path(CELL).name}"),
    (RECORD, cut, RECORD, "is no record"),
    (f"{TUNED}/model.safetensors", flip, TUNED, "is not the model whose cells"),
    (f"{TUNED}/training.json", Path.unlink, TUNED, "has no finished model"),
    (f"{ROOT}/datasets/pocket_nli/test.jsonl", flip, RECORD, "other data or settings than those"),
    (f"{CELL}.old", add, f"{CELL}.old", "is not among the cells of"),
    (f"{ROOT}/tables/cells.parquet", cut, f"{ROOT}/tables/cells.parquet", "can't be read"),
]


def test_each_damage_is_found_and_a_healthy_study_has_none(finished, capsys):
    assert verify_study.main(asked(finished)) == 0
    assert capsys.readouterr().out == "tiny: no findings\n"
    for place, damage, said_of, words in DAMAGES:
        file = finished.root / place
        whole = file.read_bytes() if file.exists() else None
        damage(file)
        lines = [
            line for line in found(finished) if line.startswith(f"{finished.root / said_of}: ")
        ]
        assert lines and words in lines[0], (place, words, lines)
        if whole is None:
            file.unlink()
        else:
            rewrite(file, whole)
        assert found(finished) == [], place
    other = stored(finished)
    whole = other.read_bytes()
    other.unlink()
    [line] = found(finished)
    assert line.startswith(f"{other}: is not there, the cell of {finished.root / CELL}; remove ")
    rewrite(other, whole + b"?")
    assert any("is another one than" in line for line in found(finished))
    other.unlink()
    assert verify_study.main(asked(finished)) == 1
    assert capsys.readouterr().out.endswith("tiny: 1 finding\n")


def test_what_may_go_is_listed_then_deleted_and_nothing_is_planned(finished, capsys):
    root = finished.root / ROOT
    planted = [
        root / "state/finetune/step4/full.pocket_nli.s0/state.pt",
        root / "models/step4/full.dropped.s0/model.safetensors",
        root / "evaluations/step4/full.dropped.s0/x.default.0shot.parquet",
        root / "evaluations/step4/base/dropped.default.0shot.parquet",
        root / "state/scored/step4/full.dropped.s0.json",
        root / f"state/cells/{'0' * 64}.parquet",
        finished.root / "resources/models/other/main/model.safetensors",
        finished.root / "resources/models/other/main.pin.json",
    ]
    for file in planted:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(NOTHING if file.suffix == ".json" else "x" * 2**20)
    kept = {path for path in finished.root.rglob("*") if path.is_file()}
    assert clean_study.main(asked(finished)) == 0
    said = capsys.readouterr().out
    for kind in ("states", "models", "cells", "collected", "logs", "fetched"):
        assert f"\n{kind} " in f"\n{said}"
    assert "`--delete` deletes it" in said
    assert {path for path in finished.root.rglob("*") if path.is_file()} == kept
    assert clean_study.main([*asked(finished), "--only", "models", "--delete"]) == 0
    assert "in all 0.001 GiB" in capsys.readouterr().out
    assert not planted[1].parent.exists() and planted[0].exists()
    assert clean_study.main([*asked(finished), "--delete"]) == 0
    assert [file for file in planted if file.exists()] == []
    assert found(finished) == []
    assert "Nothing to be done" in finished.snakemake("-n")
    capsys.readouterr()
    assert clean_study.main(asked(finished)) == 0
    assert "tiny: nothing to delete" in capsys.readouterr().out


def test_a_study_at_work_loses_nothing(finished, capsys):
    held = lock_study(finished.root / ROOT)
    assert clean_study.main([*asked(finished), "--delete"]) == 1
    assert "another Snakemake" in capsys.readouterr().err
    assert (finished.root / ROOT / "logs").exists()
    held.close()
