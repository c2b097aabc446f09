"""Progress of a long job: lines in a file, a bar on a terminal."""

import io
import types

import pytest

from ptft.runtime import bars
from ptft.runtime.bars import progress


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when told to."""
    now = types.SimpleNamespace(seconds=0.0, monotonic=lambda: now.seconds)
    monkeypatch.setattr(bars, "time", now)
    return now


@pytest.fixture
def file(monkeypatch):
    """The target of stderr."""
    redirected = io.StringIO()
    monkeypatch.setattr(bars, "sys", types.SimpleNamespace(stderr=redirected))
    return redirected


def test_a_file_gets_a_line_every_thirty_seconds_and_one_at_the_end(clock, file):
    with progress("evaluate", 160, "examples") as bar:
        for _ in range(80):
            clock.seconds += 1
            bar.update(2)
            assert bar.n == 2 * clock.seconds
    assert file.getvalue().splitlines() == [
        "evaluate: 60/160 examples, 0:50 left",
        "evaluate: 120/160 examples, 0:20 left",
        "evaluate: 160/160 examples, done in 1:20",
    ]


def test_a_resumed_job_is_as_fast_as_what_it_does_now(clock, file):
    with progress("pre-train", 10_000, "steps", 5000) as bar:
        clock.seconds += 40
        bar.update(50)
        clock.seconds += 10
        bar.update(4950)
    assert file.getvalue().splitlines() == [
        "pre-train: 5050/10000 steps, 1:06:00 left",
        "pre-train: 10000/10000 steps, done in 0:50",
    ]
