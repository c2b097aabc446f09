"""The library's rooms: no circles, nothing heavy where tables are made, nothing too long to read.

Which room may import from which is in CONTRIBUTING.md; ``test_project_files.py`` holds it.
"""

import os
import subprocess
import sys

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


def test_the_snakefile_imports_nothing_heavy(repository):
    """Every job of a cluster reads it again, twice."""
    files = [repository / "Snakefile", *(repository / "workflow/rules").glob("*.smk")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    rooms = {line.split()[1] for line in lines if line.startswith("from ptft.")}
    heavy = ("numpy", "polars", "torch", "scipy", "transformers", "huggingface_hub", "matplotlib")
    program = f"import sys, {', '.join(rooms)}; print(*[m for m in {heavy} if m in sys.modules])"
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "PYTHONPATH": str(repository / "scripts")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert len(rooms) > 5 and done.stdout.split() == []


@pytest.mark.parametrize("found", [long_modules, long_functions])
def test_nothing_outgrows_a_reader(found):
    assert found() == []
