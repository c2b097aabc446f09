"""The library's rooms: who may import from whom, and how large modules and functions are."""

import pytest
from rooms import LIBRARY, arrows, circles, imports, long_functions, long_modules

# Each room imports from floors below its own only.
FLOORS = [
    {"paths", "versions", "paper"},
    {"files", "runtime", "language", "prompts", "models"},
    {"data", "hub", "inference", "pocket"},
    {"training", "evaluation", "analysis"},
    {"audit", "report", "figures", "study"},
    {"planning"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def test_rooms_import_downwards_only():
    between = arrows()
    assert set(between) == set(FLOOR), "a new room needs its floor"
    upward = {
        f"{room} -> {other}"
        for room, others in between.items()
        for other in others
        if FLOOR[other] >= FLOOR[room]
    }
    assert not upward


def test_modules_do_not_import_in_a_circle():
    found = circles(imports())
    # Checks of a grid know its type; the grid runs them when it is made.
    assert found in ([], [{"study.grid", "study.checks"}])


def test_nothing_heavy_in_the_rooms_of_tables():
    """Analyses and figures never reach torch, by whatever way."""
    graph = imports()
    waiting = [name for name in graph if name.split(".")[0] in ("analysis", "figures")]
    seen = set(waiting)
    while waiting:
        new = graph[waiting.pop()] - seen
        seen |= new
        waiting += new
    files = [LIBRARY / f"{name.replace('.', '/')}.py" for name in seen]
    assert [f.name for f in files if f.exists() and "import torch" in f.read_text()] == []


@pytest.mark.parametrize("found", [long_modules, long_functions])
def test_nothing_outgrows_a_reader(found):
    assert found() == []
