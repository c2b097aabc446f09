# The report: Snakemake's own self-contained page, led by a front page.


rule make_report:
    input:
        script=program("make_report"),
        module=library(
            "report/embedded_json", "report/embedding", "report/ready_style", "report/rst"
        )
        + [f"{SCRIPTS}/ptft/report/report_{part}" for part in ("names.js", "style.css")]
        + words(),
        front_page=RESULTS.front_page,
        figures=SHOWN_FIGURES,
        tables=[RESULTS.table(name, "html") for name in SHOWN_TABLES],
        examples=EXAMPLES,
        comparison=COMPARISON,
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
        SHOWN_FIGURES,
        [RESULTS.table(name, "html") for name in SHOWN_TABLES],
        EXAMPLES,
        COMPARISON,
