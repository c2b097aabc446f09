"""Chains: arms that go on from others; what is refused; two links are two trainings."""

import pytest
import torch
from plain_loop import plain_train
from slice_files import slice_file
from tiny import TEMPLATE, save_tiny_checkpoint, tiny_rows, tiny_tokenizer, write_rows

import finetune_model
from ptft.models.loading import load_model
from ptft.study.slices import arms_slice, finetune_slice
from ptft.training.examples import completion_examples
from ptft.training.settings import TrainingSettings

CHAIN = """\
    then:
      second: {after: full.pocket_nli, task: own, settings: {l2sp: 0.1}}
      third: {after: full.own.second, task: pocket_nli}
"""


def test_a_link_begins_from_the_model_of_the_one_before(read):
    grid = read(CHAIN)
    second, third = "full.own.second.s1", "full.pocket_nli.third.s1"
    assert [name for name, arm in grid.arms.items() if arm.after] == [
        "full.own.second.s0", second, "full.pocket_nli.third.s0", third,
    ]  # fmt: skip
    folder = "results/small/models/step4"
    assert grid.trained_from("step4", third) == f"{folder}/{second}"
    assert grid.trained_from("step4", second) == f"{folder}/full.pocket_nli.s1"
    assert grid.trained_from("step4", "full.own.s0") == "resources/models/tiny/step4"
    assert grid.settings(second).l2sp == 0.1 and grid.settings(third).lr == 5e-4
    # But for where they begin, they are trained as any arm.
    plain = finetune_slice(grid, "full.pocket_nli.s1")
    assert finetune_slice(grid, third) == plain
    about = arms_slice(grid)["arms"]
    assert about[second]["after"] == "full.pocket_nli.s1" and about[second]["swept"] == "then"
    assert about["full.own.s0"]["after"] is None and about[second]["changes"] == []


LORA = "  lora: {tasks: {own: {}}, seeds: [0, 1]}\n"


@pytest.mark.parametrize(
    ("link", "more", "message"),
    [
        ("{after: full.nli, task: own}", "", "after: no arm 'full.nli.s0' is trained in this"),
        ("{after: full.own.a, task: own}", "", "after: no arm 'full.own.a.s0' is trained"),
        ("{after: full.own, task: other}", "", "task: unknown 'other'"),
        ("{after: lora.own, task: own}", LORA, "after: lora.own.s0 trains an adapter"),
        (
            "{after: full.own, task: own, settings: {lrs: 1.0}}",
            "",
            "settings: unknown key 'lrs'; did",
        ),
        (
            "{after: full.own.b, task: own}\n      b: {after: full.own.a, task: own}",
            "",
            "after: a circle: full.own.a.s0 after full.own.b.s0 after full.own.a.s0",
        ),
    ],
)
def test_what_is_no_chain_is_refused(refused, link, more, message):
    said = refused(f"    then:\n      a: {link}\n{more}")
    assert message in said and said.startswith("study.yaml:13: ")


def test_a_chain_of_two_is_two_trainings(tmp_path):
    """By a plain loop on one model in memory, and by two jobs, each from the folder before."""
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint")
    rows = {"first": tiny_rows(24, longest=9), "second": tiny_rows(16, longest=9, seed=4)}
    settings = {"epochs": 1, "batch_size": 8, "lr": 1e-3}
    model, before = load_model(checkpoint, attention="sdpa"), checkpoint
    for name, own in rows.items():
        examples = completion_examples(tiny_tokenizer(), own, TEMPLATE)
        plain_train(model, examples, TrainingSettings(**settings), 1e-3, 0, len(own) // 8)
        request = {"method": "full", "seed": 0, "template": TEMPLATE, "settings": settings}
        paths = {
            "checkpoint": before, "train": write_rows(own, tmp_path / f"{name}.jsonl"),
            "state": tmp_path / f"state-{name}", "output": tmp_path / name,
            "settings": slice_file(tmp_path / f"{name}.json", request),
        }  # fmt: skip
        assert finetune_model.main([f"--{key}={path}" for key, path in paths.items()]) == 0
        before = tmp_path / name
    found = dict(load_model(before).named_parameters())
    start = dict(load_model(checkpoint).named_parameters())
    for name, weight in model.named_parameters():
        moved = (weight - start[name]).norm()
        assert (found[name] - weight).norm() < 1e-3 * moved, name
    assert torch.isfinite(moved) and moved > 0
