"""Every study in config/, started as a new user would: in a bare clone, without a network.

`published` is run to its end in test_published_study.py; the others need a model, and are planned.
"""

from pathlib import Path

import pytest

from ptft.figures import drawn_together, figures_of

from .conftest import make_clone

TABLES_ON = {
    "all": 1,
    "analyse_cells": 1,
    "compare_models": 1,
    "make_report": 1,
    "write_study": 1,
}


def drawn(has):
    """Jobs that draw the figures of a study that has these."""
    return {f"plot_{module}": 1 for module in drawn_together(figures_of(has.split()))}


def grid(checkpoints, arms, splits, fetched, has, checks):
    """Jobs of a study: tuned arms per checkpoint, prepared splits, splits from the Hub, figures.

    Args:
        checks: of data that is scored, of trainings.
    """
    pins = checkpoints + fetched
    scored, trained = checks
    return (
        TABLES_ON
        | drawn(f"examples {has}")
        | {
            "check_scored": scored,
            "check_trained": trained,
            "collect_checks": 1,
            "take_tokenizer": 1,
            "collect_cells": 1,
            "digest_splits": 1,
            "evaluate_model": checkpoints * (1 + arms),
            "finetune_model": checkpoints * arms,
            "prepare_split": splits,
            "write_examples": 1,
            **({"resolve_pins": 1, "fetch_pin": pins} if fetched else {}),
        }
    )


PLANS = {
    "llama3-8b": grid(1, 4, 41, 28, "formats", (24, 4)),
    "olmo-1b": grid(8, 5, 42, 29, "formats", (24, 5)),
    "overtraining": grid(8, 6, 12, 12, "texts", (10, 2)),
    "pocket-remedies": grid(3, 24, 9, 0, "methods texts", (6, 6))
    | {"make_pocket_world": 1, "make_pocket_text": 1, "pretrain_checkpoint": 5}
    | {"write_self_text": 3, "collect_self_text": 1},
    # LoRA is at the last checkpoint only.
    "pocket": grid(5, 2, 14, 0, "formats methods texts", (10, 4))
    | {"make_pocket_world": 1, "make_pocket_text": 1, "pretrain_checkpoint": 5}
    | {"finetune_model": 12, "evaluate_model": 17},
    "pocket-full": grid(5, 4, 26, 0, "formats", (11, 4))
    | {"make_pocket_world": 1, "pretrain_checkpoint": 5},
    "published": TABLES_ON | drawn("formats") | {"read_finished": 1},
    "pythia-410m": grid(6, 18, 18, 13, "methods", (9, 6)),
    "remedies": grid(3, 42, 14, 14, "methods texts", (11, 6)),
    "saturation": grid(8, 30, 13, 13, "methods texts", (10, 6))
    | {"write_self_text": 8, "collect_self_text": 1},
    "smollm2-135m-instruct": TABLES_ON | drawn("examples methods texts") | {"read_finished": 1},
    "smollm2-135m": grid(4, 36, 21, 16, "methods texts", (10, 12)),
    "table3": grid(1, 1, 7, 5, "", (3, 1)),
}
FILES = {file.stem for file in Path(__file__).parents[2].glob("config/*.yaml")}


@pytest.mark.parametrize("study", sorted(FILES))
def test_a_bare_clone_plans_every_job(repository, tmp_path, monkeypatch, study):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    clone = make_clone(repository, tmp_path / "clone", "tiny")
    clone.study = f"config/{study}.yaml"
    output = clone.snakemake("-n")
    counts = clone.counted(output)
    assert counts == PLANS[study]
    if "read_finished" not in counts:  # else nothing of it is fine-tuned or scored here
        stages = clone.stages(output)
        assert stages["fine-tune"] == counts["finetune_model"]
        assert stages["evaluate"] == counts["evaluate_model"]
        assert stages.get("fetch", 0) == counts["resolve_pins"] + counts["fetch_pin"]
