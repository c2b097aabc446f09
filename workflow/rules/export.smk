# One file of a finished study, from which anyone can redraw it without a model.
rule export:
    input:
        script=program("export_study"),
        modules=library("study/finished"),
        study=RESULTS.resolved,
        cells=[CELLS, RESULTS.table("cells", "csv"), REPLICATES, LEFT_OUT, COSTS],
        tables=[RESULTS.table(name, suffix) for name in TABLES for suffix in ("parquet", "csv")],
        audits=[
            RESULTS.table(name, suffix)
            for name in [*AUDITS, "arms"]
            for suffix in ("parquet", "csv", "html")
        ],
        figures=[RESULTS.figure(name, suffix) for name in FIGURES for suffix in ("svg", "png")],
        page=RESULTS.front_page,
        exported=EXPORTED,
    output:
        RESULTS.archive,
    log:
        RESULTS.log("export"),
    conda:
        "../../envs/environment.yaml"
    params:
        study=RESULTS.study,
        results=place(RESULTS.root),
        files=lambda wildcards, input: input[1 + len(input.modules) :],
        models=place(RESULTS.models),
        records=place(RESULTS.trained),
    message:
        "Put the study into {output}"
    shell:
        "python {input.script:q} --study {params.study} --results {params.results:q}"
        " --files {params.files:q} --models {params.models:q} --records {params.records:q}"
        " --output {output:q} 2> {log:q}"
