# Finished studies side by side, the model one more column; nothing is run or scored.
with exit_with_message():
    STUDY = read_compared_study(config, STUDY_FILES)
    TITLES = library_titles(Path(os.path.relpath(workflow.basedir), "config"))
RESULTS = paths.Results(STUDY.study)
GRID = None
INCOMPLETE = []
EXAMPLES, COMPARISON = [], []  # each study has its own


include: "helpers.smk"


TRANSLATE = translator(STUDY.report.language)
# Released scores lack tables of single examples.
JOINED = common_tables(STUDY.compare)
MADE = ["compared", "differences", *JOINED]
SLICES.add("titles", content=lambda: TITLES)
SLICES.add("write_compared_page", content=lambda: {"study": STUDY.model_dump(mode="json")})


rule compare_studies:
    input:
        script=program("compare_studies"),
        modules=library("analysis/studies") + table_pages(),
        tables=[paths.Results(study).table(name) for study in STUDY.compare for name in JOINED],
    output:
        tables=[RESULTS.table(name) for name in MADE],
        csv=[RESULTS.table(name, "csv") for name in MADE],
        html=[
            report(
                RESULTS.table(name, "html"), category=TRANSLATE("Tables"), labels={"table": name}
            )
            for name in MADE
        ],
    log:
        RESULTS.log("compare_studies"),
    conda:
        "../../envs/environment.yaml"
    params:
        studies=[paths.Results(name).root for name in STUDY.compare],
        joined=" ".join(JOINED),
        folder=lambda wildcards, output: folder_of(output.tables[0]),
        language=STUDY.report.language,
    message:
        "Compare the studies"
    shell:
        "python {input.script:q} --studies {params.studies:q} --tables {params.joined}"
        " --output-dir {params.folder:q} --language {params.language} 2> {log:q}"


for quantity, title in QUANTITIES.items():

    rule:
        name:
            f"plot_compared_{quantity}"
        input:
            script=program("plot_compared"),
            modules=library("figures/studies", "figures/style", "figures/axis", "figures/marks")
            + words(),
            compared=RESULTS.table("compared"),
            differences=RESULTS.table("differences"),
        output:
            svg=report(
                RESULTS.figure(quantity, "svg"),
                category=TRANSLATE("Models"),
                labels={"figure": TRANSLATE(title)},
            ),
            png=RESULTS.figure(quantity, "png"),
        log:
            RESULTS.log("plot_compared", quantity),
        conda:
            "../../envs/environment.yaml"
        params:
            quantity=quantity,
            language=STUDY.report.language,
            slice=slice_of("titles"),
            titles=slice_file("titles"),
        message:
            "Draw {params.quantity} of all models"
        shell:
            "python {input.script:q} --compared {input.compared:q} --differences {input.differences:q}"
            " --quantity {params.quantity} --titles {params.titles:q} --language {params.language}"
            " --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


rule write_compared_page:
    input:
        script=program("write_compared_page"),
        modules=library("report/compared_page", "report/rst", "analysis/studies") + words(),
        cells=[paths.Results(name).table("cells") for name in STUDY.compare],
        compared=RESULTS.table("compared"),
        differences=RESULTS.table("differences"),
        figures=[RESULTS.figure(quantity) for quantity in QUANTITIES],
    output:
        RESULTS.front_page,
    log:
        RESULTS.log("write_compared_page"),
    conda:
        "../../envs/environment.yaml"
    params:
        slice=slice_of("write_compared_page"),
        study=slice_file("write_compared_page"),
        titles=slice_file("titles"),
        tables=lambda wildcards, input: folder_of(input.compared),
        figures=lambda wildcards, input: folder_of(input.figures[0]),
        language=STUDY.report.language,
    message:
        "Write what differs"
    shell:
        "python {input.script:q} --study {params.study:q} --cells {input.cells:q}"
        " --tables {params.tables:q} --figures {params.figures:q} --titles {params.titles:q}"
        " --language {params.language} --output {output:q} 2> {log:q}"


SHOWN_FIGURES = [RESULTS.figure(quantity) for quantity in QUANTITIES]
SHOWN_TABLES = MADE
