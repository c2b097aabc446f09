# From per-example files to the cells table, and what it cost.
LEFT_OUT = RESULTS.table("missing", "csv")


# A model's files are read once, so all is collected whenever anything is.
rule collect_cells:
    input:
        script=program("collect_cells"),
        modules=library(
            "analysis/collect",
            "analysis/cell_scores",
            "analysis/costs",
            "analysis/first_tables",
            "analysis/statistics",
            "analysis/tuned_models",
        ),
        records=SCORED,
        pins=CHECKPOINT_PINS,
    output:
        tables=[CELLS, REPLICATES, ARMS],
        csv=[RESULTS.table(name, "csv") for name in ("cells", "missing", "arms", "costs")],
    log:
        RESULTS.log("collect_cells"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        study=slice_of("collect_cells", slices.collection_slice),
        arms=slice_of("collect_arms", slices.arms_slice),
        pins=slice_of("fetched", lambda study: CHECKPOINT_PINS),
    message:
        "Collect the cells"
    shell:
        "python {input.script:q} --study {params.study:q} --arms {params.arms:q}"
        " --pins {params.pins:q} 2> {log:q}"
