# Checkpoints of the model: made here (pocket) or found in a folder.
SOURCE = GRID.model.source


def checkpoint_folder(checkpoint):
    """Model folder of a checkpoint of the study."""
    if SOURCE.kind == "folder":
        return str(Path(SOURCE.path) / checkpoint)
    return paths.pretrained(STUDY.model, checkpoint)


if SOURCE.kind == "pocket":

    rule make_pocket_world:
        input:
            script=program("make_pocket_world"),
        output:
            corpus=paths.pocket_corpus(),
            datasets=directory(paths.pocket_datasets()),
        log:
            RESULTS.log("make_pocket_world"),
        params:
            seed=SOURCE.world_seed,
            version=versions.POCKET_VERSION,
        shell:
            "{PYTHON} {input.script:q} --seed {params.seed} --output {paths.POCKET} 2> {log:q}"

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
        params:
            settings=as_json(dataclasses.asdict(SOURCE.pretraining)),
            folder=paths.pretrained_folder(STUDY.model),
        threads: 2
        shell:
            "{PYTHON} {input.script:q} --world {paths.POCKET} --settings {params.settings:q}"
            " --output {params.folder:q} --threads {threads} 2>&1 | tee {log:q}"


rule checkpoints:
    input:
        [checkpoint_folder(checkpoint) for checkpoint in GRID.checkpoints],
