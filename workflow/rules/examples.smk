# A page of single examples; no study without tuned models and prompts has one.
EXAMPLES = [RESULTS.examples] if GRID.tasks and GRID.prompted else []


rule write_examples:
    input:
        script=program("write_examples"),
        modules=library("analysis/examples", "prompts/templates", "report/examples") + page_parts(),
        # It is made again when any cell is; the files of cells are not declared.
        cells=CELLS,
        arms=ARMS,
        splits=[
            RESULTS.split(dataset, split)
            for dataset, split in GRID.splits()
            if dataset in GRID.prompted and split != "train"
        ],
    output:
        RESULTS.examples,
    log:
        RESULTS.log("write_examples"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        plan=slice_of("evaluate_model", slices.evaluation_slice),
        settings=analysis_slice,
        wording=wording_slice,
        seed=STUDY.data.seed,
    message:
        "Look at single examples"
    shell:
        "python {input.script:q} --cells {input.cells:q} --arms {input.arms:q}"
        " --plan {params.plan:q} --settings {params.settings:q} --wording {params.wording:q}"
        f" --evaluations {RESULTS.evaluations} --data {RESULTS.datasets}"
        " --seed {params.seed} --output {output:q} 2> {log:q}"
