# Tables and figures: light jobs from the cells table.
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
        modules=[f"{SCRIPTS}/ptft/{m}.py" for m in ("collect", "examples", "statistics")],
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


rule analyse_cells:
    input:
        script=program("analyse"),
        modules=modules("analysis")
        + [f"{SCRIPTS}/ptft/{module}.py" for module in ("statistics", "language", "pages")],
        cells=CELLS,
        replicates=REPLICATES,
    output:
        tables=[RESULTS.table(name) for name in TABLES],
        csv=[RESULTS.table(name, "csv") for name in TABLES],
        html=[
            report(RESULTS.table(name, "html"), category="Tables", labels={"table": name})
            for name in TABLES
        ],
    log:
        RESULTS.log("analyse_cells"),
    conda:
        "../../envs/environment.yaml"
    params:
        settings=lambda wildcards: as_json(dataclasses.asdict(STUDY.analysis)),
        folder=lambda wildcards, output: folder_of(output.tables[0]),
    message:
        "Analyse the cells"
    shell:
        "python {input.script:q} --cells {input.cells:q} --replicates {input.replicates:q}"
        " --settings {params.settings:q} --output-dir {params.folder:q} 2> {log:q}"


for figure, spec in FIGURES.items():

    rule:
        name:
            f"plot_{figure}"
        input:
            script=program("plot_figure"),
            modules=[f"{SCRIPTS}/ptft/figures/{module}.py" for module in (figure, "style")],
            tables=[RESULTS.table(table) for table in spec.tables],
        output:
            svg=report(
                RESULTS.figure(figure, "svg"),
                caption=f"../report/{figure}.rst",
                category=spec.category,
                labels={"figure": spec.title},
            ),
            png=RESULTS.figure(figure, "png"),
        log:
            RESULTS.log("plot_figure", figure),
        conda:
            "../../envs/environment.yaml"
        params:
            figure=figure,
            folder=lambda wildcards, input: folder_of(input.tables[0]),
        message:
            "Draw {params.figure}"
        shell:
            "python {input.script:q} --figure {params.figure} --tables-dir {params.folder:q}"
            " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


rule tables:
    input:
        CELLS,
        [RESULTS.table(name) for name in TABLES],


rule figures:
    input:
        [RESULTS.figure(name) for name in FIGURES],
