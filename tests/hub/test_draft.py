"""A model's file is drafted from real names of branches and folders, and the draft is one."""

import pytest
import yaml
from server import Repository

import draft_model
from ptft.hub.draft import namings
from ptft.hub.pins import place_in_name
from ptft.hub.resolve import resolve_checkpoint
from ptft.study.models import Model

FILES = {"config.json": b"{}", "model.safetensors": b"w"}


def drafted(capsys, repository: str) -> tuple[str, dict]:
    draft_model.main([f"--repository={repository}"])
    text = capsys.readouterr().out
    return text, yaml.safe_load(text.replace("parameters: …", "parameters: 1"))


@pytest.mark.parametrize(
    ("names", "pattern", "places"),
    [
        # OLMo, Pythia, SmolLM2, SmolLM3, Lucie, FineWeb's ablations, OpenCoder, DataDecide
        ("step1000-tokens4B step2000-tokens8B", r"step(?P<step>\d+)-tokens(?P<tokens>\d+)B", None),
        ("step0 step143000", r"step(?P<step>\d+)", [(0, None, None), (143000, None, None)]),
        ("step-125000 step-250000", r"step-(?P<step>\d+)", None),
        ("stage1-step-3440000", r"stage1-step-(?P<step>\d+)", [(3440000, None, None)]),
        ("step0005000", r"step(?P<step>\d+)", [(5000, None, None)]),
        (
            "step-001000-2BT",
            r"step-(?P<step>\d+)-(?P<tokens>\d+)BT",
            [(1000, 2_000_000_000, None)],
        ),
        ("pretrain_iter_0001000", r"pretrain_iter_(?P<step>\d+)", [(1000, None, None)]),
        ("step1250-seed-small-aux-2", r"step(?P<step>\d+)-seed-small-aux-2", [(1250, None, None)]),
        # Amber, RedPajama, BabyLM
        ("ckpt_000 ckpt_358", r"ckpt_(?P<index>\d+)", [(None, None, 0), (None, None, 358)]),
        ("240b_tokens", r"(?P<tokens>\d+)b_tokens", [(None, 240_000_000_000, None)]),
        ("chck_1M", r"chck_(?P<tokens>\d+)(?P<unit>M)", [(None, 1_000_000, None)]),
    ],
)
def test_patterns_of_real_names(names, pattern, places):
    [naming] = namings(["main", *names.split()])
    assert (naming.pattern, naming.names) == (pattern, names.split())
    if places:
        assert [place_in_name(pattern, name) for name in naming.names] == places


def test_names_that_count_nothing_have_no_pattern():
    assert namings(["main", "it-SFT", "v2", "phoenix-7"]) == []


def test_a_draft_is_a_models_file(hub, capsys):
    text, content = drafted(capsys, "org/tiny")
    assert text.startswith(
        "# org/tiny: 5 branches\n#   4 branches from step1000-tokens4B to step738020-tokens3094B\n"
        "# other branches: main\n"
    )
    model = Model.model_validate(content)
    pin = resolve_checkpoint(model.source.reference("step425000"))
    assert (pin.step, pin.tokens) == (425000, 1_781_000_000_000)
    assert "checkpoints:\n    main: {}" in text and "tokens_per_step" not in text


def test_folders_are_listed_where_branches_are_none(hub, capsys):
    files = {
        f"{folder}/{name}": content
        for folder in ("step_100", "step_20", "eval_1")
        for name, content in FILES.items()
        if folder != "eval_1" or name == "config.json"
    }
    hub.models["org/folders"] = Repository({"main": files})
    text, content = drafted(capsys, "org/folders")
    assert "#   2 subfolders from step_20 to step_100\n" in text
    assert content["source"]["subfolders"] == r"step_(?P<step>\d+)"


def test_stages_are_drafted_in_order(hub, capsys):
    names = [
        "stage1-step10-tokens1B",
        "stage1-step20-tokens2B",
        "stage2-ingredient1-step5-tokens1B",
    ]
    hub.models["org/stages"] = Repository({"main": FILES, **dict.fromkeys(names, FILES)})
    text, content = drafted(capsys, "org/stages")
    assert content["source"]["stages"] == {
        "stage1": {"branches": r"stage1-step(?P<step>\d+)-tokens(?P<tokens>\d+)B"},
        "stage2-ingredient1": {
            "branches": r"stage2-ingredient1-step(?P<step>\d+)-tokens(?P<tokens>\d+)B"
        },
    }
    assert text.count("# after: {step: …, tokens: …}") == 2
