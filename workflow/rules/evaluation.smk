# Scores: one job a checkpoint and arm loads the model once and scores every cell that the
# store does not hold yet. Its outputs are the cells' per-example files.
def evaluated_model(wildcards):
    """Model folder of an arm: the checkpoint itself, or what fine-tuning made of it."""
    if GRID.arms[wildcards.arm].method is None:
        return checkpoint_folder(wildcards.checkpoint)
    return RESULTS.tuned(wildcards.checkpoint, wildcards.arm)


rule evaluate_model:
    input:
        script=program("evaluate_model"),
        model=evaluated_model,
        splits=[
            RESULTS.split(dataset, split) for dataset, split in GRID.splits() if split != "train"
        ],
    output:
        [RESULTS.cell("{checkpoint}", "{arm}", *score) for score in GRID.scores()],
    log:
        RESULTS.log("evaluate_model", "{checkpoint}", "{arm}"),
    benchmark:
        RESULTS.benchmark("evaluate_model", "{checkpoint}", "{arm}")
    params:
        plan=as_json(GRID.evaluation_slice()),
        data=RESULTS.datasets,
        store=RESULTS.cell_store,
        folder=RESULTS.evaluation("{checkpoint}", "{arm}"),
    threads: STUDY.compute.threads
    resources:
        gpu=STUDY.compute.gpus,
    shell:
        "{PYTHON} {input.script:q} --model {input.model:q} --data {params.data:q}"
        " --plan {params.plan:q} --store {params.store:q} --output {params.folder:q}"
        " --threads {threads} 2> {log:q}"


rule evaluation:
    input:
        [RESULTS.cell(*dataclasses.astuple(cell)) for cell in GRID.cells()],
