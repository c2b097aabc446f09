"""Modules of a site: a job's shell loads them before Python starts, or says why it can't."""

import subprocess
import sys
from pathlib import Path

import pytest

from ptft.planning.site import Site
from ptft.runtime.failures import cause

# As environment modules and Lmod do it: a file that defines a function of the shell.
MODULE = """
module() {
    [ "$1 $2" = "load python/3.11" ] || [ "$1 $2" = "load cuda/12.4" ] || return 1
    LOADED="${LOADED:-}$2 "
    PATH="/modules/$2/bin:$PATH"
    export LOADED PATH
}
"""
SHOW = f'{sys.executable} -c \'import os; print(os.environ["LOADED"], os.environ["PATH"])\''
INSTALLED = list(Path("/etc/profile.d").glob("*mod*.sh"))


@pytest.fixture
def run(repository, tmp_path):
    """Function: run a job's script, as Slurm does, on a node with these modules loaded."""

    def run(*modules, given=None, **environment):
        loader = repository / "slurm/load_modules.sh"
        before = Site(modules=list(modules)).precommand(loader, given)
        script = f"#!/bin/sh\n{before} && {SHOW}\n"
        return subprocess.run(
            ["sh", "-s"], input=script, text=True, capture_output=True, check=False,
            env={"PATH": "/usr/bin:/bin"} | environment,
        )  # fmt: skip

    return run


@pytest.fixture
def home(tmp_path):
    """Folder of a module system, as its variable MODULESHOME names it."""
    (tmp_path / "home/init").mkdir(parents=True)
    (tmp_path / "home/init/sh").write_text(MODULE)
    return str(tmp_path / "home")


def test_modules_are_loaded_in_order_and_python_stays_the_environments(run, home):
    done = run("python/3.11", "cuda/12.4", MODULESHOME=home)
    own = Path(sys.executable).parent
    modules = "/modules/cuda/12.4/bin:/modules/python/3.11/bin"
    assert done.stdout == f"python/3.11 cuda/12.4  {own}:{modules}:/usr/bin:/bin\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert run("cuda/12.4", given="export LOADED=first/", MODULESHOME=home).stdout.startswith(
        "first/cuda/12.4 "
    )


def test_a_module_that_is_not_there_ends_the_job_with_a_sentence(run, home):
    done = run("python/3.11", "cuda/99", MODULESHOME=home)
    assert done.returncode != 0 and done.stdout == ""
    told = cause(done.stderr.splitlines())  # as Snakemake's message of the failed job
    assert told.startswith("slurm/site.yaml: modules: ")
    assert told.endswith(" cannot load 'cuda/99'; see 'module avail' there")


@pytest.mark.skipif(bool(INSTALLED), reason="this machine has modules")
def test_a_node_without_modules_ends_the_job_with_a_sentence(run):
    done = run("python/3.11")
    assert done.returncode != 0 and done.stdout == ""
    assert done.stderr.startswith("error: slurm/site.yaml: modules: ")
    assert " has no command 'module'; " in done.stderr and done.stderr.count("\n") == 1


def test_without_modules_nothing_is_run_first():
    assert Site().precommand(Path("loader"), None) is None
    assert Site().precommand(Path("loader"), "true") == "true"
