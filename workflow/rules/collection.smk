# From per-example files to the cells table, what it cost, and formats of others.
rule write_study:
    input:
        script=program("write_study"),
        pins=PINS,
    output:
        RESULTS.resolved,
    log:
        RESULTS.log("write_study"),
    conda:
        "../../envs/environment.yaml"
    params:
        study=lambda wildcards: as_json(GRID.resolved()),
    message:
        "Write the resolved study"
    shell:
        "python {input.script:q} --study {params.study:q} --pins {input.pins:q}"
        " --output {output:q} 2> {log:q}"


rule collect_cells:
    input:
        script=program("collect_cells"),
        modules=library("collect", "examples", "intervals", "statistics"),
        cells=CELL_FILES,
        pins=CHECKPOINT_PINS,
    output:
        cells=CELLS,
        csv=RESULTS.table("cells", "csv"),
        replicates=REPLICATES,
        missing=RESULTS.table("missing", "csv"),
    log:
        RESULTS.log("collect_cells"),
    conda:
        "../../envs/environment.yaml"
    params:
        study=lambda wildcards: as_json(GRID.collection_slice()),
        evaluations=lambda wildcards, input: folder_of(input.cells[0], 3),
    message:
        "Collect the cells"
    shell:
        "python {input.script:q} --study-json {params.study:q}"
        " --evaluations {params.evaluations:q} --output {output.cells:q} --csv {output.csv:q}"
        " --replicates {output.replicates:q} --missing {output.missing:q} --pins {input.pins:q}"
        " 2> {log:q}"


rule collect_costs:
    input:
        script=program("collect_costs"),
        modules=library("costs", "job_records", "paper"),
        cells=CELLS,
    output:
        RESULTS.table("costs", "csv"),
    log:
        RESULTS.log("collect_costs"),
    conda:
        "../../envs/environment.yaml"
    params:
        benchmarks=f"{RESULTS.root}/benchmarks",
        records=RESULTS.job_records(),
    message:
        "Add up the costs"
    shell:
        "python {input.script:q} --benchmarks {params.benchmarks:q} --records {params.records:q}"
        " --output {output:q} 2> {log:q}"


rule export_results:
    input:
        script=program("export_results"),
        module=library("export"),
        cells=CELLS,
        tables=[RESULTS.table(name) for name in TABLES],
    output:
        directory(f"{RESULTS.root}/export"),
    log:
        RESULTS.log("export_results"),
    conda:
        "../../envs/environment.yaml"
    params:
        folder=lambda wildcards, input: folder_of(input.tables[0]),
        about=lambda wildcards: as_json(
            {
                "repository": getattr(SOURCE, "repository", None),
                "license": None,
                "settings": {
                    name: GRID.finetune_slice(name)["settings"]
                    for name, arm in GRID.arms.items()
                    if arm.method is not None
                },
            }
        ),
    message:
        "Export results"
    shell:
        "python {input.script:q} --cells {input.cells:q} --tables-dir {params.folder:q}"
        " --about-json {params.about:q} --output-dir {output:q} 2> {log:q}"
