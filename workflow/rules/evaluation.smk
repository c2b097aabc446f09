# Scores: one job a checkpoint and arm loads the model once and scores every cell that the
# store does not hold yet. Its output is a record of the cells, whose files are not declared.
# One small file is the input of all in place of dozens: of a large plan, most edges were these.
rule digest_splits:
    input:
        script=ancient_program("digest_splits"),
        checks=CHECKED,
    output:
        RESULTS.digests,
    log:
        RESULTS.log("digest_splits"),
    priority: 1
    localrule: True
    conda:
        "../../envs/environment.yaml"
    message:
        "Digest the data that models are scored on"
    shell:
        "python {input.script:q}"
        f" --checks {RESULTS.checks}/scored --datasets {' '.join(GRID.datasets)}"
        " --output {output:q} 2> {log:q}"


# What deletes a model keeps what it tells of its training.
KEEP_RECORDS = "" if STUDY.keep_models else f" --records {RESULTS.training_records(*MODEL)}"


# Their code; what it is decides the key of a cell.
METRICS = list(GRID.fetched_metrics())


rule evaluate_model:
    input:
        script=ancient_program("evaluate_model"),
        model=INPUTS.model,
        snapshots=INPUTS.snapshots,
        merged=INPUTS.merged,
        checkpoint=INPUTS.checkpoint,
        splits=RESULTS.digests,
        metrics=ancient(METRICS),
    output:
        RESULTS.scored_model("{checkpoint}", "{arm}"),
    log:
        RESULTS.log("evaluate_model", "{checkpoint}", "{arm}"),
    benchmark:
        RESULTS.benchmark("evaluate_model", "{checkpoint}", "{arm}")
    # A model is scored before another is trained: the preview shows it, or it can go.
    priority: 1
    conda:
        "../../envs/environment.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=RESOURCES.evaluation_gpus(),
        gpu_model=lambda wildcards, attempt: RESOURCES.evaluate_gpu(attempt),
        nodes=1,
        mem_mb=lambda wildcards, attempt: RESOURCES.evaluate_memory(attempt, wildcards.arm),
        runtime=lambda wildcards, attempt: RESOURCES.evaluate_minutes(attempt, wildcards.arm),
        slurm_extra=RESOURCES.early_signal(),
    params:
        plan=slice_of("evaluate_model", slices.evaluation_slice, "arm"),
        weights=lambda wildcards: INPUTS.weights_read(wildcards.checkpoint, wildcards.arm),
    message:
        "Evaluate {wildcards.checkpoint} {wildcards.arm}"
    shell:
        f"{JOB} --record {RESULTS.job_records('evaluate_model', *MODEL)}"
        " --gpus {resources.gpu} -- python {input.script:q} --model {input.model:q}"
        " --checkpoint {input.checkpoint:q} --plan {params.plan:q}"
        f" --data {RESULTS.datasets} --store {RESULTS.cell_store}"
        " --record {output:q}"
        f" --output {RESULTS.evaluation(*MODEL)} --seen {RESULTS.seen('models', *MODEL)}"
        " --told={params.weights:q} --threads {threads}"
        f"{KEEP_RECORDS}"
        " 2> {log:q}"
        f" && rm -rf {RESULTS.tuning_state(*MODEL)} {RESULTS.tuning_state(*MODEL)}@*"


rule evaluation:
    input:
        SCORED,


# What the queue would meet, in a minute, before a study is submitted: it always runs.
rule check_gpu:
    log:
        RESULTS.log("check_gpu"),
    conda:
        "../../envs/environment.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=STUDY.compute.gpus,
        gpu_model=lambda wildcards: RESOURCES.evaluate_gpu(1),
        nodes=1,
        mem_mb=8000,
        runtime=10,
    params:
        script=program("check_gpu"),
    message:
        "Check GPU, driver and torch"
    shell:
        f"{JOB} --record {RESULTS.job_records('check_gpu')}"
        " --gpus {resources.gpu} -- python {params.script:q} --gpus {resources.gpu} > {log:q} 2>&1"
