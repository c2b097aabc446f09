"""A cluster for the tests, and a study on it."""

from collections.abc import Iterator

import pytest

from ..waiting import wait_until
from ..workflow.conftest import RESOURCES, finished_once, unchanged  # noqa: F401  (a fixture)
from .cluster import started, why_not
from .study import Study, clone, copy, link_resources


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A running Slurm with three nodes, one stand-in GPU each."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with started(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="session")
def reference(cluster, finished_once, repository, tmp_path_factory) -> Iterator[Study]:  # noqa: F811
    """The study, finished by an undisturbed local run; its checkpoints are another study's."""
    study = Study(clone(repository, tmp_path_factory.mktemp("reference") / "clone"))
    study.narrow("[step4]", "[0, 1]")
    link_resources(finished_once, study.root)
    study.run_here()
    with unchanged(*(study.root / part for part in RESOURCES)):
        yield study


@pytest.fixture
def study(cluster, reference, repository, tmp_path):
    """The study on the cluster, before its first call; its checkpoints are there already."""
    made = Study(clone(repository, tmp_path / "clone"), cluster)
    link_resources(reference.root, made.root)
    copy(reference.results / "datasets", made.results / "datasets")  # a test edits one in place
    yield made
    made.end()
    for job in cluster.jobs("PENDING", "RUNNING", "COMPLETING", "SUSPENDED"):
        cluster.call("scancel", job["id"], check=False)
    wait_until(lambda: not cluster.jobs("PENDING", "RUNNING"), "the queue is empty")
