# A finished study out of one file that `snakemake export` wrote.
def archived(name, suffix="parquet"):
    """A table of the archived study, if its archive has it."""
    return [RESULTS.table(name, suffix)] if f"tables/{name}.{suffix}" in ARCHIVED.members else []


COSTS = archived("costs", "csv")
ARMS = RESULTS.table("arms") if archived("arms") else []
AUDITS = [name for name in ("audit_splits", "audit_prompts") if archived(name)]
LEFT_OUT = archived("missing", "csv") + archived("unknown", "csv")
UNPACKED = [CELLS, RESULTS.table("cells", "csv"), REPLICATES, *LEFT_OUT, *COSTS]
MADE_THERE = [*AUDITS, *(["arms"] if ARMS else [])]
UNPACKED += [RESULTS.table(name, suffix) for name in MADE_THERE for suffix in ("parquet", "csv")]
PAGES = [RESULTS.table(name, "html") for name in MADE_THERE]
SLICES.add(
    "read_archive",
    content=lambda: [
        name
        for name in ARCHIVED.members
        if f"{RESULTS.root}/{name}" in [*UNPACKED, *PAGES]
        or f"{RESULTS.root}/{name}".startswith(f"{RESULTS.trained}/")
    ],
)


rule read_archive:
    input:
        script=program("read_archive"),
        modules=library("files/archive"),
        archive=STUDY.published.archive,
    output:
        UNPACKED,
        [
            report(
                page, category=translator(STUDY.report.language)("Tables"), labels={"table": name}
            )
            for name, page in zip(MADE_THERE, PAGES)
        ],
    log:
        RESULTS.log("read_archive"),
    conda:
        "../../envs/environment.yaml"
    params:
        slice=slice_of("read_archive"),
        members=slice_file("read_archive"),
        results=place(RESULTS.root),
    message:
        "Unpack {input.archive}"
    shell:
        "python {input.script:q} --archive {input.archive:q} --members {params.members:q}"
        " --results {params.results:q} 2> {log:q}"
