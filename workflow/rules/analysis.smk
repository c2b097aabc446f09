# Tables and figures: light jobs from the cells table, whoever made it. An edit of the analysis makes
# the tables again, and with them the figures and pages that are made from them.
# What figures share.
FIGURE_PARTS = tuple(f"figures/{part}" for part in ("drawing", "style", "axis", "marks"))
ARMS_GIVEN = f"--arms {ARMS}" if ARMS else ""


rule analyse_cells:
    input:
        script=program("analyse"),
        modules=sorted(map(str, Path(SCRIPTS, "ptft/analysis").rglob("*.py"))),
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
        tables=" ".join(TABLES),
    message:
        "Analyse the cells"
    shell:
        "python {input.script:q} --cells {input.cells:q} --replicates {input.replicates:q}"
        f" --settings {{params.settings:q}} --output-dir {RESULTS.tables} {ARMS_GIVEN}"
        " --tables {params.tables} 2> {log:q}"


for module, drawn in drawn_together(FIGURES).items():

    rule:
        name:
            f"plot_{module}"
        input:
            script=program("plot_figures"),
            modules=library(f"figures/{module}", *FIGURE_PARTS) + words(),
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
            wording=wording_slice,
        message:
            f"Draw figures of {module}"
        shell:
            "python {input.script:q} --figures {params.figures}"
            f" --tables-dir {RESULTS.tables} {ARMS_GIVEN} --output-dir {RESULTS.figures}"
            " --wording {params.wording:q} 2> {log:q}"


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
