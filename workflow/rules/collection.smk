# From per-example files to the cells table, what it cost, and formats of others.
LEFT_OUT = RESULTS.table("missing", "csv")
# What cards of its models say, for an export.
ABOUT = slice_of("export_study", slices.export_slice)


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
        study=slice_of("write_study", slices.resolved_study),
        pins=slice_of("fetched", lambda study: PINS),
    message:
        "Write the resolved study"
    shell:
        "python {input.script:q} --study {params.study:q} --pins {params.pins:q}"
        " --output {output:q} 2> {log:q}"


rule collect_cells:
    input:
        script=program("collect_cells"),
        modules=library(
            "analysis/collect",
            "analysis/cell_scores",
            "analysis/statistics",
        ),
        records=scored_models,
        pins=CHECKPOINT_PINS,
    output:
        cells=CELLS,
        csv=RESULTS.table("cells", "csv"),
        replicates=REPLICATES,
        missing=LEFT_OUT,
    log:
        RESULTS.log("collect_cells"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        study=slice_of("collect_cells", slices.collection_slice),
        pins=slice_of("fetched", lambda study: CHECKPOINT_PINS),
    message:
        "Collect the cells"
    shell:
        "python {input.script:q} --study {params.study:q}"
        f" --evaluations {RESULTS.evaluations} --records {RESULTS.scored_models}"
        f" --parts {RESULTS.collected}"
        " --output {output.cells:q} --csv {output.csv:q} --replicates {output.replicates:q}"
        " --missing {output.missing:q} --pins {params.pins:q} 2> {log:q}"


rule collect_arms:
    input:
        script=program("collect_arms"),
        modules=library("analysis/tuned_models"),
        cells=CELLS,
    output:
        table=ARMS,
        csv=RESULTS.table("arms", "csv"),
    log:
        RESULTS.log("collect_arms"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        study=slice_of("collect_arms", slices.arms_slice),
        folder=lambda wildcards, output: folder_of(output.table),
    message:
        "Collect the fine-tuned models' settings and losses"
    shell:
        "python {input.script:q} --study {params.study:q}"
        f" --models {RESULTS.models} --records {RESULTS.trained}"
        " --output-dir {params.folder:q} 2> {log:q}"


rule collect_costs:
    input:
        script=program("collect_costs"),
        modules=library("analysis/costs", "runtime/job_records", "paper"),
        cells=CELLS,
    output:
        RESULTS.table("costs", "csv"),
    log:
        RESULTS.log("collect_costs"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        benchmarks=f"{RESULTS.root}/benchmarks",
        records=RESULTS.job_records(),
    message:
        "Add up the costs"
    shell:
        "python {input.script:q} --benchmarks {params.benchmarks:q} --records {params.records:q}"
        " --output {output:q} 2> {log:q}"
