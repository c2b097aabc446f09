# Tables that others released, read as cells.
ARMS = []  # nothing is trained
COSTS = []  # nobody measured them here
AUDITS = []  # nor prepared the data
# Nor are there results of single examples.
TABLES = [name for name in TABLES if name not in BY_EXAMPLE]
FIGURES = figures_of(["formats"])  # of full fine-tuning alone
LEFT_OUT = RESULTS.table("unknown", "csv")
SLICES.add(
    "read_published", content=lambda: STUDY.published.model_dump(mode="json", exclude_none=True)
)


rule read_published:
    input:
        script=program("read_published"),
        modules=library(
            "analysis/released_scores",
            "analysis/collect",
            "analysis/cell_scores",
            "analysis/statistics",
        ),
        tables=RELEASED,
    output:
        cells=CELLS,
        csv=RESULTS.table("cells", "csv"),
        replicates=REPLICATES,
        unknown=LEFT_OUT,
    log:
        RESULTS.log("read_published"),
    conda:
        "../../envs/environment.yaml"
    params:
        study=STUDY.study,
        slice=slice_of("read_published"),
        published=slice_file("read_published"),
    message:
        "Read the released tables"
    shell:
        "python {input.script:q} --study {params.study} --published {params.published:q}"
        " --output {output.cells:q} --csv {output.csv:q} --replicates {output.replicates:q}"
        " --unknown {output.unknown:q} 2> {log:q}"
