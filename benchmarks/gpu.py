"""All that is to be known about a GPU, in nine minutes: one command, one file.

    python benchmarks/training.py --write-tokens F.npz     # where the texts are
    python benchmarks/gpu.py --tokens F.npz                # on the GPU
    python benchmarks/gpu.py --tokens F.npz --contestants  # then what others take there

It needs torch (2.11 or newer), transformers, peft and numpy, and nothing else. Sections run one
after the other, each in a process of its own with a deadline: what fails, hangs or breaks the
device costs one section. Each result goes at once into the file, which is replaced by a rename. On
a CPU a small shape shows that all sections run; without ``--tokens`` ids are made up.
"""

import argparse
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")  # asking starts no CUDA here

import peft  # noqa: E402, F401  imported once, for all sections
import torch  # noqa: E402
from gpu_context import Context, NeedsCuda, Texts, made_up_texts, read_texts, small  # noqa: E402

import gpu_checks  # noqa: E402  # isort: skip
import gpu_speed  # noqa: E402  # isort: skip
import gpu_ways  # noqa: E402  # isort: skip

REPOSITORY = Path(__file__).resolve().parents[1]
ALL_SECONDS = 530.0  # the rest of nine minutes is for imports
GRACE_SECONDS = 1.0
PR_SET_PDEATHSIG = 1  # of prctl(2)


@dataclass(frozen=True)
class Section:
    """What is measured, and how many seconds it may take."""

    run: Callable[[Context], dict]
    seconds: float


SECTIONS = {
    "machine": Section(gpu_checks.machine, 20),
    "packed": Section(gpu_checks.packed_attention, 50),
    "cudnn": Section(gpu_checks.new_shapes, 40),
    "updates": Section(gpu_speed.updates, 120),
    "engine": Section(gpu_speed.engine, 90),
    "logits": Section(gpu_checks.float32_logits_of_the_head, 40),
    "ways": Section(gpu_ways.ways, 180),
    "survival": Section(gpu_checks.survival, 50),
}
CONTESTANTS = {
    "trainer": Section(gpu_speed.padded_trainer, 200),
    "one_prompt": Section(gpu_speed.one_prompt_at_a_time, 200),
}
# Which result is how many times the other: (section, keys), of ours and of a contestant.
RATIOS = {
    "updates: packed / Trainer": ("updates", "trainer", "updates_per_second"),
    "examples: engine / one prompt": ("engine", "one_prompt", "examples_per_second"),
}


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tokens", type=Path, help="texts that training.py wrote")
    parser.add_argument("--contestants", action="store_true", help="others instead of this project")
    parser.add_argument("--sections", nargs="+", choices=[*SECTIONS, *CONTESTANTS])
    parser.add_argument("--patience", type=float, default=1.0, help="deadlines times this")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "benchmarks/results/gpu.json")
    arguments = parser.parse_args(argv)
    names = arguments.sections or list(CONTESTANTS if arguments.contestants else SECTIONS)
    texts = read_texts(arguments.tokens) if arguments.tokens else made_up_texts()
    content = {"texts": "real" if arguments.tokens else "made up", "sections": {}}
    if arguments.output.exists() and (arguments.contestants or arguments.sections):
        content = json.loads(arguments.output.read_text())  # a second run adds to the first
    chosen = {name: (SECTIONS | CONTESTANTS)[name] for name in names}
    run_sections(chosen, texts, content, arguments.output, arguments.patience)
    print_table(content)


def run_sections(
    sections: Mapping[str, Section],
    texts: Texts,
    content: dict,
    output: Path,
    patience: float = 1.0,
) -> None:
    """Run sections, in the time that all of them have, and keep ``content`` on disk."""
    ends = time.monotonic() + patience * ALL_SECONDS
    for name, section in sections.items():
        entry = content["sections"][name] = {"state": "running", "found": {}}
        entry["date"] = datetime.now().isoformat(timespec="seconds")
        write(content, output)
        limit = min(patience * section.seconds, ends - time.monotonic())
        begun = time.monotonic()
        if limit <= 0:
            entry["state"] = "out of time"
        else:
            watch(section, texts, limit, entry, lambda: write(content, output))
        entry["seconds"] = round(time.monotonic() - begun, 1)
        write(content, output)
        print(f"{name:<12}{entry['state']:<14}{entry['seconds']:>7.1f} s", flush=True)


def watch(
    section: Section, texts: Texts, limit: float, entry: dict, changed: Callable[[], None]
) -> None:
    """Run one section in a process of its own; what it finds and how it ends go into ``entry``."""
    ends = time.monotonic() + limit
    # This process has imported all and started nothing: neither threads nor CUDA.
    fork = multiprocessing.get_context("fork")
    receiving, sending = fork.Pipe(duplex=False)
    process = fork.Process(target=work, args=(section, texts, ends, sending, os.getpid()))
    process.start()
    sending.close()
    entry["state"] = "out of time"
    while receiving.poll(max(0.0, ends + GRACE_SECONDS - time.monotonic())):
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


def work(section: Section, texts: Texts, ends: float, sending: Connection, parent: int) -> None:
    """In the section's process: run it and send what it finds."""
    if sys.platform == "linux":  # no section outlives the program
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            return

    def note(**found: Any) -> None:
        sending.send({"found": found})

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = texts if device.type == "cuda" else small(texts)
    try:
        found = section.run(Context(device, chosen, note, ends))
        sending.send({"found": found, "state": "done"})
    except NeedsCuda:
        sending.send({"state": "needs CUDA"})
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        place = traceback.format_exc().splitlines()[-8:]
        sending.send({"state": "failed", "error": said[:2000], "traceback": place})


def write(content: dict, output: Path) -> None:
    """Replace the file by a rename."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1) + "\n")
    partial.replace(output)


def flat(found: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested results by dotted names."""
    rows: dict[str, Any] = {}
    for name, value in found.items():
        inner = flat(value, f"{before}{name}.") if isinstance(value, dict) else {}
        rows |= inner or {f"{before}{name}": value}
    return rows


def ratios(sections: Mapping[str, dict]) -> dict[str, float]:
    """How many times as fast as the contestants, where both were measured."""
    rows = {}
    for label, (ours, theirs, key) in RATIOS.items():
        mine = flat(sections.get(ours, {}).get("found", {}))
        for name, value in flat(sections.get(theirs, {}).get("found", {})).items():
            if name.endswith(key) and value:
                # mnli.padded_x1.updates_per_second is compared with mnli.updates_per_second
                task, *way, _ = name.split(".")
                if (own := mine.get(f"{task}.{key}")) is not None:
                    rows[" ".join([label, task, *way])] = own / value
    return rows


def print_table(content: Mapping[str, Any]) -> None:
    """Everything that was found, a line each."""
    for name, entry in content["sections"].items():
        print(f"\n{name}: {entry['state']}{': ' + entry['error'] if 'error' in entry else ''}")
        for key, value in flat(entry["found"]).items():
            shown = f"{value:.4g}" if isinstance(value, float) else value
            print(f"  {key:<44}{shown}")
    for label, ratio in ratios(content["sections"]).items():
        print(f"{label:<46}{ratio:.2f}x")


if __name__ == "__main__":
    main()
