"""Snakemake without the seconds that its imports take: one process has them and forks for a call.

A call is a process of its own as ever, with its own folder, environment and modules of the
workflow: the process that forks holds Snakemake and what that imports, nothing of this project.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path


def run_snakemake(
    arguments: list[str], folder: Path, environment: Mapping[str, str] = os.environ
) -> tuple[int, str]:
    """Call ``python -m snakemake`` with these arguments in a folder.

    Returns:
        its exit status, and its whole output.
    """
    with tempfile.NamedTemporaryFile("r") as output:
        call = {
            "arguments": [str(argument) for argument in arguments],
            "folder": str(folder),
            "environment": dict(environment),
            "output": output.name,
        }
        server = _server()
        print(json.dumps(call), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        return status, output.read()


@functools.cache
def _server() -> subprocess.Popen:
    """The process that forks; it ends with this one, whose pipe it reads."""
    server = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(server.communicate)
    return server


def serve() -> dict | None:
    """Answer each call with the exit status of a child.

    Returns:
        the call, in a child; None in the parent, once nobody calls any more.
    """
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return json.loads(line)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def become(call: dict) -> None:
    """Give this process the place that a new one would be started in."""
    os.chdir(call["folder"])
    os.environ.clear()
    os.environ.update(call["environment"])
    for target, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, call["output"], os.O_WRONLY | os.O_APPEND),
    ):
        source = os.open(path, flags)
        os.dup2(source, target)
        os.close(source)
    os.dup2(1, 2)
    sys.argv[1:] = call["arguments"]
    sys.path[0] = call["folder"]


if __name__ == "__main__":
    for module in ("psutil", "pydantic", "smart_open", "snakemake.report", "yaml"):
        importlib.import_module(module)
    from snakemake.cli import get_argument_parser, main

    get_argument_parser()  # it looks for plugins and imports them
    gc.freeze()  # else a child's first collection would copy all of it
    if call := serve():
        become(call)
        main()
