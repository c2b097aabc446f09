"""Sweeps: arms and their names, what a task may change beside them, and mistakes in them."""

import pytest
from small_study import edit

from ptft.study import StudyError
from ptft.study.arms import swept, swept_values
from ptft.study.slices import (
    check_of,
    checked_trainings,
    evaluation_slice,
    finetune_slice,
    trained_slice,
)


@pytest.fixture
def read(files, read):
    """Function: the grid with lines in the method's group; why it is refused, in words."""
    study, as_it_is = files / "study.yaml", read
    text = study.read_text()

    def read(*lines: str, edits: dict[str, str] | None = None):
        study.write_text(text)
        for old, new in (edits or {}).items():
            edit(study, old, new)
        edit(study, "    seeds: [0, 1]", "\n".join(f"    {line}" for line in lines))
        try:
            return as_it_is()
        except StudyError as error:
            return str(error).replace(f"{files}/", "")

    return read


def test_every_combination_is_an_arm_in_the_order_written(read):
    grid = read("sweep: {weight_decay: [0.1, 1.0e-5], epochs: [2, 1]}")
    assert [name for name in grid.arms if name.startswith("full.own")] == [
        "full.own.weight_decay0.1-epochs2.s0",
        "full.own.weight_decay0.1-epochs1.s0",
        "full.own.weight_decay1e-05-epochs2.s0",
        "full.own.weight_decay1e-05-epochs1.s0",
    ]
    arm = grid.arms["full.own.weight_decay1e-05-epochs2.s0"]
    assert (arm.setting, arm.seed) == ("weight_decay1e-05-epochs2", 0)
    settings = finetune_slice(grid, arm.name)["settings"]
    assert (settings["weight_decay"], settings["epochs"], settings["lr"]) == (1e-5, 2, 1e-3)


def test_several_sweeps_and_the_settings_as_they_are(read):
    assert swept([{}, {"l2sp": [0.1]}, {"rank": [2], "alpha": [4.0]}]) == [
        (None, {}),
        ("l2sp0.1", {"l2sp": 0.1}),
        ("rank2-alpha4", {"rank": 2, "alpha": 4.0}),
    ]
    assert swept_values([{}, {"rank": [2, 4]}, {"rank": [4, 8], "kl": [1.0]}]) == {
        "rank": [2, 4, 8],
        "kl": [1.0],
    }
    grid = read("sweep: [{}, {l2sp: [0.1, 0.2]}]")
    assert [name for name in grid.arms if name.startswith("full.own")] == [
        "full.own.s0",
        "full.own.l2sp0.1.s0",
        "full.own.l2sp0.2.s0",
    ]
    assert grid.arms["full.own.s0"].swept is None
    assert grid.arms["full.own.l2sp0.1.s0"].swept == "l2sp"
    words = read("sweep: [{loss: [dft], l2sp: [0.1]}]").arms["full.own.lossdft-l2sp0.1.s0"]
    assert words.swept == "loss dft, l2sp"  # another loss would be another method
    plain = finetune_slice(read(), "full.own.s0")
    assert finetune_slice(grid, "full.own.s0") == plain


def test_a_share_of_nothing_is_no_replay(read):
    replay = "replay: {dataset: pocket_nli, share: 0.0}"
    fewer = {"      pocket_nli: {lr: 5.0e-4}\n": "", "datasets: [pocket_nli, own": "datasets: [own"}
    edits = fewer | {"settings: {epochs: 1,": f"settings: {{{replay}, epochs: 1,"}
    plain = read(edits=fewer)
    grid = read("sweep: [{}, {replay.share: [0.5]}]", edits=edits)
    assert not isinstance(grid, str), grid
    assert finetune_slice(grid, "full.own.s0") == finetune_slice(plain, "full.own.s0")
    assert grid.settings("full.own.share0.5.s0").replay.share == 0.5


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (2e-6, "lr2e-06"),
        (0.05, "lr0.05"),
        (0.1234567, "lr0.1234567"),
        (16, "lr16"),
        (1e22, "lr1e22"),
        (True, "lrtrue"),
        ("token", "lrtoken"),
    ],
)
def test_names_hold_the_shortest_number_that_is_the_value(value, name):
    assert swept({"lr": [value]}) == [(name, {"lr": value})]


def test_remedies_against_forgetting_are_swept(read):
    """Every strength is an arm; what is replayed is prepared, and audited, once."""
    edits = {
        "lr: 1.0e-3}": "lr: 1.0e-3, replay: {dataset: pocket_summary, share: 0.1}}",
        "own, pocket_summary, pocket_facts": "own, pocket_facts",
    }
    lines = "sweep: {replay.share: [0.1, 0.3], l2sp: [0, 0.5], kl: [0.1], freeze: [0]}"
    grid = read(lines, edits=edits)
    arms = [name for name in grid.arms if name.startswith("full.own")]
    assert arms[1] == "full.own.share0.1-l2sp0.5-kl0.1-freeze0.s0" and len(arms) == 4
    shares = [finetune_slice(grid, arm)["settings"]["replay"]["share"] for arm in arms]
    assert shares == [0.1, 0.1, 0.3, 0.3]
    assert [finetune_slice(grid, arm)["settings"]["l2sp"] for arm in arms[:2]] == [0, 0.5]
    assert grid.splits().count(("pocket_summary", "train")) == 1
    checks = [f"full.{task}.replay-pocket_summary" for task in ("pocket_nli", "own")]
    assert list(checked_trainings(grid)) == checks
    assert {trained_slice(grid, name)["replay"]["dataset"] for name in checks} == {"pocket_summary"}


def test_another_value_changes_no_job_of_the_others(read):
    few, many = read("sweep: {epochs: [2]}"), read("sweep: {epochs: [3, 2]}")
    assert evaluation_slice(few) == evaluation_slice(many)
    for name in ("full.pocket_nli", "full.own"):
        assert trained_slice(few, name) == trained_slice(many, name)
    tuned = [name for name, arm in few.arms.items() if arm.trained]
    assert tuned == ["full.pocket_nli.epochs2.s0", "full.own.epochs2.s0"]
    assert [finetune_slice(few, arm) for arm in tuned] == [
        finetune_slice(many, arm) for arm in tuned
    ]
    assert many.arms.keys() - few.arms.keys() == {
        "full.pocket_nli.epochs3.s0",
        "full.own.epochs3.s0",
    }


def test_a_group_can_be_at_some_checkpoints_alone(read):
    grid = read("checkpoints: [step16]")
    assert grid.checkpoints_of("base") == ["step4", "step16"]
    assert grid.checkpoints_of("full.own.s0") == ["step16"]
    assert [(checkpoint, arm.name) for checkpoint, arm in grid.models()] == [
        ("step4", "base"),
        ("step16", "base"),
        ("step16", "full.pocket_nli.s0"),
        ("step16", "full.own.s0"),
    ]
    assert len(list(grid.cells())) == 4 * len(list(grid.scores()))


def test_the_audit_asks_only_of_settings_that_decide_what_is_trained_on(read):
    grid = read("sweep: {epochs: [2, 3]}")
    assert list(checked_trainings(grid)) == ["full.pocket_nli", "full.own"]
    assert check_of(grid, grid.arms["full.own.epochs3.s0"]) == "full.own"
    grid = read("sweep: {batch_size: [2, 4]}")
    assert trained_slice(grid, "full.own.batch_size4")["settings"]["batch_size"] == 4


SWEEP = "finetune.full.sweep"
MISTAKES = [
    ("sweep: {}", f"{SWEEP} = {{}}: Dictionary should have at least 1 item"),
    ("sweep: {epcohs: [1]}", f"{SWEEP}.epcohs.0: unknown key 'epcohs'; did you mean"),
    ("sweep: {epochs: [1, 0]}", f"{SWEEP}.epochs.1: epochs: found 0, expected 1 or more"),
    ("sweep: {epochs: [1, 1]}", f"{SWEEP}.epochs.1: 1 is in the list twice; remove one"),
    ("sweep: {epochs: [[1]]}", f"{SWEEP}.epochs.0: found [1], expected one number, word or true"),
    ("sweep: {epochs: [1.5]}", f"{SWEEP}.epochs.0 = 1.5: expected a valid integer"),
    ("sweep: {weight_decay: [1e-3]}", f"{SWEEP}.weight_decay.0 = '1e-3': expected a valid number"),
    ("sweep: {validation_steps: [1]}", f"{SWEEP}.validation_steps.0 = 1: expected a valid list"),
    ("sweep: {lr: [1.0e-3, 1.0e-4]}", f"{SWEEP}.lr: task pocket_nli also sets it (study.yaml:9);"),
    ("checkpoints: [step17]", "finetune.full.checkpoints: unknown 'step17'; did you mean"),
    ("sweep: [{}, {}]", f"{SWEEP}: {{}} is in the list twice; remove one"),
    ("sweep: [{l2sp: [-1.0]}]", f"{SWEEP}.0.l2sp.0: l2sp: found -1.0, expected 0 or more"),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES)
def test_mistakes_are_named_by_their_place(read, line, said):
    assert read(line).startswith(f"study.yaml:11: {said}")


def test_a_value_is_named_by_its_own_line(read):
    found = read("sweep:", "  epochs:", "    - 1", "    - -2")
    assert found == f"study.yaml:14: {SWEEP}.epochs.1: epochs: found -2, expected 1 or more"


def test_what_does_not_go_with_a_tasks_settings_is_refused_at_the_sweep(read):
    edits = {
        "lr: 1.0e-3}": "lr: 1.0e-3, validation_examples: 2}",
        "{lr: 5.0e-4}": "{}",
        "own: {}": "own: {validation_steps: [1]}",
    }
    found = read("sweep: {validation_examples: [2, 0]}", edits=edits)
    assert found.startswith(f"study.yaml:11: {SWEEP}: validation_examples: found 0, expected 1 or")
