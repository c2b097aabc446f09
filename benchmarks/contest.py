"""Models and contestants that take turns: the shared half of training.py and evaluation.py.

Two models where a real one is named, in the same run: a small OLMo with random weights and the real
vocabulary (on a CUDA device of OLMo-1B's shape), and the real one. All contestants run in every
round, in reverse in every second one. A ratio is the median of the rounds' ratios to the first
contestant: by the clock, and by CPU time over all threads, which other work on the machine disturbs
less.
"""

import argparse
import gc
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import torch
import transformers
from shapes import EOS, OLMO_1B, PAD, SMALL, VOCABULARY
from texts import REPOSITORY, SHARED, real_data
from transformers import AutoTokenizer, OlmoConfig, OlmoForCausalLM

# From here on the library is found as well: texts.py puts scripts/ on the path.
from ptft.models.loading import avoid_cudnn_attention, load_model  # isort: skip


@dataclass(frozen=True)
class Subject:
    """A model that contestants work on; without a folder of weights, made up."""

    name: str
    tokenizer_folder: Path
    folder: Path | None = None

    @property
    def tokenizer(self):
        """The real model's, or OLMo's."""
        return AutoTokenizer.from_pretrained(self.tokenizer_folder)

    def model(self, device: torch.device, attention: str) -> torch.nn.Module:
        """In float32, with the same weights at every call.

        All contestants attend without cuDNN, which would flatter this project's own attention.
        """
        if self.folder:
            return load_model(self.folder, attention).to(device)
        avoid_cudnn_attention()
        torch.manual_seed(0)
        config = OlmoConfig(
            vocab_size=VOCABULARY, max_position_embeddings=2048, tie_word_embeddings=True,
            eos_token_id=EOS, pad_token_id=PAD, bos_token_id=None, attn_implementation=attention,
            **(OLMO_1B if device.type == "cuda" else SMALL),
        )  # fmt: skip
        with device:  # made where it is used: a billion random numbers take a CPU long
            return OlmoForCausalLM(config)


@dataclass(frozen=True)
class Clock:
    """Seconds by the clock, and of CPU time over all threads."""

    wall: float
    cpu: float

    @classmethod
    def now(cls, device: torch.device) -> "Clock":
        """The time, once the device has nothing left to do."""
        if device.type == "cuda":
            torch.cuda.synchronize()
        return cls(time.perf_counter(), time.process_time())

    def since(self, begun: "Clock") -> "Clock":
        """The time passed."""
        return Clock(self.wall - begun.wall, self.cpu - begun.cpu)


def take_turns(
    contestants: Mapping[str, Callable[[], Clock]], rounds: int, device: torch.device
) -> dict[str, dict]:
    """Time that each contestant returns, its peak memory, and ratios.

    Ratios say how many times as long it took as the first.
    """
    times: dict[str, list[Clock]] = {key: [] for key in contestants}
    memory = dict.fromkeys(contestants, 0)
    for turn in range(rounds):
        order = list(contestants)
        for key in order if turn % 2 == 0 else reversed(order):
            took, peak = _measured(contestants[key], device)
            times[key].append(took)
            memory[key] = max(memory[key], peak)
    ours = next(iter(times.values()))

    def ratio(taken: list[Clock], kind: str) -> float:
        each = (getattr(a, kind) / getattr(b, kind) for a, b in zip(taken, ours, strict=True))
        return round(statistics.median(each), 2)

    return {
        key: {
            "seconds": [round(each.wall, 3) for each in taken],
            "cpu_seconds": [round(each.cpu, 3) for each in taken],
            "peak_mb": memory[key] >> 20,
            "ratio": ratio(taken, "wall"),
            "cpu_ratio": ratio(taken, "cpu"),
        }
        for key, taken in times.items()
    }


def _measured(run: Callable[[], Clock], device: torch.device) -> tuple[Clock, int]:
    """The time that ``run`` reports and its peak memory in bytes."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return run(), torch.cuda.max_memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # Linux: restarts the count of peak memory
    took = run()
    status = Path("/proc/self/status").read_text()
    return took, 1024 * int(status.split("VmHWM:")[1].split()[0])


def compete(
    about: str,
    tasks: Collection[str],
    measure: Callable[[Subject, str, argparse.Namespace], list[dict]],
    *options: tuple[str, dict],
) -> None:
    """A benchmark's program: measure each task with each model, print tables, write them.

    Args:
        about: text of the help; its first word names the file of the results.
        tasks: that may be chosen.
        measure: one row per contestant; the arguments have ``hub`` and ``device`` besides.
        options: of this benchmark alone.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--model", type=Path, help="folder of a real model, beside the made-up one")
    parser.add_argument("--tasks", nargs="+", default=list(tasks), choices=list(tasks))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shared", type=Path, default=SHARED, help="real texts and tokenizer")
    parser.add_argument("--output", type=Path, help="JSON (default: benchmarks/results)")
    for name, settings in options:
        parser.add_argument(name, **settings)
    arguments = parser.parse_args()
    for name in ("transformers", "lm_eval"):
        logging.getLogger(name).setLevel(logging.ERROR)
    arguments.hub = real_data(arguments.shared)
    arguments.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    subjects = [Subject("made up", arguments.hub / "models/allenai/OLMo-1B-hf")]
    if arguments.model:
        subjects.append(Subject(arguments.model.resolve().name, arguments.model, arguments.model))
    name = f"{about.split()[0].lower()}-{arguments.device.type}.json"
    output = arguments.output or REPOSITORY / "benchmarks/results" / name
    output.parent.mkdir(parents=True, exist_ok=True)
    for subject in subjects:
        for task in arguments.tasks:
            rows = measure(subject, task, arguments)
            print_rows(f"{task}, {subject.name}", rows)
            _keep(output, {"model": subject.name, "task": task}, rows, machine(arguments.device))


def print_rows(head: str, rows: list[dict]) -> None:
    """A table of all that is one number per contestant."""
    shown = pl.DataFrame(rows).select(pl.exclude(pl.List(pl.Float64)))
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200, tbl_hide_dataframe_shape=True):
        print(f"\n{head}\n{shown}", flush=True)


def _keep(output: Path, which: dict[str, str], rows: list[dict], about: dict) -> None:
    """Put the rows of a model and task into the file, in place of older ones."""
    found = json.loads(output.read_text()) if output.exists() else []
    others = [each for each in found if {key: each[key] for key in which} != which]
    every = [*others, {**which, "machine": about, "rows": rows}]
    output.write_text(json.dumps(every, indent=1) + "\n")


def machine(device: torch.device) -> dict:
    """The machine that it was measured on."""
    names = Path("/proc/cpuinfo").read_text().split("model name")[1:]
    return {
        "cpu": names[0].split("\n")[0].strip(" \t:") if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "load_average": round(os.getloadavg()[0], 1),
        "date": date.today().isoformat(),
    }
