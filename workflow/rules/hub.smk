# What is fetched from the Hub. A name is resolved to a pin (commit, files, hashes) once; the
# pin stays, so that a later run reads the same bytes. These rules need a network, no others do.
SPLITS_ON_HUB = {
    hub_folder(found): found
    for dataset, split in GRID.splits()
    if (found := GRID.split_on_hub(dataset, split))
}
CHECKPOINTS_ON_HUB = {
    checkpoint_folder(name): SOURCE.reference(name)
    for name in GRID.checkpoints
    if SOURCE.kind == "hub"
}
FETCHED = [*CHECKPOINTS_ON_HUB, *SPLITS_ON_HUB]
RESOLVE = {
    **{folder: f"--checkpoint={as_json(found)}" for folder, found in CHECKPOINTS_ON_HUB.items()},
    **{folder: f"--split={as_json(found)}" for folder, found in SPLITS_ON_HUB.items()},
}
CHECKPOINT_PINS = [paths.pin(folder) for folder in CHECKPOINTS_ON_HUB]
PINS = [paths.pin(folder) for folder in FETCHED]


rule resolve_pin:
    input:
        script=steady_program("resolve_pin"),
    output:
        paths.pin("{folder}"),
    log:
        RESULTS.log("resolve_pin", "{folder}"),
    wildcard_constraints:
        folder=one_of(FETCHED),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        what=lambda wildcards: RESOLVE[wildcards.folder],
    message:
        "Look up {wildcards.folder} on the Hub"
    shell:
        "python {input.script:q} {params.what:q} --output {output:q} 2>&1 | tee {log:q}"


# A file of one name for all studies: were the pins themselves the input of each download, a new
# dataset would make all of them again.
rule resolve_pins:
    input:
        ancient(PINS),
    output:
        touch(paths.PINS_RESOLVED),
    localrule: True


# All pins come first: a name that does not exist, or a disk too small, stops before any download.
rule fetch_pin:
    input:
        pin=paths.pin("{folder}"),
        resolved=ancient(paths.PINS_RESOLVED),
    output:
        directory("{folder}"),
    log:
        RESULTS.log("fetch_pin", "{folder}"),
    wildcard_constraints:
        folder=one_of(FETCHED),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        script=program("fetch_pin"),
        # Of the input, so that it is not tracked: another study has other pins.
        pins=lambda wildcards, input: PINS,
        same_weights=lambda wildcards, input: STUDY.same_weights,
    message:
        "Fetch {wildcards.folder}"
    shell:
        "python {params.script:q} --pin {input.pin:q} --all-pins {params.pins:q}"
        " --same-weights {params.same_weights:q}"
        " 2>&1 | tee {log:q}"


rule fetch:
    input:
        FETCHED,
    localrule: True


# The only way a pin moves on; what did not move is not fetched again.
rule update_pins:
    log:
        RESULTS.log("update_pins"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        script=program("update_pins"),
        pins=lambda wildcards: as_json(
            {paths.pin(folder): what.split("=", 1) for folder, what in RESOLVE.items()}
        ),
    message:
        "Look up everything on the Hub again"
    shell:
        "python {params.script:q} --pins {params.pins:q} 2>&1 | tee {log:q}"
