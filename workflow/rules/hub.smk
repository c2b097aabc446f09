# What is fetched from the Hub. A name is resolved to a pin (commit, files, hashes) once; the
# pin stays, so that a later run reads the same bytes. These rules need a network, no others do.
SPLITS_ON_HUB = GRID.fetched_splits()
CHECKPOINTS_ON_HUB = GRID.fetched_checkpoints()
FETCHED = [*CHECKPOINTS_ON_HUB, *SPLITS_ON_HUB]
REFERENCES = {
    **{folder: ("checkpoint", found) for folder, found in CHECKPOINTS_ON_HUB.items()},
    **{folder: ("split", found) for folder, found in SPLITS_ON_HUB.items()},
}
CHECKPOINT_PINS = [paths.pin(folder) for folder in CHECKPOINTS_ON_HUB]
PINS = [paths.pin(folder) for folder in FETCHED]
SLICES.add("pins", content=lambda: PINS)
SLICES.add("checkpoint_pins", content=lambda: CHECKPOINT_PINS)
SLICES.add(
    "references",
    content=lambda: {
        paths.pin(folder): {kind: found} for folder, (kind, found) in REFERENCES.items()
    },
)


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
        slice=reference_text,
        tokens=HUB_TOKENS,
        references=slice_file("references"),
    message:
        "Look up {wildcards.folder} on the Hub"
    shell:
        "export {params.tokens}; python {input.script:q} --references {params.references:q}"
        " --output {output:q} 2>&1 | tee {log:q}"


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
        tokens=HUB_TOKENS,
        pins=slice_file("pins"),
        # Of the input, so that it is not tracked.
        same_weights=lambda wildcards, input: STUDY.same_weights,
    message:
        "Fetch {wildcards.folder}"
    shell:
        "export {params.tokens}; python {params.script:q} --pin {input.pin:q} --all-pins {params.pins:q}"
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
        tokens=HUB_TOKENS,
        references=slice_file("references"),
    message:
        "Look up everything on the Hub again"
    shell:
        "export {params.tokens}; python {params.script:q} --references {params.references:q} 2>&1 | tee {log:q}"
