"""Follow a guide to the letter: write its files, make its edits, run its commands."""

import os
import re
import subprocess
import sys
from pathlib import Path

# A paragraph that begins with `a/path` and the block behind it.
BLOCK = re.compile(
    r"(?<=\n\n)`([^`\s]+/[^`\s]+)`(?:.|\n(?!\n))*\n\n```(\w+)\n((?:.|\n)*?)^```$", re.M
)
COMMANDS = re.compile(r"^```console\n(.*?)^```$", re.M | re.S)


def follow(guide: str, checkout: Path) -> list[str]:
    """Do in ``checkout`` what ``guide`` says; names of the files written and edited.

    A block behind a path is that file, a ``diff`` block is an edit of it: lines with ``-`` and
    a space must be there once, as they are; a line ``@@`` begins another edit of the file.
    """
    touched = []
    for name, kind, content in BLOCK.findall(guide):
        path = checkout / name
        if kind == "diff":
            text = path.read_text(encoding="utf-8")
            for hunk in content.split("@@\n"):
                text = _edited(text, hunk, name)
            path.write_text(text, encoding="utf-8")
        else:
            assert not path.exists(), f"the guide writes {name}, which is there"
            path.write_text(content, encoding="utf-8")
        touched.append(name)
    for line in "".join(COMMANDS.findall(guide)).replace("\\\n", "").splitlines():
        _run(line.removeprefix("$ "), checkout)
    return touched


def _edited(text: str, hunk: str, name: str) -> str:
    lines = hunk.splitlines()
    old = "\n".join(line[1:] for line in lines if line[0] in " -")
    new = "\n".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(old) == 1, f"{name} holds {text.count(old)} times:\n{old}"
    return text.replace(old, new)


def _run(command: str, checkout: Path) -> None:
    """Run a command of a guide with this Python, without installing anything."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if command.startswith("make "):
        command += f" BIN={Path(sys.executable).parent} INSTALLED="
    done = subprocess.run(
        command, shell=True, cwd=checkout, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
