"""What benchmarks share: the machine, results on disk, the cost of a command.

The kernel starts a process's memory record from its parent's (`getrusage(2)`, `ru_maxrss`), so a
large parent would be measured instead of its child: a command is started from this small file.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
RESULTS = REPOSITORY / "benchmarks/results"
UNIT = 1 if sys.platform == "darwin" else 1024
"""bytes of `ru_maxrss`"""
sys.path.insert(0, str(REPOSITORY / "scripts"))  # vLLM's environment does not have the library


def machine() -> dict:
    """The machine, and the day."""
    information = Path("/proc/cpuinfo")
    names = information.read_text().split("model name")[1:] if information.exists() else []
    return {
        "cpu": names[0].split("\n")[0].strip(" \t:") if names else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 1),
        "date": date.today().isoformat(),
    }


def keep(output: Path, name: str, found: object) -> None:
    """Put a result into a file, in place of an older one of this name."""
    results = json.loads(output.read_text()) if output.exists() else {}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results | {name: found}, indent=1) + "\n")


@dataclass(frozen=True)
class Usage:
    """Seconds by the clock and of CPU time, GiB of memory; children included."""

    seconds: float
    cpu_seconds: float
    peak_gib: float


def measure(command: list[str], folder: Path = Path()) -> tuple[Usage, str]:
    """Run a command in a process of its own, in a folder.

    Returns:
        what it took, and what it printed (standard output and error together).

    Raises:
        RuntimeError: the command failed, with the end of what it said.
    """
    with tempfile.NamedTemporaryFile("r") as report:
        done = subprocess.run(
            [sys.executable, __file__, report.name, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-4000:]}")
        return Usage(**json.load(report)), done.stdout


def _main(report: str, *command: str) -> int:
    begun = time.perf_counter()
    code = subprocess.call(command)
    seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    usage = {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_gib": round(used.ru_maxrss * UNIT / 2**30, 3),
    }
    Path(report).write_text(json.dumps(usage))
    return code


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
