"""Stand-ins for apptainer and conda, which write down how Snakemake calls them.

Each runs a job's command with the tests' own Python: they test what Snakemake asks of the tools,
not the image or the environment.
"""

import json
import os
import sys
from pathlib import Path

import pytest

PYTHON = Path(sys.executable).parent
APPTAINER = f"""#!{sys.executable}
import json, os, sys
arguments = sys.argv[1:]
if arguments == ["--version"]:
    sys.exit(print("apptainer version 1.4.5"))
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps(arguments), file=calls)
command = arguments[arguments.index("envs/container.sif") + 1 :]
# As apptainer, it does not pass the PATH outside on.
os.execvpe(command[0], command, os.environ | {{"PATH": "{PYTHON}:/usr/bin:/bin"}})
"""
CONDA = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path
arguments = sys.argv[1:]
with open(os.environ["CALLS"], "a") as calls:
    print(json.dumps(arguments), file=calls)
if arguments == ["--version"]:
    print("conda 26.9.4")
elif arguments[0] == "info":
    print(json.dumps({{"conda_prefix": str(Path(__file__).parents[1]), "platform": "linux-64"}}))
elif arguments[0] == "config":
    print(json.dumps({{"get": {{"channel_priority": "strict"}}}}))
elif arguments[:2] == ["env", "create"]:
    programs = Path(arguments[arguments.index("--prefix") + 1], "bin")
    programs.mkdir(parents=True)
    (programs / "python").write_text('#!/bin/sh\\nexec {sys.executable} "$@"\\n')
    (programs / "python").chmod(0o755)
"""
ACTIVATE = 'export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"\n'


class Installed:
    """Stand-ins on the PATH, and what they were asked."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        self.calls = folder / "calls"
        programs = folder / "tools/bin"
        programs.mkdir(parents=True)
        for name, text in {"apptainer": APPTAINER, "conda": CONDA, "activate": ACTIVATE}.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        monkeypatch.setenv("CALLS", str(self.calls))
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    def asked(self, first: str) -> list[list[str]]:
        """Arguments of each call that begins with this one."""
        calls = [json.loads(line) for line in self.calls.read_text().splitlines()]
        return [arguments for arguments in calls if arguments[0] == first]
