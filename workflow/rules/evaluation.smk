# Scores: one job a checkpoint and arm loads the model once and scores every cell that the
# store does not hold yet. Its outputs are the cells' per-example files.
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
    conda:
        "../../envs/environment.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=STUDY.compute.gpus,
    params:
        plan=lambda wildcards: as_json(GRID.evaluation_slice()),
        data=lambda wildcards, input: folder_of(input.splits[0], 2),
        store=RESULTS.cell_store,
        folder=lambda wildcards, output: folder_of(output[0]),
    message:
        "Evaluate {wildcards.checkpoint} {wildcards.arm}"
    shell:
        "python {input.script:q} --model {input.model:q} --data {params.data:q}"
        " --plan {params.plan:q} --store {params.store:q} --output {params.folder:q}"
        " --threads {threads} 2> {log:q}"


rule evaluation:
    input:
        [RESULTS.cell(*dataclasses.astuple(cell)) for cell in GRID.cells()],
