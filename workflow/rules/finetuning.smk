# Fine-tuned models: one job a checkpoint and arm, resumable at any moment.
for arm in GRID.arms.values():
    if arm.trained:
        SLICES.add("finetune_model", arm.name, content=partial(finetune_slice, GRID, arm.name))


rule finetune_model:
    input:
        script=steady_program("finetune_model"),
        checkpoint=lambda wildcards: checkpoint_folder(wildcards.checkpoint),
        train=training_split,
        audit=ancient(RESULTS.audit),
    output:
        tuned_folder(RESULTS.tuned("{checkpoint}", "{arm}")),
    log:
        RESULTS.log("finetune_model", "{checkpoint}", "{arm}"),
    benchmark:
        RESULTS.benchmark("finetune_model", "{checkpoint}", "{arm}")
    conda:
        "../../envs/environment.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=STUDY.compute.gpus,
        gpu_model=lambda wildcards, attempt: DEMANDS.finetune_gpu(wildcards.arm, attempt),
        nodes=1,
        mem_mb=lambda wildcards, attempt: DEMANDS.finetune_memory(wildcards.arm, attempt),
        runtime=lambda wildcards, attempt: DEMANDS.finetune_minutes(wildcards.arm, attempt),
        slurm_extra=DEMANDS.early_signal(),
    params:
        slice=slice_of("finetune_model", "arm"),
        settings=slice_file("finetune_model", "arm"),
        state=place(RESULTS.tuning_state("{checkpoint}", "{arm}")),
        updates=place(RESULTS.update_ways),
        job=place(JOB),
        record=place(RESULTS.job_records("finetune_model", "{checkpoint}", "{arm}")),
        launcher=lambda wildcards, resources: launcher(resources.gpu),
    message:
        "Fine-tune {wildcards.checkpoint} as {wildcards.arm}"
    shell:
        "{params.job} --record {params.record:q} --gpus {resources.gpu} --"
        " {params.launcher} {input.script:q} --checkpoint {input.checkpoint:q} --train {input.train:q}"
        " --settings {params.settings:q} --state {params.state:q} --output {output:q}"
        " --updates {params.updates:q} --threads {threads} 2> {log:q}"


rule finetuning:
    input:
        tuned_models,
