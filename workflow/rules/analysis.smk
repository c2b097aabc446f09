# Tables and figures: light jobs from the cells table, whoever made it.
# What figures share.
FIGURE_PARTS = tuple(f"figures/{part}" for part in ("style", "axis", "marks"))


rule analyse_cells:
    input:
        script=program("analyse"),
        modules=modules("analysis"),
        cells=CELLS,
        replicates=REPLICATES,
        arms=ARMS,
    output:
        tables=[RESULTS.table(name) for name in TABLES],
        csv=[RESULTS.table(name, "csv") for name in TABLES],
    log:
        RESULTS.log("analyse_cells"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        settings=analysis_slice,
        folder=lambda wildcards, output: folder_of(output.tables[0]),
        arms=f"--arms {ARMS}" if ARMS else "",
        tables=" ".join(TABLES),
    message:
        "Analyse the cells"
    shell:
        "python {input.script:q} --cells {input.cells:q} --replicates {input.replicates:q}"
        " --settings {params.settings:q} --output-dir {params.folder:q}"
        " {params.arms} --tables {params.tables} 2> {log:q}"


for figure, spec in FIGURES.items():

    rule:
        name:
            f"plot_{figure}"
        input:
            script=program("plot_figure"),
            modules=library(f"figures/{spec.module}", *FIGURE_PARTS, "analysis/tuned_models")
            + words(),
            tables=[RESULTS.table(table) for table in spec.tables],
            arms=ARMS,
        output:
            svg=report(RESULTS.figure(figure, "svg"), category="Figures"),
            png=RESULTS.figure(figure, "png"),
        log:
            RESULTS.log("plot_figure", figure),
        localrule: True
        conda:
            "../../envs/environment.yaml"
        params:
            figure=figure,
            language=STUDY.report.language,
            arms=f"--arms {ARMS}" if ARMS else "",
            titles=titles_slice,
            folder=lambda wildcards, input: folder_of(input.tables[0]),
        message:
            "Draw {params.figure}"
        shell:
            "python {input.script:q} --figure {params.figure} --tables-dir {params.folder:q}"
            " --titles {params.titles:q} --language {params.language}"
            " {params.arms}"
            " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


# Whoever asks for results asks for every record of cells: a table that is there would hide from
# Snakemake that an evaluation failed.
rule tables:
    input:
        SCORED,
        CELLS,
        ARMS,
        [RESULTS.table(name) for name in TABLES],


rule figures:
    input:
        SCORED,
        [RESULTS.figure(name) for name in FIGURES],
