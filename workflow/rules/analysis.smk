# Tables and figures: light jobs from the cells table, whoever made it.
TRANSLATE = translator(STUDY.report.language)
# What figures share; whether another study can be laid over one does not hang on it.
FIGURE_PARTS = tuple(f"figures/{part}" for part in ("style", "axis", "marks"))
# Captions of other languages stand in a folder of their own.
CAPTIONS = "../report" if STUDY.report.language == "en" else f"../report/{STUDY.report.language}"
analysis_settings = slice_of("analyse_cells", lambda: dataclasses.asdict(STUDY.analysis))


rule analyse_cells:
    input:
        script=program("analyse"),
        modules=modules("analysis") + table_pages() + words(),
        cells=CELLS,
        replicates=REPLICATES,
        arms=ARMS,
    output:
        tables=[RESULTS.table(name) for name in TABLES],
        csv=[RESULTS.table(name, "csv") for name in TABLES],
        html=[
            report(
                RESULTS.table(name, "html"), category=TRANSLATE("Tables"), labels={"table": name}
            )
            for name in TABLES
        ],
    log:
        RESULTS.log("analyse_cells"),
    conda:
        "../../envs/environment.yaml"
    params:
        settings=analysis_settings,
        folder=lambda wildcards, output: folder_of(output.tables[0]),
        arms=f"--arms {ARMS}" if ARMS else "",
        tables=" ".join(TABLES),
        language=STUDY.report.language,
    message:
        "Analyse the cells"
    shell:
        "python {input.script:q} --cells {input.cells:q} --replicates {input.replicates:q}"
        " --settings {params.settings:q} --output-dir {params.folder:q}"
        " {params.arms} --tables {params.tables} --language {params.language} 2> {log:q}"


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
            overlay=overlaid_tables(spec),
        output:
            svg=report(
                RESULTS.figure(figure, "svg"),
                caption=f"{CAPTIONS}/{figure}.rst",
                category=TRANSLATE(spec.category),
                labels={"figure": TRANSLATE(spec.title)},
            ),
            png=RESULTS.figure(figure, "png"),
        log:
            RESULTS.log("plot_figure", figure),
        conda:
            "../../envs/environment.yaml"
        params:
            figure=figure,
            language=STUDY.report.language,
            axis=STUDY.report.axis,
            arms=f"--arms {ARMS}" if ARMS else "",
            titles=titles_slice,
            folder=lambda wildcards, input: folder_of(input.tables[0]),
            overlay=overlay_arguments(spec),
        message:
            "Draw {params.figure}"
        shell:
            "python {input.script:q} --figure {params.figure} --tables-dir {params.folder:q}"
            " --titles {params.titles:q} --language {params.language} --axis {params.axis}"
            " {params.overlay} {params.arms}"
            " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


COMPARISON = [RESULTS.comparison]


rule compare_models:
    input:
        script=program("compare_models"),
        modules=modules("analysis")
        + library("report/comparison_page", "report/embedded_json", "report/web_page")
        + [f"{SCRIPTS}/ptft/report/comparison_page.{suffix}" for suffix in ("css", "js")]
        + words(),
        cells=CELLS,
        replicates=REPLICATES,
        suspicious=RESULTS.table("suspicious"),
        arms=ARMS,
    output:
        report(
            RESULTS.comparison,
            category=TRANSLATE("Forgetting"),
            labels={"page": TRANSLATE("Compare models")},
        ),
    log:
        RESULTS.log("compare_models"),
    conda:
        "../../envs/environment.yaml"
    params:
        settings=analysis_settings,
        titles=titles_slice,
        arms=f"--arms {ARMS}" if ARMS else "",
        language=STUDY.report.language,
    message:
        "Compare the models"
    shell:
        "python {input.script:q} --cells {input.cells:q} --replicates {input.replicates:q}"
        " --suspicious {input.suspicious:q} --settings {params.settings:q} {params.arms}"
        " --titles {params.titles:q} --language {params.language}"
        # Cells, where there are any: the page is made again when any of them is.
        f" --evaluations {RESULTS.evaluations}"
        " --output {output:q} 2> {log:q}"


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
