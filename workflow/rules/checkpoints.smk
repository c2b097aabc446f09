# Checkpoints of the model: made here (pocket), fetched (hub.smk) or found in a folder.
from ptft import versions

if SOURCE.kind == "pocket":

    rule make_pocket_world:
        input:
            script=ancient_program("make_pocket_world"),
        output:
            corpus=paths.pocket_corpus(),
            datasets=directory(paths.pocket_datasets()),
        log:
            RESULTS.log("make_pocket_world"),
        localrule: True
        conda:
            "../../envs/environment.yaml"
        params:
            seed=SOURCE.world_seed,
            version=versions.POCKET_VERSION,
        message:
            "Make the pocket world: a corpus and its tasks"
        shell:
            "python {input.script:q} --seed {params.seed}" f" --output {paths.POCKET}" " 2> {log:q}"

    # Apart from the world, whose models would be made again with it.
    rule make_pocket_text:
        input:
            script=ancient_program("make_pocket_world"),
            corpus=paths.pocket_corpus(),
        output:
            train=f"{paths.pocket_text()}/train.jsonl",
            test=f"{paths.pocket_text()}/test.jsonl",
        log:
            RESULTS.log("make_pocket_text"),
        localrule: True
        conda:
            "../../envs/environment.yaml"
        params:
            seed=SOURCE.world_seed,
            version=versions.POCKET_VERSION,
        message:
            "Make text of the pocket world that is not in its corpus"
        shell:
            "python {input.script:q} --corpus {input.corpus:q} --seed {params.seed}"
            f" --output {paths.pocket_text()}"
            " 2> {log:q}"

    # From one checkpoint to the next, so that the first are fine-tuned while the later ones form.
    rule pretrain_checkpoint:
        input:
            script=ancient_program("pretrain_checkpoint"),
            corpus=paths.pocket_corpus(),
            before=INPUTS.state_before,
        output:
            checkpoint=directory(paths.pretrained(STUDY.model, "{checkpoint}")),
            state=paths.pretraining_state(STUDY.model, "{checkpoint}"),
        log:
            RESULTS.log("pretrain_checkpoint", "{checkpoint}"),
        benchmark:
            RESULTS.benchmark("pretrain_checkpoint", "{checkpoint}")
        wildcard_constraints:
            checkpoint=one_of(SOURCE.checkpoints()),
        priority: 2  # all else waits for these
        conda:
            "../../envs/environment.yaml"
        threads: 1  # of a model this small, more threads wait for one another
        resources:
            nodes=1,
            runtime=lambda wildcards, attempt: 60 * attempt,
        params:
            # Of one name for all studies, or each would make the checkpoints of the others again.
            slice=slice_of(
                "pretrain",
                lambda study, checkpoint: SOURCE.pretraining_slice(checkpoint),
                "checkpoint",
                folder=SHARED_SLICES,
            ),
            before=lambda wildcards, input: f"--before {input.before}" if input.before else "",
        message:
            "Pre-train the pocket model to {wildcards.checkpoint}"
        shell:
            "python {input.script:q} --corpus {input.corpus:q} --settings {params.slice:q}"
            " {params.before} --output {output.checkpoint:q} --state {output.state:q}"
            " --threads {threads} 2> {log:q}"


rule checkpoints:
    input:
        [GRID.checkpoint_folder(checkpoint) for checkpoint in GRID.checkpoints],
