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


for module, drawn in drawn_together(FIGURES).items():

    rule:
        name:
            f"plot_{module}"
        input:
            script=program("plot_figures"),
            modules=library(f"figures/{module}", *FIGURE_PARTS, "analysis/tuned_models") + words(),
            tables=sorted(
                {RESULTS.table(table) for name in drawn for table in FIGURES[name].tables}
            ),
            arms=ARMS,
        output:
            svg=report([RESULTS.figure(name, "svg") for name in drawn], category="Figures"),
            png=[RESULTS.figure(name, "png") for name in drawn],
        log:
            RESULTS.log("plot_figures", module),
        localrule: True
        conda:
            "../../envs/environment.yaml"
        params:
            figures=" ".join(drawn),
            folder=lambda wildcards, input: folder_of(input.tables[0]),
            output=lambda wildcards, output: folder_of(output.svg[0]),
            titles=titles_slice,
            language=STUDY.report.language,
            arms=f"--arms {ARMS}" if ARMS else "",
        message:
            f"Draw figures of {module}"
        shell:
            "python {input.script:q} --figures {params.figures} --tables-dir {params.folder:q}"
            " --titles {params.titles:q} --language {params.language} {params.arms}"
            " --output-dir {params.output:q} 2> {log:q}"


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
