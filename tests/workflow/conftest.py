"""A finished run of the pocket study at test size, in a copy of the workflow of its own."""

import contextlib
import hashlib
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.waiting import PATIENCE
from tests.warm import run_snakemake, warm_programs

# Of a finished run, what jobs put in place whole and never rewrite: a copy's are hard links. Not
# so locks, logs and records; cells and their store are copied, so that tests see which are linked.
RESOURCES = ["resources/models", "resources/pocket"]
LINKED = [*RESOURCES, *(f"results/tiny/{part}" for part in ("datasets", "models", "figures"))]
PARTS = ["Snakefile", "scripts", "workflow", "config", "profiles", "envs"]


@dataclass
class Clone:
    """A copy of the workflow with a study, in which Snakemake is run as a user would."""

    root: Path
    study: str = "study.yaml"  # one file, or several with spaces between

    def command(self, *arguments: str) -> list[str]:
        """The command line of a run of the study."""
        return [sys.executable, "-m", "snakemake", *self.options(*arguments)]

    def options(self, *arguments: str) -> list[str]:
        """Snakemake's arguments in a run of the study."""
        return ["--configfile", *self.study.split(), "--cores", "2", *arguments]

    def snakemake(self, *arguments: str, fails: bool = False) -> str:
        """Run Snakemake on the study; its whole output."""
        status, output = run_snakemake(self.options(*arguments), self.root, warm_programs())
        assert (status != 0) == fails, output[-6000:]
        return output

    def planned(self, *arguments: str) -> list[str]:
        """Messages of the jobs that a run would execute, sorted."""
        return self.messages(self.snakemake("-n", *arguments))

    @staticmethod
    def messages(output: str) -> list[str]:
        """Messages of the jobs of a dry run, sorted."""
        return sorted(re.findall(r"^Job \d+: (.*)$", output, re.M))

    @staticmethod
    def stages(output: str) -> dict[str, int]:
        """Stage of the workflow's own plan -> number to run, from the output of a dry run."""
        plan = output.split("Plan of ")[1]
        rows = re.findall(r"^  ([a-z -]+?) +(?:\d+ +)?(\d+)(?: +[\d.]+)?$", plan, re.M)
        return {name: int(number) for name, number in rows}

    def planned_counts(self, *arguments: str) -> dict[str, int]:
        """Rule -> number of jobs that a run would execute."""
        return dict(self.counted(self.snakemake("-n", *arguments)))

    @staticmethod
    def counted(output: str) -> Counter:
        """Rule -> number of jobs, from Snakemake's own table."""
        table = output.split("Job stats:")[1].split("total")[0] if "Job stats:" in output else ""
        return Counter({name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.M)})

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a piece of one of the clone's files."""
        file = self.root / path
        text = file.read_text()
        assert old in text, f"{old!r} is not in {path}"
        file.write_text(text.replace(old, new))


def make_clone(repository: Path, root: Path, study: str) -> Clone:
    """Copy the workflow, and a study of tests/studies with its models, into a folder."""
    root.mkdir()
    for part in PARTS:
        source = repository / part
        # With what Python compiled, but not while it writes that.
        ignore = shutil.ignore_patterns("*.pyc.*", "*-pytest-*")
        if source.is_dir():
            shutil.copytree(source, root / part, ignore=ignore)
        else:
            shutil.copy2(source, root / part)
    studies = repository / "tests" / "studies"
    shutil.copy2(studies / f"{study}.yaml", root / "study.yaml")
    shutil.copytree(studies / "models", root / "models")
    return Clone(root)


@pytest.fixture(scope="session")
def finished_once(repository, tmp_path_factory) -> Iterator[Path]:
    """Folder of a finished run; made by the first worker that asks, never changed."""
    shared = tmp_path_factory.getbasetemp()
    if "popen-gw" in shared.name:
        shared = shared.parent
    root = shared / "finished"
    with FileLock(f"{root}.lock", timeout=PATIENCE):
        if not (root / "results/tiny/report.html").exists():
            shutil.rmtree(root, ignore_errors=True)
            make_clone(repository, root, "tiny").snakemake()
    with unchanged(*(root / part for part in LINKED)):
        yield root


@contextlib.contextmanager
def unchanged(*folders: Path) -> Iterator[None]:
    """Fail if a file of these folders is another one afterwards: somebody wrote through a link."""
    before = contents(folders)
    yield
    after = contents(folders)
    assert sorted(path for path in before | after if before.get(path) != after.get(path)) == []


def contents(folders: Iterable[Path]) -> dict[Path, tuple[int, str]]:
    """Of each file in these folders: its time and a digest."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return {
        file: (file.stat().st_mtime_ns, hashlib.sha256(file.read_bytes()).hexdigest())
        for file in files
    }


@pytest.fixture
def finished(finished_once, tmp_path) -> Clone:
    """A copy of the finished run that a test may change."""
    root = tmp_path / "clone"
    linked = [finished_once / part for part in LINKED]

    def copy(source: str, target: str) -> None:
        inside = any(Path(source).is_relative_to(folder) for folder in linked)
        (os.link if inside else shutil.copy2)(source, target)

    shutil.copytree(finished_once, root, copy_function=copy)
    return Clone(root)
