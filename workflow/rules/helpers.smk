# Shared by all: how a program is called, and what makes it run again.
import dataclasses
import os
import re
import sys
from pathlib import Path

from ptft import paths
from ptft.analysis.tables import TABLES
from ptft.figures import FIGURES, drawn_together, figures_of
from ptft.files import Slices
from ptft.hub import TOKENS
from ptft.models.folder import hash_files
from ptft.runtime.contents import Contents
from ptft.study import slices

STUDY = GRID.study
FIGURES = figures_of(GRID.contents)

# Jobs run the Python that runs Snakemake, whether or not its environment is activated.
os.environ.update(PATH=os.pathsep.join([os.path.dirname(sys.executable), *os.get_exec_path()]))

# No program inherits the Hub's tokens but those that talk to it (hub.smk exports them again).
HUB_TOKENS = " ".join(TOKENS)
shell.prefix(f"set -euo pipefail; export -n {HUB_TOKENS}; ")

SCRIPTS = os.path.relpath(LIBRARY.parent / "scripts")
CELLS = RESULTS.table("cells")
REPLICATES = RESULTS.table("replicates")
CONTENTS = Contents(hash_files)
SLICES = Slices(RESULTS.slices, at_once=not workflow.is_main_process)
SHARED_SLICES = Slices(paths.SLICES, at_once=not workflow.is_main_process)


def program(name):
    """Path of a script; an input of its rule, so that an edited script reruns its jobs."""
    return f"{SCRIPTS}/{name}.py"


def ancient_program(name):
    """Path of a script whose edit reruns nothing, because hours hang on what it makes.

    Where an edit would change its results, a version in its jobs' slice is raised
    (``ptft.versions``).
    """
    return ancient(program(name))


def slice_of(rule, content, *names, folder=SLICES):
    """Parameter: the file with a job's slice of the study; a change of it reruns the job.

    What decides no result (where a state is kept, what starts a program) is no parameter: it is
    written into the command.

    Args:
        rule: whose slice it is.
        content: gives the slice, from the study and the values of the wildcards of these names.
    """

    def file(wildcards):
        return folder.file(rule, content, GRID, *(wildcards[name] for name in names))

    return file


wording_slice = slice_of(
    "wording", lambda study: {"language": STUDY.report.language, "titles": study.titles}
)
analysis_slice = slice_of("analysis", lambda study: dataclasses.asdict(study.study.analysis))


def library(*names):
    """Modules of the library; inputs, so that an edited one makes its results again."""
    return [f"{SCRIPTS}/ptft/{name}.py" for name in names]


def words():
    """The labels of a language: an edited one writes pages and draws figures again."""
    code = STUDY.report.language
    labels = [] if code == "en" else [f"{SCRIPTS}/ptft/language/{code}.yaml"]
    return library("language/__init__") + labels


def page_parts():
    """What all pages are made of: templates, styles, scripts, words."""
    templates = Path(SCRIPTS, "ptft/report/templates").rglob("*.*")
    return library("report/rendering") + sorted(map(str, templates)) + words()
