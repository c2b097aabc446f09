# The report: a front page written from the tables, and Snakemake's own self-contained page.
SHOWN_TABLES = [*AUDITS, *(["arms"] if ARMS else []), *TABLES]


rule write_front_page:
    input:
        script=program("write_front_page"),
        modules=modules("report")
        + library("analysis/arms", "analysis/costs", "paper", "versions")
        + words(),
        study=RESULTS.resolved,
        cells=CELLS,
        tables=[RESULTS.table(name) for name in TABLES],
        audits=[RESULTS.table(name) for name in AUDITS],
        figures=[RESULTS.figure(name) for name in FIGURES],
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
        records=place(RESULTS.trained),
        figures=lambda wildcards, input: folder_of(input.figures[0]),
        slice=slice_of("titles"),
        titles=slice_file("titles"),
        language=STUDY.report.language,
    message:
        "Write the findings"
    shell:
        "python {input.script:q} --cells {input.cells:q} --tables {params.folder:q}"
        " --study {input.study:q} --models {params.models:q} --records {params.records:q}"
        " --figures {params.figures:q} --titles {params.titles:q}"
        " --language {params.language} --output {output:q} 2> {log:q}"


rule make_report:
    input:
        script=program("make_report"),
        module=library("report/embedding", "report/rst"),
        front_page=RESULTS.front_page,
        figures=[RESULTS.figure(name) for name in FIGURES],
        tables=[RESULTS.table(name, "html") for name in SHOWN_TABLES],
        stylesheet=os.path.relpath(Path(workflow.basedir) / "workflow/report/style.css"),
        docutils=DOCUTILS,
        captions=sorted(
            os.path.relpath(path)
            for path in Path(workflow.basedir).glob("workflow/report/**/*.rst")
        ),
    output:
        RESULTS.report,
    log:
        RESULTS.log("make_report"),
    conda:
        "../../envs/environment.yaml"
    params:
        configfiles=[os.path.relpath(path) for path in workflow.configfiles],
        snakefile=os.path.relpath(workflow.main_snakefile),
    message:
        "Put the report together"
    shell:
        "python {input.script:q} --snakefile {params.snakefile:q}"
        " --configfiles {params.configfiles:q} --stylesheet {input.stylesheet:q}"
        " --output {output:q} 2> {log:q}"


rule report_contents:
    input:
        RESULTS.front_page,
        [RESULTS.figure(name) for name in FIGURES],
        [RESULTS.table(name, "html") for name in SHOWN_TABLES],
