"""The studies of real models: their grids, and the branches and files they name."""

import re

import pytest
import yaml

from ptft.study import read_study

# study: checkpoints, tuned arms a checkpoint, cells an arm, prepared splits
STUDIES = {
    "olmo-1b": (8, 5, 50, 42),
    "llama3-8b": (1, 4, 50, 41),
    "pythia-410m": (6, 18, 15, 18),
}


@pytest.fixture(params=STUDIES)
def study(request, repository):
    """(name, grid) of a study."""
    file = repository / f"config/{request.param}.yaml"
    content = yaml.safe_load(file.read_text())
    return request.param, read_study(content, [file], repository / "config")


def test_the_grid_is_of_the_size_that_was_meant(study, capsys):
    name, grid = study
    checkpoints, arms, cells, splits = STUDIES[name]
    assert len(grid.checkpoints) == checkpoints
    assert len(grid.arms) == arms + 1
    assert len(list(grid.scores())) == cells
    assert len(list(grid.cells())) == checkpoints * (arms + 1) * cells
    assert len(grid.splits()) == splits
    with capsys.disabled():
        jobs = checkpoints * (2 * arms + 1)
        print(f"\n{name}: {jobs} GPU jobs, {checkpoints * (arms + 1) * cells} cells", end=" ")


@pytest.mark.parametrize(
    "model",
    ["olmo-1b", "olmo2-1b", "llama3-8b", "tinyllama-1b"]
    + [f"pythia-{size}" for size in ("70m", "160m", "410m", "1b")],
)
def test_every_model_file_can_be_named_by_a_study(model, repository, tmp_path):
    study = yaml.safe_load((repository / "config/pythia-410m.yaml").read_text())
    source = yaml.safe_load((repository / f"config/models/{model}.yaml").read_text())["source"]
    by_step = ["step1000"] if "branches" in source else []
    study.update(model=model, checkpoints=["main", *by_step])
    file = tmp_path / "study.yaml"
    grid = read_study(study, [file], repository / "config")
    assert grid.checkpoints["main"] is not None
    reference = grid.model.source.reference("main")
    assert (reference["repository"], reference["branch"]) == (source["repository"], "main")
    if by_step:
        assert grid.model.source.reference("step1000")["step"] == 1000
        assert grid.model.source.reference("step1000")["branch"] is None


@pytest.mark.parametrize(
    ("model", "branch", "step"),
    [
        ("olmo-1b", "step425000-tokens1781B", 425000),
        ("olmo2-1b", "stage1-step10000-tokens21B", 10000),
        ("olmo2-1b", "step10000-tokens21B", 10000),
        ("pythia-410m", "step512", 512),
    ],
)
def test_branch_patterns_fit_the_names_on_the_hub(model, branch, step, repository):
    source = yaml.safe_load((repository / f"config/models/{model}.yaml").read_text())["source"]
    assert int(re.fullmatch(source["branches"], branch)["step"]) == step


def test_a_checkpoint_with_a_repository_of_its_own(repository):
    from ptft.study.models import Model

    content = yaml.safe_load((repository / "config/models/tinyllama-1b.yaml").read_text())
    reference = Model.model_validate(content).source.reference("step480000")
    assert reference["repository"] == "TinyLlama/TinyLlama-1.1B-intermediate-step-480k-1T"
    assert (reference["branch"], reference["step"]) == ("main", 480_000)


def test_tokens_of_pythia_follow_from_the_step(repository):
    from ptft.study.models import Model

    content = yaml.safe_load((repository / "config/models/pythia-410m.yaml").read_text())
    source = Model.model_validate(content).source
    assert source.info("step1000").tokens == 2_097_152_000
    assert source.info("main").tokens == source.info("step143000").tokens == 299_892_736_000
    assert source.info("step01") is None
