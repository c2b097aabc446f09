# Prepared splits: columns mapped to template fields, unlabelled rows dropped and counted.
def dataset_source(wildcards):
    """Folder of a dataset's files; the pocket world writes all of its datasets at once."""
    spec = GRID.dataset(wildcards.dataset)
    if STUDY.root == paths.POCKET:
        return paths.pocket_datasets()
    return paths.hub_dataset(STUDY.root, spec.repository, spec.config)


rule prepare_split:
    input:
        script=program("prepare_split"),
        source=dataset_source,
    output:
        examples=RESULTS.split("{dataset}", "{split}"),
        audit=RESULTS.split_audit("{dataset}", "{split}"),
    log:
        RESULTS.log("prepare_split", "{dataset}", "{split}"),
    params:
        spec=lambda wildcards: as_json(GRID.split_slice(wildcards.dataset, wildcards.split)),
        root=STUDY.root,
    shell:
        "{PYTHON} {input.script:q} --root {params.root:q}"
        " --name {wildcards.dataset}-{wildcards.split} --spec {params.spec:q}"
        " --output {output.examples:q} --audit {output.audit:q} 2> {log:q}"


rule datasets:
    input:
        [RESULTS.split(dataset, split) for dataset, split in GRID.splits()],
