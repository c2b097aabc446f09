# Prepared splits: columns mapped to template fields, unlabelled rows dropped and counted. Before
# any GPU hour, each is checked for what trains on it or is scored on it: a refusal stops the study.
from ptft.audit.tokenizers import tokenizer_wanted

CHECKED = [RESULTS.scored_check(dataset) for dataset in GRID.datasets]
CHECKS = ["audit_splits", "audit_prompts"]
AUDITS = [*CHECKS, *(["self_text"] if GRID.self_texts else [])]


rule prepare_split:
    input:
        script=ancient_program("prepare_split"),
        source=INPUTS.split_source,
    output:
        examples=RESULTS.split("{dataset}", "{split}"),
        audit=RESULTS.split_audit("{dataset}", "{split}"),
    log:
        RESULTS.log("prepare_split", "{dataset}", "{split}"),
    wildcard_constraints:
        dataset=one_of({name for name, _ in GRID.splits()} - GRID.harness.keys()),
    priority: 1  # what all evaluations wait for comes before trainings
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        spec=slice_of("prepare_split", slices.split_slice, "dataset", "split"),
        rows=INPUTS.source_read,
        root=STUDY.root or paths.HUB,
    message:
        "Prepare {wildcards.dataset} ({wildcards.split})"
    shell:
        "python {input.script:q} --root {params.root:q}"
        " --name {wildcards.dataset}-{wildcards.split} --spec {params.spec:q}"
        " --output {output.examples:q} --audit {output.audit:q} --told={params.rows:q}"
        f" --seen {RESULTS.seen('datasets', '{wildcards.dataset}', '{wildcards.split}')}"
        " 2> {log:q}"


# The only other program that may need a network: a task's own code may download words for it.
rule prepare_task:
    input:
        script=ancient_program("prepare_task"),
        source=INPUTS.task_source,
    output:
        examples=RESULTS.split("{dataset}", "test"),
        audit=RESULTS.split_audit("{dataset}", "test"),
    log:
        RESULTS.log("prepare_task", "{dataset}"),
    wildcard_constraints:
        dataset=one_of(GRID.harness),
    priority: 1
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        spec=slice_of("prepare_task", slices.task_slice, "dataset"),
        members=lambda wildcards, input: (
            f"--members {' '.join(input.source)}"
            if GRID.harness[wildcards.dataset].members
            else ""
        ),
    message:
        "Prepare {wildcards.dataset}"
    shell:
        "python {input.script:q} --name {wildcards.dataset} --spec {params.spec:q}"
        " {params.members} --output {output.examples:q} --audit {output.audit:q} 2> {log:q}"


# Once it is there no rule is known for it: a new first checkpoint makes no check run again.
if tokenizer_wanted(RESULTS):

    rule take_tokenizer:
        input:
            script=ancient_program("take_tokenizer"),
            checkpoint=GRID.checkpoint_folder(next(iter(GRID.checkpoints))),
        output:
            RESULTS.tokenizer,
        log:
            RESULTS.log("take_tokenizer"),
        priority: 1
        localrule: True
        conda:
            "../../envs/environment.yaml"
        message:
            "Take the tokenizer of {input.checkpoint}"
        shell:
            "python {input.script:q} --checkpoint {input.checkpoint:q} --output {output:q} 2> {log:q}"


rule check_scored:
    input:
        script=ancient_program("check_data"),
        tokenizer=RESULTS.tokenizer,
        splits=INPUTS.scored_splits,
    output:
        RESULTS.scored_check("{dataset}"),
    log:
        RESULTS.log("check_scored", "{dataset}"),
    priority: 1
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        plan=slice_of("check_scored", slices.scored_slice, "dataset"),
    message:
        "Check what is scored of {wildcards.dataset}"
    shell:
        "python {input.script:q} --plan {params.plan:q} --tokenizer {input.tokenizer:q}"
        f" --data {RESULTS.datasets}"
        " --output {output:q} 2> {log:q}"


use rule check_scored as check_trained with:
    input:
        script=ancient_program("check_data"),
        tokenizer=RESULTS.tokenizer,
        splits=INPUTS.checked_splits,
    output:
        RESULTS.trained_check("{training}"),
    log:
        RESULTS.log("check_trained", "{training}"),
    wildcard_constraints:
        training=one_of(INPUTS.trainings),
    localrule: True  # Snakemake's `use rule` does not hand this on
    params:
        plan=slice_of("check_trained", slices.trained_slice, "training"),
    message:
        "Check what {wildcards.training} is trained on"


# For the report; nothing waits for it. What compares datasets is told here and refuses nothing.
rule collect_checks:
    input:
        script=program("collect_checks"),
        modules=library("audit/tables"),
        checks=[*CHECKED, *map(RESULTS.trained_check, INPUTS.trainings)],
        tokenizer=RESULTS.tokenizer,
        examples=[RESULTS.split(dataset, split) for dataset, split in GRID.splits()],
    output:
        splits=RESULTS.table("audit_splits"),
        prompts=RESULTS.table("audit_prompts"),
        csv=[RESULTS.table(name, "csv") for name in CHECKS],
    log:
        RESULTS.log("collect_checks"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        plan=slice_of("collect_checks", slices.checks_slice),
    message:
        "Put the checks of the data into tables"
    shell:
        "python {input.script:q} --plan {params.plan:q} --checks {input.checks:q}"
        f" --data {RESULTS.datasets}"
        " --tokenizer {input.tokenizer:q} --splits {output.splits:q} --prompts {output.prompts:q}"
        " 2> {log:q}"


rule datasets:
    input:
        [RESULTS.split(dataset, split) for dataset, split in GRID.splits()],


# Nothing needs it: asked for by name, it prints each time.
rule show_prompts:
    input:
        checkpoint=GRID.checkpoint_folder(next(iter(GRID.checkpoints))),
        examples=[RESULTS.split(dataset, split) for dataset, split in GRID.splits()],
    log:
        RESULTS.log("show_prompts"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        script=program("show_prompts"),
        plan=slice_of("show_prompts", slices.samples_slice),
    message:
        f"Show prompts and training examples: {RESULTS.prompts}"
    shell:
        "python {params.script:q} --plan {params.plan:q} --model {input.checkpoint:q}"
        f" --data {RESULTS.datasets} --output {RESULTS.prompts}"
        " 2> {log:q}"
