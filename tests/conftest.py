"""Fixtures of all tests."""

import gc
import importlib.util
import os
from pathlib import Path

import pytest

from ptft import language
from ptft.runtime.gpus import CPU_STANDS_IN

# Studies of the tests ask for GPUs that are names only.
os.environ[CPU_STANDS_IN] = "1"
# Each clone of the tests imports its own library and logger plugin.
os.environ["PYTHONPATH"] = "scripts"
# Workers have a core each. Threads that wait for one another on a busy machine spin: the tests of
# training take many times as long. This is read when torch is first imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
REPOSITORY = Path(__file__).resolve().parents[1]
# What tests import is never garbage: looking through all of it again and again takes a fifth of the
# time to collect tests, and some of each test.
gc.disable()
SLOW = {"workflow", "browser", "parity", "real", "vllm"}
"""folders whose tests start Snakemake, a browser or an engine"""
FIRST = ["slurm", "browser", "published", "workflow", "parity"]
"""folders and groups that take longest, in the order in which workers begin them"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of whole folders as slow, and tell workers what to take in which order.

    Files with slow tests come before others, so that no worker ends alone. A file is one worker's,
    which makes its fixtures once; tests of these folders are shared out singly, unless they say
    otherwise.
    """
    for item in items:
        if item.path.parent.name in SLOW:
            item.add_marker(pytest.mark.slow)
        elif not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Collect garbage again, but none of what was imported."""
    gc.freeze()
    gc.enable()


def _turn(item: pytest.Item) -> int:
    group = item.get_closest_marker("xdist_group")
    for name in (group.args[0] if group else None, item.path.parent.name):
        if name in FIRST:
            return FIRST.index(name)
    return len(FIRST) + (not item.get_closest_marker("slow"))


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real data in the Hub's layout; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("PTFT_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set PTFT_SHARED)")
    return folder


@pytest.fixture
def load_benchmark(repository, monkeypatch):
    """Function: a program of benchmarks/ by its name; a package of that name may be installed."""
    folder = repository / "benchmarks"
    monkeypatch.syspath_prepend(str(folder))

    def load(name):
        spec = importlib.util.spec_from_file_location(f"benchmark_of_{name}", folder / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(autouse=True)
def english():
    """A program that was called in another language leaves the next test in English."""
    yield
    language.use()
