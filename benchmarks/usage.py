"""Cost of a command: seconds by the clock, seconds of CPU, largest resident memory.

The kernel starts a process's memory record from its parent's (`getrusage(2)`, `ru_maxrss`), so a
large parent would be measured instead of its child: the command is started from this small file.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass

UNIT = 1 if sys.platform == "darwin" else 1024
"""bytes of `ru_maxrss`"""


@dataclass(frozen=True)
class Usage:
    """Seconds by the clock and of CPU time, GiB of memory; children included."""

    seconds: float
    cpu_seconds: float
    peak_gib: float


def measure(command: list[str]) -> tuple[Usage, str]:
    """Run a command in a process of its own.

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
    with open(report, "w") as file:
        json.dump(usage, file)
    return code


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
