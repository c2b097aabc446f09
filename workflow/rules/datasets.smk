# Prepared splits: columns mapped to template fields, unlabelled rows dropped and counted.
rule prepare_split:
    input:
        script=program("prepare_split"),
        source=dataset_source,
    output:
        examples=RESULTS.split("{dataset}", "{split}"),
        audit=RESULTS.split_audit("{dataset}", "{split}"),
    log:
        RESULTS.log("prepare_split", "{dataset}", "{split}"),
    conda:
        "../../envs/environment.yaml"
    params:
        spec=lambda wildcards: as_json(GRID.split_slice(wildcards.dataset, wildcards.split)),
        root=STUDY.root,
    message:
        "Prepare {wildcards.dataset} ({wildcards.split})"
    shell:
        "python {input.script:q} --root {params.root:q}"
        " --name {wildcards.dataset}-{wildcards.split} --spec {params.spec:q}"
        " --output {output.examples:q} --audit {output.audit:q} 2> {log:q}"


rule datasets:
    input:
        [RESULTS.split(dataset, split) for dataset, split in GRID.splits()],
