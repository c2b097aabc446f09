# Scores that are read as the cells of a study; no model is run.
ARCHIVE = isinstance(config["published"], dict) and "archive" in config["published"]
with exit_with_message():
    if ARCHIVE:
        ARCHIVED = read_archived_study(config, STUDY_FILES)
        STUDY = ARCHIVED.study
    else:
        STUDY = read_published_study(config, STUDY_FILES)
        RELEASED = released_tables(STUDY, STUDY_FILES)
    TITLES = library_titles(Path(os.path.relpath(workflow.basedir), "config"))
    if not ARCHIVE:
        TITLES["datasets"] |= released_titles(STUDY)
RESULTS = paths.Results(STUDY.study)
GRID = None  # nothing is scored here
INCOMPLETE = []
EXPORTED = []  # nor are there models to write cards for
EXAMPLES = []  # nor answers to look at


include: "helpers.smk"


SLICES.add(
    "write_study",
    content=lambda: ARCHIVED.resolved if ARCHIVE else {"study": STUDY.model_dump(mode="json")},
)


rule write_study:
    input:
        script=program("write_study"),
    output:
        RESULTS.resolved,
    log:
        RESULTS.log("write_study"),
    conda:
        "../../envs/environment.yaml"
    params:
        slice=slice_of("write_study"),
        study=slice_file("write_study"),
    message:
        "Write the resolved study"
    shell:
        "python {input.script:q} --study {params.study:q} --output {output:q} 2> {log:q}"


if ARCHIVE:

    include: "archive.smk"

else:

    include: "released.smk"
