# Tables and figures: light jobs from the cells table.
CELLS = RESULTS.table("cells")
REPLICATES = RESULTS.table("replicates")


def modules(package):
    """A package's files; inputs, so that an edited analysis is made again."""
    return sorted(str(path) for path in Path(SCRIPTS, "ptft", package).glob("*.py"))


rule write_study:
    output:
        RESULTS.resolved,
    log:
        RESULTS.log("write_study"),
    params:
        study=as_json(GRID.resolved()),
    script:
        f"{program('write_study')}"


rule collect_cells:
    input:
        script=program("collect_cells"),
        module=f"{SCRIPTS}/ptft/collect.py",
        cells=[RESULTS.cell(*dataclasses.astuple(cell)) for cell in GRID.cells()],
    output:
        cells=CELLS,
        csv=RESULTS.table("cells", "csv"),
        replicates=REPLICATES,
        missing=RESULTS.table("missing", "csv"),
    log:
        RESULTS.log("collect_cells"),
    params:
        study=as_json(GRID.collection_slice()),
        evaluations=f"{RESULTS.root}/evaluations",
    shell:
        "{PYTHON} {input.script:q} --study-json {params.study:q}"
        " --evaluations {params.evaluations:q} --output {output.cells:q} --csv {output.csv:q}"
        " --replicates {output.replicates:q} --missing {output.missing:q} 2> {log:q}"


rule analyse_cells:
    input:
        script=program("analyse"),
        modules=modules("analysis"),
        cells=CELLS,
        replicates=REPLICATES,
    output:
        tables=[RESULTS.table(name) for name in TABLES],
        csv=[RESULTS.table(name, "csv") for name in TABLES],
    log:
        RESULTS.log("analyse_cells"),
    params:
        settings=as_json(dataclasses.asdict(STUDY.analysis)),
        folder=f"{RESULTS.root}/tables",
    shell:
        "{PYTHON} {input.script:q} --cells {input.cells:q} --replicates {input.replicates:q}"
        " --settings {params.settings:q} --output-dir {params.folder:q} 2> {log:q}"


rule plot_figure:
    input:
        script=program("plot_figure"),
        module=f"{SCRIPTS}/ptft/figures/{{figure}}.py",
        cells=CELLS,
        tables=[RESULTS.table(name) for name in TABLES],
    output:
        svg=RESULTS.figure("{figure}", "svg"),
        png=RESULTS.figure("{figure}", "png"),
    log:
        RESULTS.log("plot_figure", "{figure}"),
    wildcard_constraints:
        figure=one_of(FIGURES),
    params:
        folder=f"{RESULTS.root}/tables",
    shell:
        "{PYTHON} {input.script:q} --figure {wildcards.figure} --cells {input.cells:q}"
        " --tables {params.folder:q} --svg {output.svg:q} --png {output.png:q} 2> {log:q}"


rule tables:
    input:
        CELLS,
        [RESULTS.table(name) for name in TABLES],


rule figures:
    input:
        [RESULTS.figure(name) for name in FIGURES],
