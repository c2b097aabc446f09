# The page of the study, from findings, tables and figures; beside it any two models, and examples.
COMPARISON = [RESULTS.comparison]


rule write_study:
    input:
        script=program("write_study"),
        pins=PINS,
    output:
        RESULTS.resolved,
    log:
        RESULTS.log("write_study"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        study=slice_of(
            "write_study",
            lambda study: study.resolved if study.finished else slices.resolved_study(study),
        ),
        pins=slice_of("fetched", lambda study: PINS),
    message:
        "Write the resolved study"
    shell:
        "python {input.script:q} --study {params.study:q} --pins {params.pins:q}"
        " --output {output:q} 2> {log:q}"


rule compare_models:
    input:
        script=program("compare_models"),
        modules=library("report/comparison") + page_parts(),
        cells=CELLS,
        replicates=REPLICATES,
        suspicious=RESULTS.table("suspicious"),
        arms=ARMS,
    output:
        RESULTS.comparison,
    log:
        RESULTS.log("compare_models"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        settings=analysis_slice,
        wording=wording_slice,
    message:
        "Compare the models"
    shell:
        "python {input.script:q} --cells {input.cells:q} --replicates {input.replicates:q}"
        " --suspicious {input.suspicious:q} --settings {params.settings:q}"
        f" --wording {{params.wording:q}} {ARMS_GIVEN}"
        " --output {output:q} 2> {log:q}"


rule make_report:
    input:
        script=program("make_report"),
        modules=library("paper", "report/page", "versions") + page_parts(),
        study=RESULTS.resolved,
        cells=[CELLS, REPLICATES],
        tables=[RESULTS.table(name) for name in TABLES],
        audits=[RESULTS.table(name) for name in AUDITS],
        figures=[RESULTS.figure(name) for name in FIGURES],
        costs=COSTS,
        arms=ARMS,
        beside=[*EXAMPLES, *COMPARISON],
    output:
        page=RESULTS.report,
        findings=[RESULTS.table("findings", kind) for kind in ("parquet", "csv")],
    log:
        RESULTS.log("make_report"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        wording=wording_slice,
        shown=" ".join(FIGURES),
    message:
        "Write the report"
    shell:
        "python {input.script:q} --study {input.study:q} --shown {params.shown}"
        f" --tables {RESULTS.tables} --figures {RESULTS.figures}"
        f" --records {RESULTS.trained} {RESULTS.models}"
        f" --scored {RESULTS.scored_models} --updates {RESULTS.update_ways}"
        " --wording {params.wording:q} --beside {input.beside:q}"
        " --output {output.page:q} 2> {log:q}"
