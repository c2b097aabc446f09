"""Contracts of the DAG: what a study plans, and which jobs an edit makes again, exactly."""

import hashlib
import json
import os
import re
import shutil

import polars as pl
from own_tasks import write_tasks

from ptft.evaluation.records import recorded_cells, recorded_slice
from ptft.figures import drawn_together, figures_of
from ptft.runtime.job_records import read_records

CHECKPOINTS = ["step4", "step16"]
ARMS = ["base", "full.pocket_nli.s0", "full.pocket_summary.s0"]
RECORDS = [
    f"results/tiny/state/scored/{checkpoint}/{arm}.json"
    for checkpoint in CHECKPOINTS
    for arm in ARMS
]
TAIL = [
    "Collect the cells",
    "Analyse the cells",
    "Look at single examples",
    "Compare the models",
    "Write the report",
]
CHECKS = "Put the checks of the data into tables"
DIGEST = "Digest the data that models are scored on"
RESOLVED = "Write the resolved study"
# Full fine-tuning alone, in two formats, and no generic text.
DRAWN = [
    f"Draw figures of {module}" for module in drawn_together(figures_of(["examples", "formats"]))
]


def evaluations(checkpoints=CHECKPOINTS, arms=ARMS):
    return [f"Evaluate {checkpoint} {arm}" for checkpoint in checkpoints for arm in arms]


def finetunings(arms, checkpoints=CHECKPOINTS):
    return [f"Fine-tune {checkpoint} as {arm}" for checkpoint in checkpoints for arm in arms]


def scored(*datasets):
    return [f"Check what is scored of pocket_{dataset}" for dataset in datasets]


def trained(*trainings):
    return [f"Check what {training} is trained on" for training in trainings]


def test_a_finished_study_has_nothing_to_do(finished):
    output = finished.snakemake("-n")
    assert finished.messages(output) == []
    assert output.endswith("Plan of tiny: nothing would run.\n")
    cells = pl.read_parquet(finished.root / "results/tiny/tables/cells.parquet")
    logs = list((finished.root / "results/tiny/logs").rglob("*.log"))
    assert logs and not [log for log in logs if b"\r" in log.read_bytes()]
    # Each job was given its slice in a file that is named by its content; records name theirs.
    for file in (finished.root / "results/tiny/state/slices").rglob("*.json"):
        assert file.stem == hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    plans = {recorded_slice(finished.root / record) for record in RECORDS}
    [plan] = plans
    assert plan.match("results/tiny/state/slices/evaluate_model/*.json")
    assert len(list((finished.root / plan).parent.iterdir())) == 1
    main = cells.filter("main")
    # nli 2 x 2 x 2, summary 2 x 2, question 2 x 2, facts 1 x 2 (dataset x format x shots)
    assert len(main) == 2 * 3 * (8 + 4 + 4 + 2)
    assert main["value"].is_between(0, 1).all()
    assert (main["n"] == 16).all()
    report = (finished.root / "results/tiny/report.html").read_text()
    assert 'id="figure-cross_evaluation"' in report
    # Another study of the name would take these results for its own.
    shutil.copy2(finished.root / "study.yaml", finished.root / "other.yaml")
    finished.study = "other.yaml"
    assert finished.snakemake("-n", fails=True).splitlines()[-1] == (
        "other.yaml:2: study: results of the name 'tiny' belong to study.yaml; rename one of the "
        "two studies, or remove that file if this one takes its place"
    )
    (finished.root / "study.yaml").unlink()
    assert finished.planned() == []


def test_what_a_queue_would_meet_is_checked_each_time_that_it_is_asked_for(finished):
    output = finished.snakemake("check_gpu")
    assert "one update of 8 examples: " in output
    assert "one scored batch of 8 prompts: " in output
    assert len(finished.planned("check_gpu")) == 1


def test_words_that_decide_nothing_rerun_nothing(finished):
    """A comment, the order of keys; programs and commands of long jobs; where a state is kept."""
    finished.edit("study.yaml", "study: tiny", "# a comment\nstudy: tiny")
    settings = "epochs: 1, batch_size: 16, lr: 1.0e-3"
    finished.edit("study.yaml", settings, "lr: 1.0e-3, epochs: 1, batch_size: 16")
    for program in (
        "make_pocket_world",
        "pretrain_checkpoint",
        "prepare_split",
        "finetune_model",
        "evaluate_model",
    ):
        with (finished.root / f"scripts/{program}.py").open("a") as file:
            file.write("# Edited.\n")
    finished.edit("scripts/ptft/paths.py", "/state/finetune/", "/state/tuning/")
    for rules in ("checkpoints", "datasets", "finetuning", "evaluation"):
        finished.edit(f"workflow/rules/{rules}.smk", "{input.script:q}", "-X utf8 {input.script:q}")
    assert finished.planned() == []


def test_checkpoints_write_what_the_arms_that_ask_replay(finished):
    """Each once; arms that ask for it are trained again, and learn what the checkpoint predicts."""
    replay = "replay: {dataset: self, share: 0.5, samples: 8, tokens: 16, learn: distributions}"
    finished.edit("study.yaml", "lr: 5.0e-4", f"lr: 5.0e-4, {replay}")
    arm = ["full.pocket_summary.s0"]
    wrote = [f"Let {checkpoint} write text for its replay" for checkpoint in CHECKPOINTS]
    output = finished.snakemake("-n")
    again = [*finetunings(arm), *evaluations(arms=arm), *TAIL, *DRAWN, RESOLVED]
    check = trained("full.pocket_summary.replay-self")
    assert finished.messages(output) == sorted(
        [*again, *wrote, *check, CHECKS, "Tell what the checkpoints wrote"]
    )
    assert "write text          2        2" in output
    model = f"results/tiny/models/step4/{arm[0]}"
    finished.snakemake(model)
    summary = json.loads((finished.root / model / "training.json").read_text())
    assert summary["settings"]["replay"]["learn"] == "distributions"
    assert (summary["replay_set"], summary["replayed_examples"]) == (8, summary["examples"] / 2)
    finished.edit("study.yaml", "pocket_nli: {}", f"pocket_nli: {{{replay}}}")
    of_step4 = [job for job in finished.planned() if "step4" in job]
    assert [job for job in of_step4 if not job.startswith("Evaluate")] == finetunings(
        ["full.pocket_nli.s0"], ["step4"]
    )


def test_a_link_of_a_chain_is_made_again_with_the_one_before(finished):
    """It alone is new in a study that gets it; another model before it makes another of it."""

    def tuned():
        return [job for job in finished.planned() if job.startswith(("Fine-tune", "Evaluate"))]

    link = "then: {two: {after: full.pocket_nli, task: pocket_summary}}"
    finished.edit("study.yaml", "    tasks:\n", f"    {link}\n    tasks:\n")
    arm = "full.pocket_summary.two.s0"
    assert tuned() == sorted([*finetunings([arm]), *evaluations(arms=[arm])])
    finished.edit("study.yaml", "pocket_nli: {}", "pocket_nli: {lr: 2.0e-3}")
    arms = [arm, "full.pocket_nli.s0"]
    assert tuned() == sorted([*finetunings(arms), *evaluations(arms=arms)])


def test_a_learning_rate_of_one_task_reruns_its_arm(finished):
    finished.edit("study.yaml", "lr: 5.0e-4", "lr: 4.0e-4")
    arm = ["full.pocket_summary.s0"]
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted(
        [*finetunings(arm), *evaluations(arms=arm), *TAIL, *DRAWN, RESOLVED]
    )
    light = len(TAIL) + len(DRAWN) + 1
    tuned = {"fine-tune": 2, "evaluate": 2, "cells": 2 * 18}
    assert finished.stages(output) == {"pre-train": 0, **tuned, "other jobs": light}
    # The study's own jobs say how long that takes: 4 fine-tunings and 6 evaluations.
    assert "estimated from 10 finished jobs of this study and 7 audited splits" in output
    output = finished.snakemake("-n", "--until", "finetune_model")
    assert finished.stages(output) == {
        "pre-train": 0,
        "fine-tune": 2,
        "evaluate": 0,
        "cells": 0,
        "other jobs": 0,
    }


def test_what_runs_a_check_again_does_not_hide_what_else_has_changed(finished):
    """Training and evaluation wait for checks, but run again for reasons of their own."""
    study = (finished.root / "study.yaml").read_text()
    finished.edit("study.yaml", "batch_size: 16", "batch_size: 8")
    again = [*trained("full.pocket_nli", "full.pocket_summary"), CHECKS]
    assert finished.planned() == sorted(
        [*again, *finetunings(ARMS[1:]), *evaluations(arms=ARMS[1:]), *TAIL, *DRAWN, RESOLVED]
    )
    (finished.root / "study.yaml").write_text(study)
    finished.edit("config/families/nli.yaml", "### Input_1: {premise}", "### First: {premise}")
    tuned = finetunings(["full.pocket_nli.s0"])
    again = [*scored("nli", "nli_ood"), *trained("full.pocket_nli"), CHECKS, DIGEST]
    assert finished.planned() == sorted([*again, *tuned, *evaluations(), *TAIL, *DRAWN, RESOLVED])
    # A new dataset beside a new learning rate: both are done at once.
    finished.edit("config/families/nli.yaml", "### First: {premise}", "### Input_1: {premise}")
    finished.edit("study.yaml", "pocket_facts]", "pocket_facts, pocket_stories]")
    finished.edit("study.yaml", "lr: 5.0e-4", "lr: 4.0e-4")
    tuned = finetunings(["full.pocket_summary.s0"])
    planned = finished.planned()
    assert [job for job in planned if job.startswith("Fine-tune")] == sorted(tuned)
    assert {*evaluations(), *scored("stories"), RESOLVED} <= set(planned)


def test_a_check_that_is_edited_trains_nothing_again(finished):
    """Nor does a raised version of the checks: what they count is counted again for the tables."""
    for module in ("ptft/audit/checks", "check_data"):
        with (finished.root / f"scripts/{module}.py").open("a") as file:
            file.write("# Edited.\n")
    assert finished.planned() == []
    finished.edit("scripts/ptft/versions.py", "CHECKS_VERSION = 1", "CHECKS_VERSION = 99")
    report = ["Write the report"]
    assert finished.planned() == sorted([CHECKS, *report])
    before = pl.read_parquet(finished.root / "results/tiny/tables/audit_prompts.parquet")
    finished.snakemake("--until", "collect_checks")
    after = pl.read_parquet(finished.root / "results/tiny/tables/audit_prompts.parquet")
    assert after.equals(before) and after.height == 18


def test_evaluations_that_failed_are_planned_again(finished):
    """There is a table of before; what asks for it asks for every record, too."""
    finished.edit(
        "config/families/nli.yaml", 'io: "{premise} {hypothesis}"', 'io: "{premise}. {hypothesis}"'
    )
    program = finished.root / "scripts/evaluate_model.py"
    text = program.read_text()
    program.write_text("raise SystemExit('error: not today')")
    finished.snakemake("--keep-going", fails=True)
    assert [record for record in RECORDS if (finished.root / record).exists()] == []
    program.write_text(text)
    for target in ("tables", "export"):
        assert set(evaluations()) <= set(finished.planned(target))


def test_a_new_dataset_is_evaluated_and_nothing_is_trained(finished):
    finished.edit("study.yaml", "pocket_facts]", "pocket_facts, pocket_stories]")
    new = ["Prepare pocket_stories (test)", "Prepare pocket_stories (shots)", CHECKS, DIGEST]
    new += scored("stories")
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted([*new, *evaluations(), *TAIL, *DRAWN, RESOLVED])
    stages = finished.stages(output)
    assert (stages["evaluate"], stages["cells"]) == (6, 6 * 2)  # one format, two numbers of shots


def test_a_task_of_the_harness_scores_its_own_cells_alone(finished):
    """A group with its members: prepared, checked and scored, the group as the members' mean."""
    write_tasks(finished.root, 6)
    finished.edit(
        "study.yaml", "pocket_facts]", "pocket_facts]\n  harness: {tasks: [both], include: tasks}"
    )
    names = ["both", "shapes", "sizes"]
    new = [f"Prepare harness_{name}" for name in names] + [CHECKS, DIGEST]
    new += [f"Check what is scored of harness_{name}" for name in names]
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted([*new, *evaluations(), *TAIL, *DRAWN, RESOLVED])
    stages = finished.stages(output)
    assert (stages["evaluate"], stages["cells"]) == (6, 6 * 3)
    record = finished.root / "results/tiny/state/scored/step16/base.json"
    before = recorded_cells(record)
    finished.snakemake("--until", "evaluate_model", str(record.relative_to(finished.root)))
    after = recorded_cells(record)
    assert before.items() < after.items() and len(after) == len(before) + 3
    folder = finished.root / "results/tiny/evaluations/step16/base"
    frames = [pl.read_parquet(folder / f"harness_{name}.default.0shot.parquet") for name in names]
    assert [len(frame) for frame in frames] == [12, 6, 6]
    values = [frame["acc"].mean() for frame in frames]
    assert frames[0]["score"].mean() == values[0] == (values[1] + values[2]) / 2


def draw_other_facts(finished):
    """Let the test split of one dataset hold other rows."""
    splits = "repository: pocket/facts\n    splits: {shots: train, test: "
    finished.edit("config/families/completion.yaml", f"{splits}test", f'{splits}"test[4:]"')


def test_other_rows_of_a_dataset_score_its_cells_again(finished):
    """Also where the run that noticed them has ended; the same rows once more change nothing."""
    digests = finished.root / "results/tiny/datasets/digests.json"
    before = json.loads(digests.read_text())
    # nli and its other sentences, summary, question, facts: test and shots
    assert len(before) == len(set(before.values())) == 5 * 2
    finished.snakemake("--forcerun", "digest_splits", "--until", "digest_splits")
    assert finished.planned() == []
    draw_other_facts(finished)
    again = [CHECKS, *evaluations(), *TAIL, *DRAWN, RESOLVED]
    output = finished.snakemake("-n")
    new = ["Prepare pocket_facts (test)", *scored("facts"), DIGEST]
    assert finished.messages(output) == sorted([*new, *again])
    assert finished.stages(output)["cells"] == 6 * 2  # one format, two numbers of shots
    finished.snakemake("--until", "digest_splits")
    after = json.loads(digests.read_text())
    assert [name for name in before if before[name] != after[name]] == ["pocket_facts/test"]
    assert finished.planned() == sorted(again)
    digests.unlink()  # as their job does when it fails
    assert finished.planned() == sorted([DIGEST, *again])


def put_in_place(file, other):
    """As `mv` or `rsync -a` do: another file, with an older time."""
    draft = file.with_name("draft")
    shutil.copyfile(other, draft)
    os.utime(draft, (10**9, 10**9))
    os.replace(draft, file)


def test_data_and_weights_that_older_ones_replace_are_noticed(finished):
    """Files that hold the same, whatever their dates, make nothing again."""
    data = finished.root / "resources/pocket/datasets/pocket"
    [rows] = (data / "facts").rglob("test*.parquet")
    [others] = (data / "question").rglob("test*.parquet")
    models = finished.root / "resources/models/tiny"
    weights, later = (models / step / "model.safetensors" for step in CHECKPOINTS)
    for file in (rows, weights):
        put_in_place(file, file)
    assert finished.planned() == []
    before = weights.read_bytes()
    put_in_place(weights, later)
    assert finished.planned() == sorted(
        [*finetunings(ARMS[1:], ["step4"]), *evaluations(["step4"]), *TAIL, *DRAWN]
    )
    weights.write_bytes(before)
    put_in_place(rows, others)
    new = ["Prepare pocket_facts (test)", *scored("facts"), DIGEST, CHECKS]
    assert set(new) <= set(finished.planned())


def test_generic_text_is_evaluated_and_no_other_cell_is(finished):
    """Nor is the pocket world made again, of which the text is."""
    finished.edit("study.yaml", "pocket_facts]", "pocket_facts, pocket_text]")
    new = ["Make text of the pocket world that is not in its corpus", "Prepare pocket_text (test)"]
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted(
        [
            *(*new, *scored("text"), CHECKS, DIGEST),
            *evaluations(),
            *TAIL,
            *DRAWN,
            RESOLVED,
        ]
    )
    stages = finished.stages(output)
    assert (stages["evaluate"], stages["cells"]) == (6, 6)  # one, whatever the formats and shots


def test_a_new_checkpoint_is_tuned_and_evaluated_alone(finished):
    """Also one before the first, whose tokenizer the data was checked with."""
    finished.edit("study.yaml", "[step4, step16]", "[step8, step4, step16]")
    tuned = finetunings(ARMS[1:], ["step8"])
    assert finished.planned() == sorted([*tuned, *evaluations(["step8"]), *TAIL, *DRAWN, RESOLVED])


def test_a_sweep_is_tuned_and_evaluated_alone_where_its_group_is(finished):
    group = "  lora: {sweep: {rank: [2, 4]}, tasks: {pocket_nli: {}}, checkpoints: [step16]}"
    finished.edit("study.yaml", "evaluate:\n", f"{group}\nevaluate:\n")
    arms = [f"lora.pocket_nli.rank{rank}.s0" for rank in (2, 4)]
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted(
        [
            *(*trained("lora.pocket_nli"), CHECKS),
            *(*finetunings(arms, ["step16"]), *evaluations(["step16"], arms)),
            *(*TAIL, *DRAWN, RESOLVED),
        ]
    )
    stages = finished.stages(output)
    assert (stages["fine-tune"], stages["evaluate"], stages["cells"]) == (2, 2, 2 * 18)
    in_all = dict(re.findall(r"^  (fine-tune|evaluate|cells) +(\d+) ", output, re.M))
    assert in_all == {"fine-tune": "6", "evaluate": "8", "cells": str(8 * 18)}


def test_what_no_score_hangs_on_trains_and_scores_nothing_again(finished):
    """The code of a figure, which the page shows, too; other GPUs; one checkpoint fewer."""
    finished.edit("scripts/ptft/figures/formats.py", '"""', '"""Edited. ')
    figure = ["Draw figures of formats", "Write the report"]
    assert finished.planned() == figure
    models = "compute: {gpus: 1, gpu_models: {l4: 24, a100: 80}}"
    finished.edit("study.yaml", "bootstrap:", f"{models}\nbootstrap:")
    assert finished.planned() == [*figure, RESOLVED]
    finished.edit("study.yaml", "[step4, step16]", "[step4]")
    assert finished.planned() == sorted([*TAIL, *DRAWN, RESOLVED])


def test_who_reads_a_cell_that_is_gone_says_how_to_get_it_back(finished):
    cell = "results/tiny/evaluations/step4/base/pocket_nli.io.2shot.parquet"
    before = pl.read_parquet(finished.root / cell)
    (finished.root / cell).unlink()
    assert finished.planned() == []  # no table would differ
    finished.edit("scripts/collect_cells.py", "MOST_SECONDS = 60", "MOST_SECONDS = 0.1")
    said = finished.snakemake("--forcerun", "collect_cells", "--until", "collect_cells", fails=True)
    assert f"{cell}: gone since the evaluation; `rm {RECORDS[0]}` and call snakemake" in said
    (finished.root / RECORDS[0]).unlink()
    assert finished.planned() == sorted([*evaluations(["step4"], ["base"]), *TAIL, *DRAWN])
    finished.snakemake("--until", "evaluate_model")
    assert pl.read_parquet(finished.root / cell).equals(before)
    *_, last = read_records(finished.root / "results/tiny/state/jobs/evaluate_model/step4/base")
    assert (last.cells, last.reused) == (18, 18)


def test_a_derived_arm_is_scored_by_its_parents_job(finished):
    """A new strength computes its own cells."""
    noise = "derive: {noise: {of: [base], strengths: [0.01]}}\nevaluate:"
    finished.edit("study.yaml", "evaluate:", noise)
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted(
        [*evaluations(arms=["base"]), *TAIL, *DRAWN, RESOLVED]
    )
    stages = finished.stages(output)
    assert (stages["fine-tune"], stages["evaluate"], stages["cells"]) == (0, 2, 2 * 18)
    finished.snakemake(RECORDS[0])
    jobs = finished.root / "results/tiny/state/jobs/evaluate_model/step4/base"
    *_, last = read_records(jobs)
    assert (last.cells, last.reused, last.examples) == (36, 18, 18 * 16)
    assert finished.stages(finished.snakemake("-n"))["cells"] == 18  # of the other checkpoint
    finished.edit("study.yaml", "[0.01]", "[0.01, 0.03]")
    assert finished.stages(finished.snakemake("-n", RECORDS[0]))["cells"] == 18


def test_a_snapshot_asked_for_later_trains_a_copy_so_far(finished, monkeypatch):
    """The finished model and its scores stay; a training that is still to run leaves it."""
    finished.edit("study.yaml", "    tasks:\n", "    snapshots: [2]\n    tasks:\n")
    ways = [f"{arm}@step2" for arm in ARMS[1:]]
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted(
        [
            *(*finetunings(ways), *evaluations(arms=ARMS[1:]), *TAIL, *DRAWN),
            *("Draw figures of snapshots", RESOLVED),
        ]
    )
    stages = finished.stages(output)
    assert (stages["fine-tune"], stages["evaluate"], stages["cells"]) == (4, 4, 4 * 18)
    results = finished.root / "results/tiny"
    model = results / "models/step4" / ARMS[1]
    before = {file.name: file.stat().st_mtime_ns for file in model.iterdir()}
    finished.snakemake(RECORDS[1])
    assert before == {file.name: file.stat().st_mtime_ns for file in model.iterdir()}
    copy = results / "models/step4" / ways[0]
    assert json.loads((copy / "training.json").read_text())["steps"] == 2
    *_, last = read_records(results / "state/jobs/evaluate_model/step4" / ARMS[1])
    assert (last.cells, last.reused) == (36, 18)
    assert not (results / "state/finetune/step4" / ways[0]).exists()
    assert finished.planned(RECORDS[1]) == []
    finished.edit("study.yaml", "snapshots: [2]", "snapshots: [2, 0.5]")
    half = f"{ARMS[1]}@step0.5"
    tuned = finetunings([half], ["step4"])
    assert finished.planned(RECORDS[1]) == sorted([*tuned, *evaluations(["step4"], [ARMS[1]])])
    # Both are on the way of another training: their jobs link files, and need no GPU.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    finished.edit("study.yaml", "lr: 1.0e-3", "lr: 2.0e-3")
    finished.edit("study.yaml", "bootstrap:", "compute: {gpus: 1}\nbootstrap:")
    shutil.rmtree(model)
    finished.snakemake(RECORDS[1])
    for name, gpus in ((ARMS[1], ("0",)), (ways[0], ()), (half, ())):
        *_, last = read_records(results / "state/jobs/finetune_model/step4" / name)
        assert (last.reused, last.gpus) == (0 if gpus else 1, gpus)
    assert copy.exists() and finished.planned(RECORDS[1]) == []


def test_adopting_trains_nothing(finished):
    """A tuned model of others is scored beside its checkpoint; here it is one of our own."""
    ours = finished.root / "results/tiny/models/step4" / ARMS[1]
    shutil.copytree(ours, finished.root / "theirs")
    adopted = "adopt: {sft: {path: theirs, base: step4, task: pocket_nli}}\nevaluate:"
    finished.edit("study.yaml", "evaluate:", adopted)
    jobs = ["Adopt sft at step4", *evaluations(["step4"], ["sft"])]
    assert finished.planned() == sorted([*jobs, *TAIL, *DRAWN, RESOLVED])
    record = "results/tiny/state/scored/step4/sft.json"
    finished.snakemake(record)
    assert (
        json.loads((finished.root / record).read_text())["cells"]
        == (json.loads((finished.root / RECORDS[1]).read_text())["cells"])
    )
    assert finished.planned(record) == []
    other = finished.root / "results/tiny/models/step16" / ARMS[1] / "model.safetensors"
    (finished.root / "theirs/model.safetensors").unlink()
    shutil.copyfile(other, finished.root / "theirs/model.safetensors")
    assert finished.planned(record) == jobs


def test_a_bad_study_is_refused_before_any_job(repository, tmp_path):
    from .conftest import make_clone

    clone = make_clone(repository, tmp_path / "clone", "tiny")
    unknown = "is neither a rule nor a file of this study; "
    cell = "results/tiny/evaluations/step4/base/pocket_nli.io.2shot.parquet"
    for target, answer in {
        "results/tiny/reprt.html": f"{unknown}nearest: results/tiny/report.html",
        "figure": f"{unknown}nearest: figures",
        "xyz": f"{unknown}`snakemake --list-target-rules` shows the rules",
        cell: "is not a target: one job scores all cells of a model",
    }.items():
        refusal = clone.snakemake("-n", target, fails=True).splitlines()[-1]
        assert refusal.startswith(f"{target!r} {answer}")
    refusal = clone.snakemake("-n", "--config", "data={trian: 8}", fails=True).splitlines()[1:]
    assert refusal == ["--config: data.trian: unknown key 'trian'; did you mean 'train'?"]
    study = (clone.root / "study.yaml").read_text()
    clone.edit("study.yaml", "shots: [0, 2]", "shots: [0, 2]\n  generation_backend: vllm")
    refusal = clone.snakemake(fails=True).splitlines()[-1]
    assert refusal.startswith("evaluate.generation_backend: found vllm, which is not installed")
    assert not (clone.root / "results/tiny/logs").exists()
    (clone.root / "study.yaml").write_text(study)
    clone.edit("study.yaml", "lr: 1.0e-3", "lr: 1e-3")
    profile, *refusal = clone.snakemake("-n", fails=True).splitlines()
    assert profile.startswith("Using workflow specific profile")  # Snakemake's own line
    assert refusal == [
        "study.yaml:8: finetune.full.settings.lr = '1e-3': expected a valid number: YAML reads "
        "1e-3 without a dot as a string; write 1.0e-3"
    ]
    # Snakemake reads the study before the Snakefile and would name no file and no line.
    clone.edit("study.yaml", "lr: 1e-3", "\tlr: 1e-3")
    [refusal] = clone.snakemake("-n", fails=True).splitlines()[1:]
    assert refusal.startswith(
        "study.yaml:8: found 'settings: {epochs: 1, batch_size: 16, \\tlr: 1e-3}'"
    )
