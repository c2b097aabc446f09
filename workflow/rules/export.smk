# One file of a finished study, from which anyone can redraw it without a model.
rule export:
    input:
        script=program("export_study"),
        scored=SCORED,
        modules=library("study/finished"),
        study=RESULTS.resolved,
        cells=[CELLS, RESULTS.table("cells", "csv"), REPLICATES, LEFT_OUT, COSTS],
        tables=[RESULTS.table(name, suffix) for name in TABLES for suffix in ("parquet", "csv")],
        audits=[
            RESULTS.table(name, suffix)
            for name in [*AUDITS, *(["arms"] if ARMS else [])]
            for suffix in ("parquet", "csv")
        ],
        figures=[RESULTS.figure(name) for name in FIGURES],
        page=[RESULTS.report, *(RESULTS.table("findings", kind) for kind in ("parquet", "csv"))],
    output:
        archive=RESULTS.archive,
    log:
        RESULTS.log("export"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        study=RESULTS.study,
        files=lambda wildcards, input: input[1 + len(input.scored) + len(input.modules) :],
    message:
        "Put the study into {output.archive}"
    shell:
        "python {input.script:q} --study {params.study} --files {params.files:q}"
        f" --results {RESULTS.root} --models {RESULTS.models} --records {RESULTS.trained}"
        " --output {output.archive:q} 2> {log:q}"
