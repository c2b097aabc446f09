# A finished study out of one file that `snakemake export` wrote.
HELD = {f"{RESULTS.root}/{name}" for name in ARCHIVED.members}
FIGURES = figures_of(
    spec.needs for name, spec in FIGURES.items() if RESULTS.figure(name, "svg") in HELD
)
COSTS = sorted({RESULTS.table("costs", "csv")} & HELD)
ARMS = RESULTS.table("arms") if RESULTS.table("arms") in HELD else []
AUDITS = [name for name in ("audit_splits", "audit_prompts") if RESULTS.table(name) in HELD]
LEFT_OUT = sorted({RESULTS.table(name, "csv") for name in ("missing", "unknown")} & HELD)
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
