"""Progress of a long job: lines in a file, a bar on a terminal."""

import io
import os
import sys
import termios
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


def test_a_job_that_breaks_off_says_what_was_left(clock, file):
    with pytest.raises(ZeroDivisionError), progress("evaluate", 4, "examples") as bar:
        bar.set_postfix_str("cell 1/2 nli.default.0shot")
        clock.seconds += 5
        bar.update()
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), progress("evaluate", 4, "examples"):
        raise ZeroDivisionError
    assert file.getvalue().splitlines() == [
        "evaluate: 1/4 examples, 0:15 left (cell 1/2 nli.default.0shot)",
        "evaluate: 0/4 examples, unknown time left",
    ]


def test_of_several_processes_one_tells(clock, file):
    with progress("fine-tune", 2, "updates", shown=False) as bar:
        clock.seconds += 60
        bar.update(2)
    assert file.getvalue() == ""


def test_a_terminal_gets_a_bar(monkeypatch):
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with progress("evaluate", 4, "examples") as bar:
            bar.set_postfix_str("cell 1/2")
            bar.update(4)
        terminal.flush()
        drawn = ""
        while not drawn.endswith("\n"):
            drawn += os.read(ours, 10_000).decode()
    os.close(ours)
    assert drawn.startswith("\revaluate:   0%|") and "4/4 [" in drawn and "cell 1/2" in drawn
