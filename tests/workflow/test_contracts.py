"""Contracts of the DAG: what a study plans, and which jobs an edit makes again, exactly."""

import base64
import json
import re
import shutil

import polars as pl

from ptft.figures import figures_of
from ptft.runtime.job_records import read_records

CHECKPOINTS = ["step4", "step16"]
ARMS = ["base", "full.pocket_nli.s0", "full.pocket_summary.s0"]
RECORDS = [
    f"results/tiny/state/published/{checkpoint}/{arm}.json"
    for checkpoint in CHECKPOINTS
    for arm in ARMS
]
TAIL = [
    "Collect the cells",
    "Collect the fine-tuned models' settings and losses",
    "Add up the costs",
    "Analyse the cells",
    "Look at single examples",
    "Compare the models",
    "Write the findings",
    "Put the report together",
]
AUDIT = "Audit the data and the prompts of the study"
DIGEST = "Digest the data that models are scored on"
RESOLVED = "Write the resolved study"
# Full fine-tuning alone, in two formats, and no generic text.
DRAWN = [f"Draw {figure}" for figure in figures_of(["examples", "formats"])]


def evaluations(checkpoints=CHECKPOINTS, arms=ARMS):
    return [f"Evaluate {checkpoint} {arm}" for checkpoint in checkpoints for arm in arms]


def finetunings(arms, checkpoints=CHECKPOINTS):
    return [f"Fine-tune {checkpoint} as {arm}" for checkpoint in checkpoints for arm in arms]


def test_a_finished_study_has_nothing_to_do(finished):
    output = finished.snakemake("-n")
    assert finished.messages(output) == []
    assert output.endswith("Plan of tiny: nothing would run.\n")
    cells = pl.read_parquet(finished.root / "results/tiny/tables/cells.parquet")
    logs = list((finished.root / "results/tiny/logs").rglob("*.log"))
    assert logs and not [log for log in logs if b"\r" in log.read_bytes()]
    # Its programs were given files, whose names are all that a command tells.
    slices = finished.root / "results/tiny/state/slices"
    given = {str(file.relative_to(slices)) for file in slices.rglob("*.json")}
    assert {"evaluate_model.json", "finetune_model/full.pocket_nli.s0.json", "pins.json"} <= given
    main = cells.filter("main")
    # nli 2 x 2 x 2, summary 2 x 2, question 2 x 2, facts 1 x 2 (dataset x format x shots)
    assert len(main) == 2 * 3 * (8 + 4 + 4 + 2)
    assert main["value"].is_between(0, 1).all()
    assert (main["n"] == 16).all()
    report = (finished.root / "results/tiny/report.html").read_text()
    assert "cross_evaluation.svg" in report
    # Another study of the name would take these results for its own.
    shutil.copy2(finished.root / "study.yaml", finished.root / "other.yaml")
    finished.study = "other.yaml"
    assert finished.snakemake("-n", fails=True).splitlines()[-1] == (
        "other.yaml:2: study: results of the name 'tiny' belong to study.yaml; rename one of the "
        "two studies, or remove that file if this one takes its place"
    )
    (finished.root / "study.yaml").unlink()
    assert finished.planned() == ["Put the report together"]  # its command names the study's file


def test_words_that_decide_nothing_rerun_nothing(finished):
    """A comment; the help and the command of what hours hang on; where a job keeps its state."""
    finished.edit("study.yaml", "study: tiny", "# a comment\nstudy: tiny")
    for program in (
        "make_pocket_world",
        "pretrain_checkpoint",
        "prepare_split",
        "finetune_model",
        "evaluate_model",
    ):
        finished.edit(f"scripts/{program}.py", 'help="', 'help="edited: ')
    finished.edit("scripts/ptft/paths.py", "/state/finetune/", "/state/tuning/")
    for rules in ("checkpoints", "datasets", "finetuning", "evaluation"):
        finished.edit(f"workflow/rules/{rules}.smk", "{input.script:q}", "-X utf8 {input.script:q}")
    assert finished.planned() == []


def test_order_of_keys_reruns_nothing(finished):
    finished.edit(
        "study.yaml",
        "{epochs: 1, batch_size: 16, lr: 1.0e-3}",
        "{lr: 1.0e-3, epochs: 1, batch_size: 16}",
    )
    assert finished.planned() == []


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


def test_replay_beside_one_task_reruns_its_arm(finished):
    """What is replayed is prepared for it; the other arms and their models stay."""
    finished.edit(
        "study.yaml",
        "pocket_summary: {lr: 5.0e-4}",
        "pocket_summary: {lr: 5.0e-4, replay: {dataset: pocket_paraphrase, share: 0.2}}",
    )
    arm = ["full.pocket_summary.s0"]
    messages = finished.messages(finished.snakemake("-n"))
    heavy = [text for text in messages if text.startswith(("Fine-tune", "Evaluate", "Prepare"))]
    assert heavy == sorted(
        [*finetunings(arm), *evaluations(arms=arm), "Prepare pocket_paraphrase (train)"]
    )


def test_what_makes_the_audit_again_does_not_hide_what_else_has_changed(finished):
    """Training and evaluation wait for the audit, but run again for reasons of their own."""
    study = (finished.root / "study.yaml").read_text()
    finished.edit("study.yaml", "batch_size: 16", "batch_size: 8")
    assert finished.planned() == sorted(
        [AUDIT, *finetunings(ARMS[1:]), *evaluations(arms=ARMS[1:]), *TAIL, *DRAWN, RESOLVED]
    )
    (finished.root / "study.yaml").write_text(study)
    finished.edit("config/families/nli.yaml", "### Input_1: {premise}", "### First: {premise}")
    tuned = finetunings(["full.pocket_nli.s0"])
    assert finished.planned() == sorted([AUDIT, *tuned, *evaluations(), *TAIL, *DRAWN, RESOLVED])


def test_a_new_dataset_is_evaluated_and_nothing_is_trained(finished):
    finished.edit("study.yaml", "pocket_facts]", "pocket_facts, pocket_stories]")
    new = ["Prepare pocket_stories (test)", "Prepare pocket_stories (shots)", AUDIT, DIGEST]
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted([*new, *evaluations(), *TAIL, *DRAWN, RESOLVED])
    stages = finished.stages(output)
    assert (stages["evaluate"], stages["cells"]) == (6, 6 * 2)  # one format, two numbers of shots


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
    again = [AUDIT, *evaluations(), *TAIL, *DRAWN, RESOLVED]
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted(["Prepare pocket_facts (test)", DIGEST, *again])
    assert finished.stages(output)["cells"] == 6 * 2  # one format, two numbers of shots
    finished.snakemake("--until", "digest_splits")
    after = json.loads(digests.read_text())
    assert [name for name in before if before[name] != after[name]] == ["pocket_facts/test"]
    assert finished.planned() == sorted(again)
    digests.unlink()  # as their job does when it fails
    assert finished.planned() == sorted([DIGEST, *again])


def test_a_study_that_was_scored_with_the_splits_as_inputs(finished):
    """Earlier versions had no digests: nothing runs again for them, and other rows are seen."""
    results = finished.root / "results/tiny"
    for made in ("datasets/digests.json", "state/slices/digest_splits.json"):
        (results / made).unlink()
    evaluated = ["facts", "nli", "nli_ood", "question", "summary"]
    splits = [
        f"results/tiny/datasets/pocket_{dataset}/{split}.jsonl"
        for dataset in evaluated
        for split in ("shots", "test")
    ]
    for record in RECORDS:
        name = base64.urlsafe_b64encode(record.encode()).decode()
        file = finished.root / ".snakemake/metadata" / name
        noted = json.loads(file.read_text())
        noted["input"].remove("results/tiny/datasets/digests.json")
        noted["input"] = sorted([*noted["input"], *splits])
        file.write_text(json.dumps(noted))
    assert finished.planned() == []
    draw_other_facts(finished)
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted(
        ["Prepare pocket_facts (test)", AUDIT, *evaluations(), *TAIL, *DRAWN, RESOLVED]
    )
    assert finished.stages(output)["cells"] == 6 * 2


def test_generic_text_is_evaluated_and_no_other_cell_is(finished):
    """Nor is the pocket world made again, of which the text is."""
    finished.edit("study.yaml", "pocket_facts]", "pocket_facts, pocket_text]")
    new = ["Make text of the pocket world that is not in its corpus", "Prepare pocket_text (test)"]
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted(
        [
            *new,
            AUDIT,
            DIGEST,
            *evaluations(),
            *TAIL,
            *DRAWN,
            "Draw generic_text",
            RESOLVED,
        ]
    )
    stages = finished.stages(output)
    assert (stages["evaluate"], stages["cells"]) == (6, 6)  # one, whatever the formats and shots


def test_a_new_checkpoint_is_tuned_and_evaluated_alone(finished):
    finished.edit("study.yaml", "[step4, step16]", "[step4, step8, step16]")
    tuned = finetunings(ARMS[1:], ["step8"])
    assert finished.planned() == sorted([*tuned, *evaluations(["step8"]), *TAIL, *DRAWN, RESOLVED])


def test_a_sweep_is_tuned_and_evaluated_alone_where_its_group_is(finished):
    group = "  lora: {sweep: {rank: [2, 4]}, tasks: {pocket_nli: {}}, checkpoints: [step16]}"
    finished.edit("study.yaml", "evaluate:\n", f"{group}\nevaluate:\n")
    arms = [f"lora.pocket_nli.rank{rank}.s0" for rank in (2, 4)]
    output = finished.snakemake("-n")
    assert finished.messages(output) == sorted(
        [
            *(AUDIT, *finetunings(arms, ["step16"]), *evaluations(["step16"], arms)),
            *(*TAIL, *DRAWN, "Draw remedies", RESOLVED),
        ]
    )
    stages = finished.stages(output)
    assert (stages["fine-tune"], stages["evaluate"], stages["cells"]) == (2, 2, 2 * 18)
    in_all = dict(re.findall(r"^  (fine-tune|evaluate|cells) +(\d+) ", output, re.M))
    assert in_all == {"fine-tune": "6", "evaluate": "8", "cells": str(8 * 18)}


def test_a_dropped_checkpoint_only_makes_the_tables_again(finished):
    finished.edit("study.yaml", "[step4, step16]", "[step4]")
    assert finished.planned() == sorted([*TAIL, *DRAWN, RESOLVED])


def test_a_figures_script_redraws_that_figure(finished):
    finished.edit("scripts/ptft/figures/formats.py", '"""', '"""Edited. ')
    # The front page shows it, too.
    expected = ["Draw formats", "Put the report together", "Write the findings"]
    assert finished.planned() == expected


def inodes(finished):
    """Which file each cell of the store is."""
    store = finished.root / "results/tiny/state/cells"
    return {file: file.stat().st_ino for file in store.rglob("*.parquet")}


def test_a_cell_that_was_moved_away_is_scored_again_alone(finished):
    cell = "results/tiny/evaluations/step4/base/pocket_nli.io.2shot.parquet"
    before = pl.read_parquet(finished.root / cell)
    (finished.root / cell).rename(finished.root / "moved.parquet")
    output = finished.snakemake("-n", "--forcerun", "evaluate_model")
    assert f"{cell}: gone since the evaluation, which scores them again" in output
    assert finished.messages(output) == sorted([*evaluations(), *TAIL, *DRAWN])
    stages = finished.stages(output)
    assert (stages["evaluate"], stages["cells"]) == (6, 1)  # the others are in the store
    assert finished.planned() == sorted([*evaluations(["step4"], ["base"]), *TAIL, *DRAWN])
    stored = inodes(finished)
    finished.snakemake("--until", "evaluate_model")
    assert pl.read_parquet(finished.root / cell).equals(before)
    assert not (finished.root / cell).samefile(finished.root / "moved.parquet")
    [scored] = [file for file, inode in inodes(finished).items() if inode != stored[file]]
    assert scored.samefile(finished.root / cell)
    *_, last = read_records(finished.root / "results/tiny/state/jobs/evaluate_model/step4/base")
    assert (last.cells, last.reused) == (18, 17)


def test_a_study_whose_cells_were_declared(finished):
    """Earlier versions declared each cell: Snakemake has notes of these, and none of the record."""
    metadata = finished.root / ".snakemake/metadata"
    notes = {base64.urlsafe_b64encode(record.encode()).decode(): record for record in RECORDS}
    for name, record in notes.items():
        folder = record.replace("state/published", "evaluations").removesuffix(".json")
        for cell in sorted((finished.root / folder).iterdir()):
            path = str(cell.relative_to(finished.root))
            encoded = base64.urlsafe_b64encode(path.encode()).decode()
            shutil.copy2(metadata / name, metadata / encoded)
        (metadata / name).unlink()
    assert finished.planned() == []
    finished.edit("study.yaml", "lr: 5.0e-4", "lr: 4.0e-4")
    tuned = ["full.pocket_summary.s0"]
    assert finished.planned() == sorted(
        [*finetunings(tuned), *evaluations(arms=tuned), *TAIL, *DRAWN, RESOLVED]
    )
    finished.edit("study.yaml", "lr: 4.0e-4", "lr: 5.0e-4")
    finished.edit(
        "config/families/nli.yaml", 'io: "{premise} {hypothesis}"', 'io: "{premise}. {hypothesis}"'
    )
    output = finished.snakemake("-n")
    assert set(evaluations()) <= set(finished.messages(output))


def test_a_derived_arm_is_scored_by_its_parents_job(finished):
    """A new strength computes its own cells, and so does one of whose cells a file is gone."""
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
    finished.edit("study.yaml", "[0.01, 0.03]", "[0.01]")
    cell = "results/tiny/evaluations/step4/base@noise0.01/pocket_nli.io.2shot.parquet"
    before = pl.read_parquet(finished.root / cell)
    (finished.root / cell).unlink()
    output = finished.snakemake("-n", RECORDS[0])
    assert f"{cell}: gone since the evaluation" in output
    assert finished.stages(output)["cells"] == 1
    finished.snakemake(RECORDS[0])
    assert pl.read_parquet(finished.root / cell).equals(before)
    *_, last = read_records(jobs)
    assert (last.cells, last.reused) == (36, 35)


def test_a_bad_study_is_refused_before_any_job(repository, tmp_path):
    from .conftest import make_clone

    clone = make_clone(repository, tmp_path / "clone", "tiny")
    unknown = "is neither a rule nor a file of this study; "
    cell = "is not a target: one job scores all cells of a model and is asked for by their record "
    cells = "results/tiny/evaluations/step4"
    for target, answer in {
        "results/tiny/reprt.html": f"{unknown}nearest: results/tiny/report.html",
        "figure": f"{unknown}nearest: figures",
        "xyz": f"{unknown}`snakemake --list-target-rules` shows the rules",
        "results/tiny/state/published/step4/bas.json": f"{unknown}nearest: {RECORDS[0]}, ",
        f"{cells}/base/pocket_nli.io.2shot.parquet": f"{cell}({RECORDS[0]}), ",
        f"{cells}/bass": f"{cell}(one of results/tiny/state/published), ",
    }.items():
        refusal = clone.snakemake("-n", target, fails=True).splitlines()[-1]
        assert refusal.startswith(f"{target!r} {answer}")
    refusal = clone.snakemake("-n", "--config", "data={trian: 8}", fails=True).splitlines()[1:]
    assert refusal == ["--config: unknown key 'data.trian'; did you mean 'train'?"]
    clone.edit("study.yaml", "lr: 1.0e-3", "lr: 1e-3")
    profile, *refusal = clone.snakemake("-n", fails=True).splitlines()
    assert profile.startswith("Using workflow specific profile")  # Snakemake's own line
    assert refusal == [
        "study.yaml:8: finetune.full.settings.lr = '1e-3': expected a number, found text: YAML "
        "reads 1e-3 without a dot as a string; write 1.0e-3"
    ]
    # Snakemake reads the study before the Snakefile and would name no file and no line.
    clone.edit("study.yaml", "lr: 1e-3", "\tlr: 1e-3")
    assert clone.snakemake("-n", fails=True).splitlines()[1:] == [
        "study.yaml:8: found 'settings: {epochs: 1, batch_size: 16, \\tlr: 1e-3}': a tab, where "
        "YAML takes spaces alone; indent it by spaces, as its neighbours are"
    ]


def test_a_missing_backend_is_refused_before_any_job(repository, tmp_path):
    from .conftest import make_clone

    clone = make_clone(repository, tmp_path / "clone", "tiny")
    clone.edit("study.yaml", "shots: [0, 2]", "shots: [0, 2]\n  generation_backend: vllm")
    output = clone.snakemake(fails=True)
    refusal = "evaluate.generation_backend: found vllm, which is not installed here"
    assert output.splitlines()[-1].startswith(refusal)
    assert "ModuleNotFoundError" not in output
    assert not (clone.root / "results/tiny/logs").exists()
