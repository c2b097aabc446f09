# Fine-tuned models: one job a checkpoint and arm, resumable at any moment.
rule finetune_model:
    input:
        script=steady_program("finetune_model"),
        checkpoint=lambda wildcards: GRID.checkpoint_folder(wildcards.checkpoint),
        train=lambda wildcards: trained_splits(GRID.arms[wildcards.arm]),
        check=lambda wildcards: RESULTS.trained_check(
            slices.check_of(GRID, GRID.arms[wildcards.arm])
        ),
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
        settings=slice_of("finetune_model", slices.finetune_slice, "arm"),
        weights=lambda wildcards: weights_read(wildcards.checkpoint, "base"),
        launcher=lambda wildcards, resources: launcher(resources.gpu),
    message:
        "Fine-tune {wildcards.checkpoint} as {wildcards.arm}"
    shell:
        f"{JOB} --record {RESULTS.job_records('finetune_model', *MODEL)}"
        " --gpus {resources.gpu} -- {params.launcher} {input.script:q}"
        " --checkpoint {input.checkpoint:q} --train {input.train:q} --settings {params.settings:q}"
        f" --state {RESULTS.tuning_state(*MODEL)} --updates {RESULTS.update_ways}"
        " --output {output:q} --threads {threads} 2> {log:q}"


rule finetuning:
    input:
        tuned_models,
