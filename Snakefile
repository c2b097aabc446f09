# How does pre-training shape what fine-tuning can do, and what does fine-tuning forget?
#
#   checkpoint ─┬─ evaluate (base) ────────────┐
#   dataset ────┼─ finetune ─ evaluate (tuned) ┴─ collect ─ analyse ─ plot ─ report
#
# One config file is one study; `--configfile` names another than the pocket study.
# A rule's `params` hold its own slice of the study and nothing else, so that an edit reruns
# just the jobs whose results it can change.
import dataclasses
import os
import re
import sys
from functools import partial
from pathlib import Path

from snakemake.settings.types import DeploymentMethod
from snakemake.utils import min_version

min_version("9.0")
sys.path.insert(0, str(Path(workflow.basedir) / "scripts"))
from ptft import paths, versions
from ptft.analysis.tables import BY_EXAMPLE, TABLES
from ptft.audit.tokenizers import tokenizer_wanted
from ptft.evaluation.cells import require_backend
from ptft.figures import FIGURES, figures_of
from ptft.errors import exit_with_message
from ptft.files import Slices
from ptft.hub.pins import unresolved
from ptft.planning.gpus import gpu_models, gpus_here, require_room
from ptft.planning.estimates import JobResources
from ptft.report.outcome import outcome
from ptft.runtime.locks import StudyLockError, lock_shared, lock_study
from ptft.runtime.slurm_plugin import correct_status_queries
from ptft.study import open_study
from ptft.study.checks import notes
from ptft.study.load import note_owner
from ptft.study.slices import (
    arms_slice,
    check_of,
    checked_trainings,
    checks_slice,
    collection_slice,
    evaluation_slice,
    export_slice,
    finetune_slice,
    resolved_study,
    samples_slice,
    scored_slice,
    split_slice,
    trained_slice,
)
from ptft.study.sources import references, require_sources, shared_and_absent
from snakemake_logger_plugin_ptft import announce

if not workflow.configfiles:

    configfile: str(Path(workflow.basedir) / "config/pocket.yaml")


if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
    IMAGE = os.path.relpath(Path(workflow.basedir) / "envs/container.sif")
    if not os.path.exists(IMAGE):
        sys.exit(f"--sdm apptainer: {IMAGE} does not exist; build it with `make container`")

    container: IMAGE


GRID = open_study(config, workflow.configfiles)
STUDY, RESULTS, TITLES = GRID.study, GRID.results, GRID.titles
FIGURES = figures_of(GRID.contents)
TABLES = [name for name in TABLES if "examples" in GRID.contents or name not in BY_EXAMPLE]


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


# On a cluster only the models' jobs are submitted; the rest runs where Snakemake runs.
SUBMITTED = {"pretrain_checkpoint", "finetune_model", "evaluate_model", "check_gpu"}
workflow.localrules(*(rule.name for rule in workflow.rules if rule.name not in SUBMITTED))
correct_status_queries()
announce(
    RESULTS,
    *((None, ()) if GRID.finished else (GRID, GPUS)),
    answers=partial(outcome, RESULTS),
)


if workflow.is_main_process:
    with exit_with_message():
        if not GRID.finished:
            require_sources(GRID, RESULTS, Path(workflow.basedir))
            require_room(GRID, GPUS)
if workflow.is_main_process and not GRID.finished:
    for note in notes(GRID):
        print(note, file=sys.stderr)


onstart:
    if workflow.is_main_process:
        with exit_with_message(StudyLockError, ModuleNotFoundError):
            # An environment that Snakemake makes for a job may hold what is missing here.
            if not GRID.finished and not workflow.deployment_settings.deployment_method:
                require_backend(GRID.generation_backend)
            lock_study(Path(RESULTS.root))
            if not GRID.finished:
                lock_shared(shared_and_absent(GRID), Path(paths.SHARED_LOCK))
        note_owner(RESULTS, GRID.files)
        SLICES.write()
        SHARED_SLICES.write()
