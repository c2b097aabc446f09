# What is fetched from the Hub. A name is resolved to a pin (commit, files, hashes) once; the
# pin stays, so that a later run reads the same bytes. These rules need a network, no others do.
from ptft.hub.pins import unresolved
from ptft.study.sources import references

REFERENCES = references(GRID)
FETCHED = list(GRID.fetched())
CHECKPOINT_PINS = [paths.pin(folder) for folder in GRID.fetched_checkpoints()]
PINS = list(REFERENCES)
pins_slice = slice_of(
    "pins",
    lambda study: {"references": list(REFERENCES.items()), "same_weights": STUDY.same_weights},
)
# Of what is pinned no rule is known: nothing is looked up, or fetched, again for a new dataset.
UNRESOLVED = unresolved(REFERENCES)
if UNRESOLVED:

    # One job for all: a name that does not exist, checkpoints that do not belong together, or a
    # disk too small stop before any download.
    rule resolve_pins:
        input:
            script=ancient_program("resolve_pins"),
        output:
            UNRESOLVED,
        log:
            RESULTS.log("resolve_pins"),
        localrule: True
        conda:
            "../../envs/environment.yaml"
        params:
            plan=pins_slice,
        message:
            "Look up what the study names on the Hub"
        shell:
            f"export {HUB_TOKENS};"
            " python {input.script:q} --plan {params.plan:q} 2>&1 | tee {log:q}"


rule fetch_pin:
    input:
        pin=paths.pin("{folder}"),
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
    message:
        "Fetch {wildcards.folder}"
    shell:
        f"export {HUB_TOKENS};" " python {params.script:q} --pin {input.pin:q} 2>&1 | tee {log:q}"


rule fetch:
    input:
        FETCHED,


# The only way a pin moves on; what did not move is not fetched again.
rule update_pins:
    log:
        RESULTS.log("update_pins"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        script=program("resolve_pins"),
        plan=pins_slice,
    message:
        "Look up everything on the Hub again"
    shell:
        f"export {HUB_TOKENS};"
        " python {params.script:q} --again --plan {params.plan:q} 2>&1 | tee {log:q}"
