"""Arms that are derived from others: how they expand, what their job is given, what is refused."""

import pytest
from small_study import edit

from ptft.planning.estimates import JobResources
from ptft.planning.jobs import History, model_jobs
from ptft.study.slices import (
    collection_slice,
    evaluation_slice,
    finetune_slice,
    resolved_study,
)
from ptft.tools.status import Progress

DERIVE = """\
derive:
  interpolate: {of: [full], strengths: [0.25, 1]}
  noise: {of: [base], strengths: [0.003, 0.01], seeds: [0, 1]}
"""


def test_names_and_columns(read):
    grid = read(DERIVE)
    assert [arm for arm in grid.arms if "@" in arm] == [
        "full.pocket_nli.s0@interpolate0.25",
        "full.pocket_nli.s0@interpolate1",
        "full.pocket_nli.s1@interpolate0.25",
        "full.pocket_nli.s1@interpolate1",
        "full.own.s0@interpolate0.25",
        "full.own.s0@interpolate1",
        "full.own.s1@interpolate0.25",
        "full.own.s1@interpolate1",
        "base@noise0.003",
        "base@noise0.003.s1",
        "base@noise0.01",
        "base@noise0.01.s1",
    ]
    assert len(grid.parents) == 5 and len(list(grid.models())) == 2 * (5 + 12)
    about = collection_slice(grid)["arms"]
    assert about["full.own.s1@interpolate0.25"] == {
        "method": "full",
        "train_task": "own",
        "seed": 1,
        "derived": "interpolate",
        "strength": 0.25,
    }
    assert about["base@noise0.01.s1"] == {
        "method": None,
        "train_task": None,
        "seed": 1,
        "derived": "noise",
        "strength": 0.01,
    }
    assert not any(arm.trained for arm in grid.arms.values() if arm.derived)
    assert grid.settings("full.pocket_nli.s0@interpolate1").lr == 5e-4


def test_arms_of_swept_settings_may_have_none(read):
    swept = "    sweep: [{}, {kl: [0.1]}]\nderive: {interpolate: {of: [full], strengths: [0.5]"
    all_of_them, plain = (read(f"{swept}{more}}}}}\n") for more in ("", ", swept: false"))
    made = [arm for arm in all_of_them.arms if "@" in arm]
    assert len(made) == 8 and "full.own.kl0.1.s1@interpolate0.5" in made
    assert [arm for arm in plain.arms if "@" in arm] == [arm for arm in made if "kl" not in arm]


def test_a_job_is_given_what_is_derived_from_its_model(read):
    without, grid = read(""), read(DERIVE)
    own = evaluation_slice(without)
    assert all(evaluation_slice(without, arm) == own for arm in without.arms)
    given = evaluation_slice(grid, "full.own.s1")
    assert given.pop("derived") == {
        "full.own.s1@interpolate0.25": {
            "derivation": "interpolate", "version": 2, "strength": 0.25, "seed": 0,
        },
        "full.own.s1@interpolate1": {
            "derivation": "interpolate", "version": 2, "strength": 1.0, "seed": 0,
        },
    }  # fmt: skip
    assert given == own
    noise = evaluation_slice(grid, "base")["derived"]["base@noise0.01.s1"]
    assert noise == {"derivation": "noise", "version": 1, "strength": 0.01, "seed": 1}
    noise_alone = read("derive: {noise: {of: [base], strengths: [0.01]}}\n")
    assert evaluation_slice(noise_alone, "full.own.s1") == own
    assert "derive" not in resolved_study(without)["study"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[full]", "[lora]", "13: derive.interpolate.of: unknown 'lora'; known: full"),
        ("[full]", "[base]", "13: derive.interpolate.of: unknown 'base'; known: full"),
        ("[0.25, 1]", "[0.5, 0.25, 0.5]", "13: derive.interpolate.strengths.2: 0.5 is in the list"),
        ("[0.25, 1]", "[0, 1.5, 1.6]", "13: derive.interpolate.strengths.2: found 1.6, expected 0"),
        ("[0.25, 1]", "[0.25], seeds: [1]", "13: derive.interpolate.seeds: unknown key 'seeds'"),
        ("[0.003, 0.01]", "[0.01, 0]", "14: derive.noise.strengths.1: found 0, expected more than"),
        ("  noise", "  nois", "14: derive.nois: unknown key 'nois'; did you mean 'noise'?"),
    ],
)
def test_a_mistake_in_what_is_derived(refused, old, new, sentence):
    assert refused(DERIVE.replace(old, new)).startswith(f"study.yaml:{sentence}")


def test_what_has_weights_of_its_own_is_refused(files, read, refused):
    read(DERIVE)
    edit(files / "study.yaml", "  shots:", "  generation_backend: vllm\n  shots:")
    assert "evaluate.generation_backend: vllm has" in refused()


SNAPSHOTS = "    snapshots: [1, 0.5]\n"


@pytest.fixture
def on_the_way(files):
    """Edit the small study: snapshots, and what goes with them."""

    def on_the_way(snapshots: str, data: str = "", settings: str = ""):
        study = files / "study.yaml"
        edit(study, "lr: 1.0e-3}", f"lr: 1.0e-3{settings}}}")
        edit(study, "    tasks:\n", f"{snapshots}    tasks:\n")
        edit(study, "evaluate:\n", f"{data}evaluate:\n")

    return on_the_way


def test_snapshots_have_models_of_their_own_and_their_parents_job(on_the_way, read):
    on_the_way(SNAPSHOTS)
    grid = read()
    ways = [name for name in grid.arms if "@" in name]
    assert ways[:2] == ["full.pocket_nli.s0@step1", "full.pocket_nli.s0@step0.5"]
    assert len(ways) == 2 * 4 and set(grid.made) == {
        *ways,
        *(n for n in grid.parents if n != "base"),
    }
    own, way = (finetune_slice(grid, f"full.own.s1{end}") for end in ("", "@step0.5"))
    assert way == own | {"snapshot": 0.5}
    assert evaluation_slice(grid, "full.own.s1")["derived"]["full.own.s1@step1"] == {
        "derivation": "step", "version": 1, "strength": 1.0, "seed": 0,
    }  # fmt: skip
    assert collection_slice(grid)["arms"]["full.own.s0@step0.5"]["strength"] == 0.5
    statuses = {(job.rule, job.arm) for job in Progress(grid).jobs()}
    assert ("finetune_model", "full.own.s0@step1") in statuses
    assert grid.contents >= {"snapshots"}
    # A copy that is trained takes its share; what a training leaves is taken in seconds.
    estimates = JobResources(grid)
    whole = (
        estimates.finetune_seconds("full.own.s0") - estimates.training_rates("full.own.s0").start
    )
    half = estimates.finetune_seconds("full.own.s0@step0.5")
    assert half == pytest.approx(estimates.training_rates("full.own.s0").start + whole / 2)
    jobs = [job for job in model_jobs(grid) if job.rule == "finetune_model"]
    seconds = History(estimates).job_seconds(jobs)
    taken = {seconds[job] for job in jobs if "@" in job.arm}
    assert len(taken) == 1 and taken.pop() < min(seconds.values()) + 1e-9


@pytest.mark.parametrize(
    ("snapshots", "data", "settings", "sentence"),
    [
        ("[1, 1.5]", "", "", "8: finetune.full.snapshots.1: found 1.5, expected an update from 1"),
        ("[1, 1]", "", "", "8: finetune.full.snapshots.1: 1.0 is in the list twice"),
        ("[1, 3]", "data: {train: 20}\n", "", "8: finetune.full.snapshots.1: of pocket_nli: found"),
        (
            "[1]",
            "",
            ", early_stopping: 1, validation_steps: [1], validation_examples: 4",
            "8: finetune.full.snapshots: early_stopping is set for ",
        ),
    ],
)
def test_a_mistake_in_snapshots(on_the_way, refused, snapshots, data, settings, sentence):
    on_the_way(f"    snapshots: {snapshots}\n", data, settings)
    assert refused().startswith(f"study.yaml:{sentence}")


MERGES = """\
derive:
  soup: {of: [full]}
  checkpoint_average: {last: [2]}
  ties: {of: [full], add: [pocket_nli, own], strengths: [0.5]}
"""


def test_merged_arms_are_of_the_first_of_their_models(read):
    grid = read(MERGES)
    merged = {name: arm for name, arm in grid.arms.items() if arm.merge}
    assert {name: arm.merge["members"] for name, arm in merged.items()} == {
        "full.pocket_nli.s0@soup2": ["full.pocket_nli.s1"],
        "full.own.s0@soup2": ["full.own.s1"],
        "base@checkpoint_average2": ["step4", "step16"],
        "full.pocket_nli.s0@ties0.5": ["full.own.s0"],
        "full.pocket_nli.s1@ties0.5": ["full.own.s1"],
    }
    # The first checkpoint has none before it.
    assert grid.checkpoints_of("base@checkpoint_average2") == ["step16"]
    assert [arm.name for arm in grid.derived_at("step4", "base")] == []
    assert grid.merged_with("step16", "base") == ["resources/models/tiny/step4"]
    folder = "results/small/models/step4"
    assert grid.merged_with("step4", "full.pocket_nli.s0") == [
        f"{folder}/full.pocket_nli.s1", f"{folder}/full.own.s0",
    ]  # fmt: skip
    plan = evaluation_slice(grid, "full.pocket_nli.s1")["derived"]
    assert plan["full.pocket_nli.s1@ties0.5"] == {
        "derivation": "ties", "version": 1, "strength": 0.5, "seed": 0,
        "members": ["full.own.s1"], "density": 0.2,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("derive", "message"),
    [
        ("soup: {of: [lora]}", "derive.soup.of: unknown 'lora'; known: full"),
        ("soup: {of: [full], over: snapshots}", "derive.soup.of: a soup of one: add some under"),
        ("checkpoint_average: {last: [3]}", "derive.checkpoint_average.last: found 3, the study"),
        (
            "task_vectors: {of: [full], add: [pocket_nli, pocket_summary], strengths: [1]}",
            "derive.task_vectors.add: unknown 'pocket_summary'; known",
        ),
    ],
)
def test_what_cannot_be_merged_is_refused(refused, derive, message):
    assert message in refused(f"derive:\n  {derive}\n")


ADOPT = "adopt:\n  sft: {path: theirs, base: step4, task: own}\n"


def test_an_adopted_arm_is_at_its_checkpoint_and_trains_nothing(read):
    derived = "derive: {interpolate: {of: [sft], strengths: [0.5]}}\n"
    grid = read(f"{ADOPT}{derived}")
    assert grid.checkpoints_of("sft") == grid.checkpoints_of("sft@interpolate0.5") == ["step4"]
    assert not grid.arms["sft"].made and grid.made == read("").made
    about = collection_slice(grid)["arms"]["sft"]
    assert about == {"method": "sft", "train_task": "own", "seed": None, "checkpoints": ["step4"]}
    assert evaluation_slice(grid, "sft")["derived"].keys() == {"sft@interpolate0.5"}
    hub = read("adopt: {rl: {repository: org/rl, revision: v2, base: step4, task: own}}\n")
    assert hub.fetched()["resources/adopted/org/rl/v2"] == {
        "checkpoint": {"repository": "org/rl", "branch": "v2", "adapter": True}
    }


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("base: step4", "base: step5", "13: adopt.sft.base: unknown 'step5'; did you mean 'step4'"),
        ("task: own", "task: owm", "13: adopt.sft.task: unknown 'owm'; did you mean 'own'"),
        ("sft:", "full:", "13: adopt.full: 'full' names arms of this workflow; rename it"),
        ("path: theirs, ", "", "13: adopt.sft: expected either `repository` or `path`"),
    ],
)
def test_a_mistake_in_what_is_adopted(refused, old, new, sentence):
    assert refused(ADOPT.replace(old, new)).startswith(f"study.yaml:{sentence}")
