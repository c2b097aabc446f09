# Scores that others released, read as the cells of a study; no model is run.
with printed_alone():
    STUDY = read_published_study(config, STUDY_FILES)
    RELEASED = released_tables(STUDY, STUDY_FILES)
RESULTS = paths.Results(STUDY.study)
GRID = None  # nothing is scored here
INCOMPLETE = []
COSTS = []  # nobody measured them here
AUDITS = []  # nor prepared the data


include: "helpers.smk"


SLICES.add("write_study", content=lambda: {"study": STUDY.model_dump(mode="json")})
SLICES.add(
    "read_published", content=lambda: STUDY.published.model_dump(mode="json", exclude_none=True)
)


rule write_study:
    input:
        script=program("write_study"),
    output:
        RESULTS.resolved,
    log:
        RESULTS.log("write_study"),
    conda:
        "../../envs/environment.yaml"
    params:
        slice=slice_of("write_study"),
        study=slice_file("write_study"),
    message:
        "Write the resolved study"
    shell:
        "python {input.script:q} --study {params.study:q} --output {output:q} 2> {log:q}"


rule read_published:
    input:
        script=program("read_published"),
        modules=library(
            "analysis/released_scores",
            "analysis/collect",
            "analysis/intervals",
            "analysis/statistics",
        ),
        tables=RELEASED,
    output:
        cells=CELLS,
        csv=RESULTS.table("cells", "csv"),
        replicates=REPLICATES,
        unknown=RESULTS.table("unknown", "csv"),
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
