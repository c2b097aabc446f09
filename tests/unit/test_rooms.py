"""The library's rooms: no circles, nothing heavy where tables are made, nothing too long to read.

Which room may import from which is in CONTRIBUTING.md; ``test_project_files.py`` holds it.
"""

import pytest
from rooms import LIBRARY, circles, imports, long_functions, long_modules


def test_modules_do_not_import_in_a_circle():
    assert circles(imports()) == []


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
