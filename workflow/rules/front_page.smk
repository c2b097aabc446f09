# The front page of the report, written from the tables.
SHOWN_FIGURES = [RESULTS.figure(name) for name in FIGURES]
SHOWN_TABLES = [*AUDITS, *(["arms"] if ARMS else []), *TABLES]


rule write_front_page:
    input:
        script=program("write_front_page"),
        modules=modules("report")
        + library("analysis/tuned_models", "analysis/costs", "paper", "versions")
        + words(),
        study=RESULTS.resolved,
        cells=CELLS,
        tables=[RESULTS.table(name) for name in TABLES],
        audits=[RESULTS.table(name) for name in AUDITS],
        figures=SHOWN_FIGURES,
        costs=COSTS,
        arms=ARMS,
    output:
        RESULTS.front_page,
    log:
        RESULTS.log("write_front_page"),
    conda:
        "../../envs/environment.yaml"
    params:
        folder=lambda wildcards, input: folder_of(input.tables[0]),
        models=RESULTS.models,
        figures=lambda wildcards, input: folder_of(input.figures[0]),
        titles=titles_slice,
        shown=" ".join(FIGURES),
        examples=f"--examples {Path(EXAMPLES[0]).name}" if EXAMPLES else "",
        language=STUDY.report.language,
    message:
        "Write the findings"
    shell:
        "python {input.script:q} --cells {input.cells:q} --tables {params.folder:q}"
        " --study {input.study:q} --models {params.models:q} "
        f" --records {RESULTS.trained}"
        " --figures {params.figures:q} --shown {params.shown} --titles {params.titles:q}"
        " {params.examples} --language {params.language} --output {output:q} 2> {log:q}"
