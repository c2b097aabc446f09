"""The studies of real models: their grids, and the branches and files they name."""

import pytest
import yaml
from server import Repository, noise

from ptft.hub.resolve import resolve_checkpoint
from ptft.study import read_study

MODELS = {
    "allenai/OLMo-1B-hf": ["main", "step1000-tokens4B", "step425000-tokens1781B"],
    "allenai/OLMo-2-0425-1B-early-training": ["stage1-step0-tokens0B", "stage1-step1000-tokens3B"],
    "allenai/OLMo-2-0425-1B": [
        *("main", "stage1-step10000-tokens21B", "step150000-tokens315B"),
        *("stage1-step1907359-tokens4001B", "stage2-ingredient3-step1000-tokens3B"),
        *(f"stage2-ingredient{n}-step23852-tokens51B" for n in (1, 2, 3)),
    ],
    "allenai/Olmo-3-1025-7B": [
        *("main", "stage1-step2000", "stage1-step1413814", "stage2-step8000", "stage2-step47684"),
        *("stage3-step5000", "stage3-step11921"),
    ],
    "HuggingFaceTB/SmolLM2-135M": ["main"],
    "HuggingFaceTB/SmolLM2-135M-intermediate-checkpoints": ["step-240000", "step-480000"],
    "HuggingFaceTB/SmolLM3-3B-checkpoints": [
        *("stage1-step-40000", "stage1-step-3440000", "stage2-step-4200000", "stage3-step-4720000"),
        *("it-SFT", "it-soup-APO"),
    ],
    "allenai/DataDecide-dolma1_7-90M": ["main", "step0-seed-default", "step2500-seed-default"],
    "allenai/DataDecide-c4-1B": ["main", "step2500-seed-default", "step2500-seed-large-aux-2"],
    "LLM360/Amber": ["main", "ckpt_000", "ckpt_356", "ckpt_358"],
    "EleutherAI/pythia-14m": ["main", "step0", "step512", "step143000"],
    "EleutherAI/pythia-160m-weight-seed2": ["main", "step512", "step143000"],
    "TinyLlama/TinyLlama-1.1B-intermediate-step-480k-1T": ["main"],
}
"""repository -> some of its branches, under their names on the Hub"""
B = 10**9
FOUND = [
    ("olmo-1b", "step425000", "step425000-tokens1781B", 425_000, 1781 * B),
    ("olmo-1b", "main", "main", 738_020, 3094 * B),
    ("olmo2-1b", "early-step1000", "stage1-step1000-tokens3B", 1000, 1000 * 2_097_152),
    ("olmo2-1b", "stage1-step10000", "stage1-step10000-tokens21B", 10_000, 10_000 * 2_097_152),
    ("olmo2-1b", "stage1-step150000", "step150000-tokens315B", 150_000, 150_000 * 2_097_152),
    ("olmo2-1b", "ingredient3-step1000", "stage2-ingredient3-step1000-tokens3B", 1_908_359,
     4_002_118_893_568),
    ("olmo2-1b", "stage2-ingredient1-step23852-tokens51B",
     "stage2-ingredient1-step23852-tokens51B", 1_931_211, 4_050_043_011_072),
    ("olmo3-7b", "stage1-step2000", "stage1-step2000", 2000, 2000 * 4_194_304),
    ("olmo3-7b", "stage2-step47684", "stage2-step47684", 1_461_498, 6_029_966_311_424),
    ("olmo3-7b", "stage3-step11921", "stage3-step11921", 1_473_419, 6_079_966_609_408),
    ("smollm2-135m", "step240000", "step-240000", 240_000, 240_000 * 1_048_576),
    ("smollm2-135m", "step-480000", "step-480000", 480_000, 480_000 * 1_048_576),
    ("smollm2-135m", "main", "main", None, 2000 * B),
    ("smollm3-3b", "stage1-step3440000", "stage1-step-3440000", 3_440_000, 3_440_000 * 2_359_296),
    ("smollm3-3b", "stage3-step-4720000", "stage3-step-4720000", 4_720_000, 4_720_000 * 2_359_296),
    ("datadecide-90m", "step2500", "step2500-seed-default", 2500, 2500 * 327_680),
    ("datadecide-1b-c4", "step2500", "step2500-seed-default", 2500, 2500 * 1_441_792),
    ("amber-7b", "ckpt_000", "ckpt_000", None, 3_497_583_333),
    ("amber-7b", "ckpt_356", "ckpt_356", None, 357 * 3_497_583_333),
    ("pythia-14m", "step512", "step512", 512, 512 * 2_097_152),
    ("pythia-160m-weight-seed2", "step143000", "step143000", 143_000, 299_892_736_000),
    ("tinyllama-1b", "step480000", "main", 480_000, 1000 * B),
]  # fmt: skip
"""model, checkpoint as a study names it, its branch, step, tokens of pre-training"""


@pytest.mark.parametrize(("model", "checkpoint", "branch", "step", "tokens"), FOUND)
def test_checkpoints_are_found_under_their_names_on_the_hub(
    hub, model, checkpoint, branch, step, tokens, repository, tmp_path
):
    files = {"config.json": b"{}", "model.safetensors": noise(1)}
    hub.models = {name: Repository(dict.fromkeys(found, files)) for name, found in MODELS.items()}
    study = yaml.safe_load((repository / "config/pythia-410m.yaml").read_text())
    study |= {"model": model, "checkpoints": [checkpoint]}
    grid = read_study(study, [tmp_path / "study.yaml"], repository / "config")
    [reference] = grid.fetched_checkpoints().values()
    pin = resolve_checkpoint(reference)
    assert (pin.revision, pin.step) == (branch, step)
    # Tokens in a name are rounded; what is known without it counts.
    info = grid.checkpoints[checkpoint]
    assert info.step in (None, step)
    assert tokens == (pin.tokens if info.tokens is None else info.tokens)


def test_every_model_of_the_hub_is_planned(repository, tmp_path):
    """With a checkpoint of each of its stages."""
    study = yaml.safe_load((repository / "config/pythia-410m.yaml").read_text())
    planned = 0
    for file in sorted((repository / "config/models").glob("*.yaml")):
        model = yaml.safe_load(file.read_text())
        source = model["source"]
        if source["kind"] != "hub":
            continue
        stages = [stage for stage in source.get("stages", {}) if not stage.startswith("ingredient")]
        names = [*source.get("checkpoints", {}), *(f"{stage}-step5" for stage in stages)]
        names = [name for name in names if not name.startswith("pretraining")]  # by an index
        for name in [file.stem, *model.get("variants", {})]:
            study |= {"model": name, "checkpoints": [*names, *["step5"] * ("branches" in source)]}
            grid = read_study(study, [tmp_path / "study.yaml"], repository / "config")
            assert len(grid.fetched_checkpoints()) == len(study["checkpoints"]) > 0
            planned += 1
    assert planned > 50
