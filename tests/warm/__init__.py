"""Snakemake and the workflow's programs without the seconds that their imports take.

One process has imported what they need, nothing of this project, and forks for each call. A call
is a process of its own as ever, with its own folder, environment and modules of the workflow; but
it is no child of its caller: Snakemake's benchmark does not see what it takes.
"""

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.warm.client import CLIENT, EXECUTABLE, PROGRAMS, PYTHON, ask

HERE = Path(__file__).parent
# What libraries read when they are imported, as the workflow sets it for its jobs.
IMPORTED_WITH = {
    "PYTHONPATH": "",
    "TQDM_DISABLE": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
}
SNAKEMAKE_IMPORTS = ["psutil", "pydantic", "smart_open", "snakemake.report", "yaml"]
PROGRAM_IMPORTS = [
    "torch", "transformers.models.auto.modeling_auto", "transformers.models.olmo.modeling_olmo",
    "transformers.models.auto.tokenization_auto", "peft", "datasets", "evaluate", "polars",
    "seaborn", "scipy.stats", "pydantic.dataclasses", "pydantic.type_adapter", "yaml",
    "rouge_score.rouge_scorer",
]  # fmt: skip


def run_snakemake(
    arguments: list[str], folder: Path, environment: Mapping[str, str] = os.environ
) -> tuple[int, str]:
    """Call ``python -m snakemake`` with these arguments in a folder.

    Returns:
        its exit status, and its whole output.
    """
    with tempfile.NamedTemporaryFile("r+") as output, open(os.devnull) as nothing:
        command = ["-m", "snakemake", *map(str, arguments)]
        streams = [nothing.fileno(), output.fileno(), output.fileno()]
        status = ask(_server(*SNAKEMAKE_IMPORTS), command, str(folder), dict(environment), streams)
        output.seek(0)
        return status, output.read()


def warm_programs() -> dict[str, str]:
    """An environment in which ``python scripts/….py`` is a call."""
    return os.environ | {
        EXECUTABLE: str(HERE / "bin/python"),  # in whose folder jobs find `python`
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # and all else
        PYTHON: sys.executable,
        CLIENT: str(HERE / "client.py"),
        PROGRAMS: _server(*PROGRAM_IMPORTS),
    }


@functools.cache
def _server(*imports: str) -> str:
    """Address of a process that has imported these; it ends with this one, whose pipe it reads."""
    folder = tempfile.TemporaryDirectory(prefix="ptft-warm-")
    address = f"{folder.name}/socket"
    server = subprocess.Popen(
        [sys.executable, HERE / "server.py", address, *imports],
        env=os.environ | IMPORTED_WITH | {"PYTHONPATH": ""},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout.readline() == "ready\n"
    atexit.register(folder.cleanup)
    atexit.register(server.communicate)  # first
    return address
