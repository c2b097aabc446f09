"""Which GPU each job asks for, the time that it has there, and refusals of what none holds."""

import pytest
import yaml

from ptft.errors import StudyError
from ptft.paths import Results
from ptft.planning.estimates import Estimates, JobResources
from ptft.planning.gpus import Gpu, gpu_models, require_room
from ptft.planning.jobs import PlannedJob, expected_run
from ptft.planning.plan import Plan
from ptft.study import read_study

A100 = 312 / 989
"""of an H100, by their peaks"""
FINETUNE = {
    "full": {"settings": {"epochs": 1, "batch_size": 8, "lr": 1.0e-6}, "tasks": {"mnli": {}}},
    "lora": {"settings": {"epochs": 1, "batch_size": 8, "lr": 1.0e-4}, "tasks": {"mnli": {}}},
}
FULL, LORA = "full.mnli.s0", "lora.mnli.s0"


@pytest.fixture
def read(repository):
    """Function: the grid of Llama-3-8B's study, or of another, with changes."""

    def read(name="config/llama3-8b.yaml", **changes):
        file = repository / name
        text = yaml.safe_load(file.read_text())
        method = changes.pop("full", None)
        if method:
            text["finetune"]["full"]["settings"] |= method
        return read_study(text | changes, [file], repository / "config")

    return read


@pytest.fixture
def olmo(read):
    """OLMo-1B's study with full fine-tuning (at least 20 GB) and LoRA (7 GB)."""
    return read("config/olmo-1b.yaml", finetune=FINETUNE, data={"train": 6000})


def of(gigabytes):
    """GPUs of whatever model."""
    return (Gpu(gigabytes),)


def test_what_cannot_fit_is_refused_by_the_number_of_gpus_it_needs(read):
    require_room(read(), of(80))
    require_room(read(compute={"gpus": 2}), ())  # nobody knows
    require_room(read(compute={"gpus": 0}), of(1))
    said = (
        r"llama3-8b.yaml:\d+: compute.gpus: full.xsum takes at least 71 GB of each of 2 GPUs, "
        r"a GPU has 40 GB; it needs 5: set compute.gpus: 5$"
    )
    with pytest.raises(StudyError, match=said):
        require_room(read(compute={"gpus": 2}), of(40))
    require_room(read(compute={"gpus": 5}), of(40))
    said = "at least 150 GB of each .* it needs 2: set compute.gpus: 2 and finetune.full.settings.s"
    with pytest.raises(StudyError, match=said):
        require_room(read(full={"sharding": "data"}), of(80))
    said = r"full.xsum takes .* of each of 2 GPUs, the largest GPU \(l40s\) has 48 GB; it needs 4"
    named = (Gpu(24, "l4"), Gpu(48, "l40s"))
    with pytest.raises(StudyError, match=said):
        require_room(read(compute={"gpus": 2}), named)
    require_room(read(compute={"gpus": 4}), named)
    with pytest.raises(StudyError, match=r"scoring takes at least 15 GB, a GPU has 12 GB"):
        require_room(read(), of(12))


def test_the_longest_example_counts_once_it_is_known(read, tmp_path):
    grid = read(compute={"gpus": 2})
    require_room(grid, of(80))
    results = Results(grid.name)
    audit = tmp_path / results.table("audit_splits", "csv")
    audit.parent.mkdir(parents=True)
    audit.write_text("dataset,split,tokens_mean,tokens_max\nxsum,train,500,7000\n")
    with pytest.raises(StudyError, match="full.xsum takes at least 83 GB"):  # 2,048 are kept
        require_room(grid, of(80))
    with pytest.raises(StudyError, match="no number of GPUs is enough; .* lower max_length"):
        require_room(grid, of(20))


def test_what_is_made_is_not_refused(read, tmp_path):
    """Tables and figures of a finished study are drawn where no model of it would fit."""
    grid = read(compute={"gpus": 1})
    results = Results(grid.name)
    for arm in grid.arms:
        with pytest.raises(StudyError):
            require_room(grid, of(10))
        record = tmp_path / results.scored_model("main", arm)
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()
    require_room(grid, of(10))


def test_each_job_asks_for_the_first_gpu_that_holds_it(olmo):
    """Full fine-tuning takes 17.5 GB, LoRA 3, scoring 2.2."""
    small, big, huge = Gpu(16, "small", 0.5), Gpu(80, "a100", A100), Gpu(141, "h200")
    demands = JobResources(olmo, (small, big, huge))
    asked = [demands.finetune_gpu(FULL, 1), demands.finetune_gpu(LORA, 1), demands.evaluate_gpu(1)]
    assert asked == ["a100", "small", "small"]
    # What is counted is the least: a further attempt asks for a larger one, if there is one.
    assert [demands.finetune_gpu(LORA, attempt) for attempt in (2, 3, 4)] == [
        "a100",
        "h200",
        "h200",
    ]
    # The order is the user's.
    assert JobResources(olmo, (huge, small, big)).evaluate_gpu(1) == "h200"
    assert JobResources(olmo, (huge, small, big)).evaluate_gpu(2) == "h200"
    # Nothing is asked for where nothing is known, or where any will do.
    for gpus in ((), of(80)):
        assert JobResources(olmo, gpus).finetune_gpu(FULL, 1) is None
        assert JobResources(olmo, gpus).evaluate_gpu(1) is None


def test_the_plan_counts_what_is_asked_for_and_is_timed_by_it(olmo):
    jobs = [
        PlannedJob("finetune_model", "main", FULL),
        PlannedJob("finetune_model", "step1000", LORA),
        PlannedJob("finetune_model", "main", LORA),
        PlannedJob("evaluate_model", "main", FULL, tuple(olmo.scores())),
        PlannedJob("collect_cells"),
    ]
    gpus = (Gpu(16, "l4", 0.125), Gpu(80, "a100", A100))
    told = str(Plan(olmo, jobs, gpus=gpus))
    assert "\n  GPUs: fine-tune 1 on a100, 2 on l4; evaluate 1 on l4\n" in told
    assert "GPUs:" not in str(Plan(olmo, jobs, gpus=of(80)))
    slow = Estimates(olmo, gpus[:1]).finetune_seconds(LORA)
    counts = {"finetune_model": 3, "evaluate_model": 1}
    expected = expected_run(olmo, counts, nodes=9, gpus=gpus).each
    assert expected["finetune_model", "main", LORA] == slow
    # 30 s, 750 updates of 20 ms, and eight times the 4.55 s that an H100 takes for the rest.
    assert slow == pytest.approx(81.4326, abs=1e-4)


def test_a_study_names_models_of_gpu_and_the_unknown_are_taken_to_be_slow(read):
    models = {"A100_80GB": 80, "any": 40, "mi250": 64}
    assert gpu_models(read(compute={"gpus": 1, "gpu_models": models}).study.compute) == (
        Gpu(80, "A100_80GB", A100), Gpu(40, None, 121 / 989), Gpu(64, "mi250", 121 / 989),
    )  # fmt: skip
    assert gpu_models(read().study.compute) == ()
