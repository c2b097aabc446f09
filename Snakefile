# How does pre-training shape what fine-tuning can do, and what does fine-tuning forget?
#
#   checkpoint ─┬─ evaluate (base) ────────────┐
#   dataset ────┼─ finetune ─ evaluate (tuned) ┴─ collect ─ analyse ─ plot ─ report
#
# One config file is one study; `--configfile` names another than the pocket study.
# A rule's `params` hold its own slice of the study and nothing else, so that an edit reruns
# just the jobs whose results it can change.
from functools import partial

from snakemake.utils import min_version

from ptft.planning.start import IMAGE, LIBRARY, begin, look_ahead
from ptft.report.outcome import outcome
from ptft.study import open_study
from snakemake_logger_plugin_ptft import announce

min_version("9.27")
if not workflow.configfiles:

    configfile: str(LIBRARY / "pocket.yaml")


container: os.path.relpath(IMAGE)


GRID = open_study(config, workflow.configfiles)
RESULTS = GRID.results


include: "workflow/rules/helpers.smk"


if GRID.finished:

    include: "workflow/rules/finished.smk"

else:

    include: "workflow/rules/common.smk"
    include: "workflow/rules/checkpoints.smk"
    include: "workflow/rules/hub.smk"
    include: "workflow/rules/datasets.smk"
    include: "workflow/rules/finetuning.smk"
    include: "workflow/rules/evaluation.smk"
    include: "workflow/rules/collection.smk"
    include: "workflow/rules/examples.smk"


include: "workflow/rules/analysis.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/export.smk"


rule all:
    default_target: True
    input:
        SCORED,
        RESULTS.report,


DEPLOYMENT = workflow.deployment_settings.deployment_method
announce(
    RESULTS,
    None if GRID.finished else GRID,
    GPUS,
    answers=partial(outcome, RESULTS),
    main=workflow.is_main_process,
)
if workflow.is_main_process:
    look_ahead(GRID, GPUS, DEPLOYMENT)


onstart:
    begin(GRID, (SLICES, SHARED_SLICES, CONTENTS), DEPLOYMENT)
