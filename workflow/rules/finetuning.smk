# Fine-tuned models: one job a checkpoint and arm, resumable at any moment; before them, what
# checkpoints write themselves to be replayed.
from ptft.models.snapshots import written

if GRID.self_texts:

    rule write_self_text:
        input:
            script=ancient_program("write_self_text"),
            checkpoint=INPUTS.checkpoint,
            prompts=INPUTS.text_prompts,
        output:
            RESULTS.self_text("{checkpoint}", "{text}"),
        log:
            RESULTS.log("write_self_text", "{checkpoint}", "{text}"),
        benchmark:
            RESULTS.benchmark("write_self_text", "{checkpoint}", "{text}")
        wildcard_constraints:
            text=one_of(GRID.self_texts),
        conda:
            "../../envs/environment.yaml"
        threads: STUDY.compute.threads
        resources:
            gpu=RESOURCES.evaluation_gpus(),
            gpu_model=lambda wildcards, attempt: RESOURCES.evaluate_gpu(attempt),
            nodes=1,
            mem_mb=lambda wildcards, attempt: RESOURCES.evaluate_memory(attempt),
            runtime=lambda wildcards, attempt: RESOURCES.self_text_minutes(wildcards.text, attempt),
            slurm_extra=RESOURCES.early_signal(),
        params:
            settings=slice_of("write_self_text", slices.self_text_slice, "text"),
            weights=lambda wildcards: INPUTS.weights_read(wildcards.checkpoint, "base"),
            prompts=lambda wildcards, input: (f"--prompts {input.prompts}" if input.prompts else ""),
        message:
            "Let {wildcards.checkpoint} write text for its replay"
        shell:
            f"{JOB} --record"
            f" {RESULTS.job_records('write_self_text', '{wildcards.checkpoint}', '{wildcards.text}')}"
            " --gpus {resources.gpu} -- python {input.script:q} --checkpoint {input.checkpoint:q}"
            " --settings {params.settings:q} {params.prompts}"
            f" --state {RESULTS.self_text_state('{wildcards.checkpoint}', '{wildcards.text}')}"
            " --output {output:q} --threads {threads} 2> {log:q}"

    rule collect_self_text:
        input:
            script=program("collect_self_text"),
            modules=library("training/self_text"),
            texts=INPUTS.texts,
        output:
            RESULTS.table("self_text"),
            RESULTS.table("self_text", "csv"),
        log:
            RESULTS.log("collect_self_text"),
        localrule: True
        conda:
            "../../envs/environment.yaml"
        message:
            "Tell what the checkpoints wrote"
        shell:
            "python {input.script:q} --texts {input.texts:q} --output {output[0]:q} 2> {log:q}"


# The job of a snapshot takes what the training left on its way; where that was finished before, the
# first such job trains a copy so far, which leaves the others as well.
SNAPSHOTS = f" --snapshots {' '.join(points)}" if (points := written(GRID.snapshots)) else ""


TUNED = directory(RESULTS.tuned("{checkpoint}", "{arm}"))


rule finetune_model:
    input:
        script=ancient_program("finetune_model"),
        checkpoint=INPUTS.trained_from,
        train=INPUTS.training_files,
        check=INPUTS.training_check,
        finished=INPUTS.finished_training,
    output:
        # It goes when it is scored, if the study keeps no models.
        TUNED if STUDY.keep_models else temp(TUNED),
    log:
        RESULTS.log("finetune_model", "{checkpoint}", "{arm}"),
    benchmark:
        RESULTS.benchmark("finetune_model", "{checkpoint}", "{arm}")
    wildcard_constraints:
        arm=one_of(GRID.made),
    conda:
        "../../envs/environment.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=lambda wildcards: 0 if INPUTS.left_on_the_way(wildcards) else STUDY.compute.gpus,
        gpu_model=lambda wildcards, attempt: (
            None
            if INPUTS.left_on_the_way(wildcards)
            else RESOURCES.finetune_gpu(wildcards.arm, attempt)
        ),
        nodes=1,
        mem_mb=lambda wildcards, attempt: RESOURCES.finetune_memory(wildcards.arm, attempt),
        runtime=lambda wildcards, attempt: RESOURCES.finetune_minutes(wildcards.arm, attempt),
        slurm_extra=RESOURCES.early_signal(),
    params:
        settings=slice_of("finetune_model", slices.finetune_slice, "arm"),
        weights=lambda wildcards: INPUTS.weights_read(
            wildcards.checkpoint, GRID.arms[wildcards.arm].after or "base"
        ),
        # One process a GPU.
        launcher=lambda wildcards, resources: (
            f"torchrun --standalone --nproc-per-node={resources.gpu}"
            if resources.gpu > 1
            else "python"
        ),
    message:
        "Fine-tune {wildcards.checkpoint} as {wildcards.arm}"
    shell:
        f"{JOB} --record {RESULTS.job_records('finetune_model', *MODEL)}"
        " --gpus {resources.gpu} -- {params.launcher} {input.script:q}"
        " --checkpoint {input.checkpoint:q} --train {input.train:q} --settings {params.settings:q}"
        f" --state {RESULTS.tuning_state(*MODEL)} --updates {RESULTS.update_ways}"
        " --output {output:q} --threads {threads}"
        f"{SNAPSHOTS}"
        " 2> {log:q}"


if STUDY.adopt:

    # Tuned models of others: nothing is trained, their files are linked.
    rule adopt_model:
        input:
            script=ancient_program("adopt_model"),
            checkpoint=INPUTS.checkpoint,
            files=INPUTS.adopted_files,
        output:
            TUNED,
        log:
            RESULTS.log("adopt_model", "{checkpoint}", "{arm}"),
        wildcard_constraints:
            arm=one_of(STUDY.adopt),
        localrule: True
        conda:
            "../../envs/environment.yaml"
        params:
            about=slice_of("adopt_model", slices.adopted_slice, "arm"),
            source=INPUTS.adopted_source,
        message:
            "Adopt {wildcards.arm} at {wildcards.checkpoint}"
        shell:
            "python {input.script:q} --source {params.source:q} --checkpoint {input.checkpoint:q}"
            " --about {params.about:q} --output {output:q} 2> {log:q}"


rule finetuning:
    input:
        INPUTS.tuned_models,
