# A study whose cells are finished: they are read from released tables or an archive.
READ = GRID.read  # all that reading makes
COSTS = [file for file in READ if file == RESULTS.table("costs", "csv")]
ARMS = RESULTS.table("arms") if RESULTS.table("arms") in READ else []
AUDITS = [
    name for name in ("audit_splits", "audit_prompts", "self_text") if RESULTS.table(name) in READ
]
LEFT_OUT = [RESULTS.table(name, "csv") for name in ("missing", "unknown")]
LEFT_OUT = [file for file in LEFT_OUT if file in READ]
EXAMPLES = []  # no answers to look at
SCORED = []  # no records of cells
PINS = []  # nothing is fetched
GPUS = ()  # no jobs that ask for one


rule read_finished:
    input:
        script=program("read_finished"),
        modules=library(
            "analysis/released_scores",
            "analysis/collect",
            "analysis/cell_scores",
            "analysis/statistics",
            "study/finished",
        ),
        sources=GRID.sources,
    output:
        READ,
    log:
        RESULTS.log("read_finished"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        reading=slice_of("read_finished", lambda study: study.reading),
    message:
        "Read the finished cells"
    shell:
        "python {input.script:q} --reading {params.reading:q}"
        f" --results {RESULTS.root}"
        " 2> {log:q}"
