# Prepared splits: columns mapped to template fields, unlabelled rows dropped and counted.
for dataset, split in GRID.splits():
    SLICES.add("prepare_split", dataset, split, content=partial(split_slice, GRID, dataset, split))
SLICES.add("audit_study", content=partial(audit_slice, GRID))
SLICES.add("show_prompts", content=partial(audit_slice, GRID))
SLICES.add("compared_checkpoints", content=compared_checkpoints)


rule prepare_split:
    input:
        script=steady_program("prepare_split"),
        source=split_source,
    output:
        examples=RESULTS.split("{dataset}", "{split}"),
        audit=RESULTS.split_audit("{dataset}", "{split}"),
    log:
        RESULTS.log("prepare_split", "{dataset}", "{split}"),
    conda:
        "../../envs/environment.yaml"
    params:
        slice=slice_of("prepare_split", "dataset", "split"),
        spec=slice_file("prepare_split", "dataset", "split"),
        root=STUDY.root or paths.HUB,
    message:
        "Prepare {wildcards.dataset} ({wildcards.split})"
    shell:
        "python {input.script:q} --root {params.root:q}"
        " --name {wildcards.dataset}-{wildcards.split} --spec {params.spec:q}"
        " --output {output.examples:q} --audit {output.audit:q} 2> {log:q}"


# Before any GPU hour: a refusal here stops the study, a warning goes into the report.
AUDITS = ["audit_splits", "audit_prompts"]


rule audit_study:
    input:
        script=program("audit_study"),
        modules=library(
            "audit/checkpoints",
            "audit/study",
            "audit/prompts",
            "audit/training",
            "audit/limits",
        )
        + table_pages()
        + words(),
        checkpoint=checkpoint_folder(next(iter(GRID.checkpoints))),
        examples=[RESULTS.split(dataset, split) for dataset, split in GRID.splits()],
        checkpoints=compared_checkpoints(),
        found=[RESULTS.split_audit(dataset, split) for dataset, split in GRID.splits()],
    output:
        splits=RESULTS.audit,
        prompts=RESULTS.table("audit_prompts"),
        csv=[RESULTS.table(name, "csv") for name in AUDITS],
        html=[
            report(
                RESULTS.table(name, "html"),
                category=translator(STUDY.report.language)("Tables"),
                labels={"table": name},
            )
            for name in AUDITS
        ],
    log:
        RESULTS.log("audit_study"),
    conda:
        "../../envs/environment.yaml"
    params:
        slice=slice_of("audit_study"),
        plan=slice_file("audit_study"),
        checkpoints=slice_file("compared_checkpoints"),
        data=lambda wildcards, input: folder_of(input.examples[0], 2),
        language=STUDY.report.language,
    message:
        "Audit the data and the prompts of the study"
    shell:
        "python {input.script:q} --plan {params.plan:q} --data {params.data:q}"
        " --model {input.checkpoint:q} --checkpoints {params.checkpoints:q}"
        " --splits {output.splits:q} --prompts {output.prompts:q}"
        " --language {params.language} 2> {log:q}"


rule datasets:
    input:
        [RESULTS.split(dataset, split) for dataset, split in GRID.splits()],


# Nothing needs it: asked for by name, it prints each time.
rule show_prompts:
    input:
        checkpoint=checkpoint_folder(next(iter(GRID.checkpoints))),
        examples=[RESULTS.split(dataset, split) for dataset, split in GRID.splits()],
    log:
        RESULTS.log("show_prompts"),
    conda:
        "../../envs/environment.yaml"
    params:
        script=program("show_prompts"),
        plan=slice_file("show_prompts"),
        data=lambda wildcards, input: folder_of(input.examples[0], 2),
        output=RESULTS.prompts,
    message:
        "Show prompts and training examples: {params.output}"
    shell:
        "python {params.script:q} --plan {params.plan:q} --data {params.data:q}"
        " --model {input.checkpoint:q} --output {params.output:q} 2> {log:q}"
