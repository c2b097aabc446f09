# Scores: one job a checkpoint and arm loads the model once and scores every cell that the
# store does not hold yet. Its output is a record of the cells, whose files are not declared.
SLICES.add("evaluate_model", content=partial(evaluation_slice, GRID))
for name, derived in GRID.parents.items():
    if derived:
        SLICES.add("evaluate_model", name, content=partial(evaluation_slice, GRID, name))
EVALUATED = [(dataset, split) for dataset, split in GRID.splits() if split != "train"]
READ = [RESULTS.split(dataset, split) for dataset, split in EVALUATED]
# One small file is their input in place of dozens: of a large plan, most edges were these. To
# Snakemake another set of inputs is a reason to run, so a study whose models were scored with
# the splits as inputs keeps them. It has neither the digests, which are gone while they are made
# again, nor their slice.
BEGUN = [RESULTS.digests, RESULTS.slice("digest_splits")]
DIGESTED = any(map(os.path.exists, BEGUN)) or not os.path.exists(RESULTS.published)
if DIGESTED:
    SLICES.add("digest_splits", content=lambda: EVALUATED)

    rule digest_splits:
        input:
            script=steady_program("digest_splits"),
            splits=READ,
        output:
            RESULTS.digests,
        log:
            RESULTS.log("digest_splits"),
        conda:
            "../../envs/environment.yaml"
        params:
            splits=slice_file("digest_splits"),
            data=lambda wildcards, input: folder_of(input.splits[0], 2),
        message:
            "Digest the data that models are scored on"
        shell:
            "python {input.script:q} --splits {params.splits:q} --data {params.data:q}"
            " --output {output:q} 2> {log:q}"


# What deletes a model keeps what it tells of its training.
KEEP_RECORDS = "" if STUDY.keep_models else " --records {params.records:q}"


rule evaluate_model:
    input:
        script=steady_program("evaluate_model"),
        model=evaluated_model,
        checkpoint=lambda wildcards: checkpoint_folder(wildcards.checkpoint),
        audit=ancient(RESULTS.audit),
        splits=RESULTS.digests if DIGESTED else READ,
    output:
        RESULTS.published_cells("{checkpoint}", "{arm}"),
    log:
        RESULTS.log("evaluate_model", "{checkpoint}", "{arm}"),
    benchmark:
        RESULTS.benchmark("evaluate_model", "{checkpoint}", "{arm}")
    # A model that goes when it is scored is scored before another is trained.
    priority: 0 if STUDY.keep_models else 1
    conda:
        "../../envs/environment.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=DEMANDS.evaluation_gpus(),
        gpu_model=lambda wildcards, attempt: DEMANDS.evaluate_gpu(attempt),
        nodes=1,
        mem_mb=lambda wildcards, attempt: DEMANDS.evaluate_memory(attempt, wildcards.arm),
        runtime=lambda wildcards, attempt: DEMANDS.evaluate_minutes(attempt, wildcards.arm),
        slurm_extra=DEMANDS.early_signal(),
    params:
        slice=lambda wildcards: SLICES.text("evaluate_model", *own_slice(wildcards.arm)),
        plan=lambda wildcards, input: SLICES.file("evaluate_model", *own_slice(wildcards.arm)),
        data=place(RESULTS.datasets),
        folder=place(RESULTS.evaluation("{checkpoint}", "{arm}")),
        store=place(RESULTS.cell_store),
        job=place(JOB),
        record=place(RESULTS.job_records("evaluate_model", "{checkpoint}", "{arm}")),
        kept=place(RESULTS.tuning_state("{checkpoint}", "{arm}")),
        records=place(RESULTS.training_records("{checkpoint}", "{arm}")),
    message:
        "Evaluate {wildcards.checkpoint} {wildcards.arm}"
    shell:
        "{params.job} --record {params.record:q} --gpus {resources.gpu} --"
        " python {input.script:q} --model {input.model:q} --checkpoint {input.checkpoint:q}"
        " --data {params.data:q} --plan {params.plan:q} --store {params.store:q}"
        " --published {output:q} --output {params.folder:q}"
        f" --threads {{threads}}{KEEP_RECORDS} 2> {{log:q}} && rm -rf {{params.kept:q}}"


rule evaluation:
    input:
        scored_models,
