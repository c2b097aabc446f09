# Checkpoints of the model: made here (pocket) or found in a folder.
if SOURCE.kind == "pocket":

    rule make_pocket_world:
        input:
            script=program("make_pocket_world"),
        output:
            corpus=paths.pocket_corpus(),
            datasets=directory(paths.pocket_datasets()),
        log:
            RESULTS.log("make_pocket_world"),
        conda:
            "../../envs/environment.yaml"
        params:
            seed=SOURCE.world_seed,
            version=versions.POCKET_VERSION,
            folder=lambda wildcards, output: folder_of(output.corpus),
        message:
            "Make the pocket world: a corpus and its tasks"
        shell:
            "python {input.script:q} --seed {params.seed} --output {params.folder:q} 2> {log:q}"

    rule pretrain_checkpoints:
        input:
            script=program("pretrain_pocket"),
            corpus=paths.pocket_corpus(),
        output:
            [
                directory(paths.pretrained(STUDY.model, checkpoint))
                for checkpoint in SOURCE.checkpoints()
            ],
        log:
            RESULTS.log("pretrain_checkpoints"),
        benchmark:
            RESULTS.benchmark("pretrain_checkpoints")
        conda:
            "../../envs/environment.yaml"
        threads: 1  # of a model this small, more threads wait for one another
        resources:
            **SITE.resources(0),
            nodes=1,
            runtime=lambda wildcards, attempt: 60 * attempt,
        params:
            settings=lambda wildcards: as_json(dataclasses.asdict(SOURCE.pretraining)),
            world=lambda wildcards, input: folder_of(input.corpus),
            folder=lambda wildcards, output: folder_of(output[0]),
        message:
            "Pre-train the pocket model, keeping its checkpoints"
        shell:
            "python {input.script:q} --world {params.world:q} --settings {params.settings:q}"
            " --output {params.folder:q} --threads {threads} 2>&1 | tee {log:q}"


rule checkpoints:
    input:
        [checkpoint_folder(checkpoint) for checkpoint in GRID.checkpoints],
