"""All that is to be known about a GPU, in nine minutes: one command, one file.

    python benchmarks/gpu.py

It needs torch (2.11 or newer), transformers, peft and numpy, and nothing else. Sections run one
after the other, what matters most first, each in a process of its own with a deadline: what fails,
hangs or breaks the device costs one section. Each result goes at once into the file, which is
replaced by a rename. Texts are made-up ids of the real texts' lengths.
"""

import argparse
import contextlib
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from frame import RESULTS

os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # asking starts no CUDA here

import gpu_sections  # noqa: E402
import peft  # noqa: E402, F401  imported once, for all sections
import torch  # noqa: E402
from gpu_sections import Context  # noqa: E402

ALL_SECONDS = 530.0  # the rest of nine minutes is for imports
GRACE_SECONDS = 1.0
PR_SET_PDEATHSIG = 1  # of prctl(2)

Surroundings = Callable[[], AbstractContextManager]
"""what a section runs in: a GPU that computes nothing, in tests"""


@dataclass(frozen=True)
class Section:
    """A measurement, and how many seconds it may take."""

    run: Callable[[Context], dict]
    seconds: float


SECTIONS = {
    "machine": Section(gpu_sections.machine, 20),
    "packed": Section(gpu_sections.packed_attention, 50),
    "updates": Section(gpu_sections.updates, 230),
    "engine": Section(gpu_sections.engine, 110),
    "survival": Section(gpu_sections.survival, 60),
    "cudnn": Section(gpu_sections.new_shapes, 30),
}


def main(
    argv: list[str] | None = None, surroundings: Surroundings = contextlib.nullcontext
) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--small", action="store_true", help="tiny models: to see that all runs")
    parser.add_argument("--patience", type=float, default=1.0, help="deadlines times this")
    parser.add_argument("--output", type=Path, default=RESULTS / "gpu.json")
    arguments = parser.parse_args(argv)
    content = {"sections": {}}
    if arguments.output.exists() and len(arguments.sections) < len(SECTIONS):
        content = json.loads(arguments.output.read_text())  # a second run adds to the first
    chosen = {name: SECTIONS[name] for name in arguments.sections}
    run_sections(
        chosen, content, arguments.output, arguments.patience, arguments.small, surroundings
    )
    print(json.dumps(content, indent=1))


def run_sections(
    sections: Mapping[str, Section],
    content: dict,
    output: Path,
    patience: float = 1.0,
    small: bool = False,
    surroundings: Surroundings = contextlib.nullcontext,
) -> None:
    """Run sections, in the time that all of them have, and keep ``content`` on disk."""
    ends = time.monotonic() + patience * ALL_SECONDS
    for name, section in sections.items():
        entry = content["sections"][name] = {"state": "running", "found": {}}
        entry["date"] = datetime.now().isoformat(timespec="seconds")
        write(content, output)
        begun = time.monotonic()
        limit = min(patience * section.seconds, ends - begun)
        if limit <= 0:
            entry["state"] = "out of time"
        else:
            work_in = _Worker(section.run, begun + limit, small, surroundings)
            watch(work_in, entry, lambda: write(content, output))
        entry["seconds"] = round(time.monotonic() - begun, 1)
        write(content, output)
        print(f"{name:<12}{entry['state']:<14}{entry['seconds']:>7.1f} s", flush=True)


@dataclass(frozen=True)
class _Worker:
    """In the section's process: runs it until ``ends`` and sends what it finds."""

    run: Callable[[Context], dict]
    ends: float
    small: bool
    surroundings: Surroundings

    def __call__(self, sending: Connection, parent: int) -> None:
        if sys.platform == "linux":  # no section outlives the program
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                return

        def note(**found: Any) -> None:
            sending.send({"found": found})

        try:
            with self.surroundings():
                if not torch.cuda.is_available():
                    raise RuntimeError("torch sees no GPU: `snakemake check_gpu` says why")
                sending.send({"found": self.run(Context(note, self.ends, self.small))})
            sending.send({"state": "done"})
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            place = traceback.format_exc().splitlines()[-8:]
            sending.send({"state": "failed", "error": said[:2000], "traceback": place})


def watch(worker: _Worker, entry: dict, changed: Callable[[], None]) -> None:
    """Run one section in a process of its own; what it finds and how it ends go into ``entry``."""
    # This process has imported all and started nothing: neither threads nor CUDA.
    fork = multiprocessing.get_context("fork")
    receiving, sending = fork.Pipe(duplex=False)
    process = fork.Process(target=worker, args=(sending, os.getpid()))
    process.start()
    sending.close()
    entry["state"] = "out of time"
    while receiving.poll(max(0.0, worker.ends + GRACE_SECONDS - time.monotonic())):
        try:
            message = receiving.recv()
        except EOFError:  # it is gone, and has said how, or could not
            break
        entry["found"] |= message.pop("found", {})
        entry |= message
        changed()
    process.join(0.5)
    if process.is_alive():
        process.kill()
        process.join()
    elif process.exitcode and entry["state"] == "out of time":
        entry["state"], entry["error"] = "failed", f"the process ended with {process.exitcode}"


def write(content: dict, output: Path) -> None:
    """Replace the file by a rename."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(output)


if __name__ == "__main__":
    main()
