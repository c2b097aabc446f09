"""Models and contestants that take turns: the shared half of training.py and evaluation.py.

Two models where a real one is named, in the same run: a small OLMo with random weights and the real
vocabulary (on a CUDA device of OLMo-1B's shape), and the real one. All contestants run in every
round, in reverse in every second one. A ratio is the median of the rounds' ratios to the first
contestant: by the clock, and by CPU time over all threads, which other work on the machine disturbs
less.
"""

import gc
import logging
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import torch
import transformers
from frame import RESULTS, keep, machine
from shapes import EOS, OLMO_1B, SMALL, made_up_model
from texts import SHARED, real_data
from transformers import AutoTokenizer

from ptft.models.loading import load_model


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
        shape = OLMO_1B if device.type == "cuda" else SMALL
        return made_up_model(
            "Olmo", shape, attention, device, max_position_embeddings=2048, eos_token_id=EOS
        )


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


@dataclass(frozen=True)
class Contest:
    """A contest, as the flags of its program ask for it.

    Attributes:
        model: folder of a real model, beside the made-up one
        rounds: that all contestants run in
        shared: folder of real texts and OLMo's tokenizer
        output: JSON file (default: in benchmarks/results)
    """

    model: Path | None = None
    rounds: int = 3
    shared: Path = SHARED
    output: Path | None = None

    @cached_property
    def hub(self) -> Path:
        """Folder of real texts in the Hub's layout."""
        return real_data(self.shared)

    @property
    def device(self) -> torch.device:
        """What all work on."""
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def take_turns(self, contestants: Mapping[str, Callable[[], Clock]]) -> dict[str, dict]:
        """Time that each contestant returns, its peak memory, and ratios.

        Ratios say how many times as long it took as the first.
        """
        times: dict[str, list[Clock]] = {key: [] for key in contestants}
        memory = dict.fromkeys(contestants, 0)
        for turn in range(self.rounds):
            order = list(contestants)
            for key in order if turn % 2 == 0 else reversed(order):
                took, peak = _measured(contestants[key], self.device)
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

    def run(self, name: str, tasks: tuple[str, ...], measure: Callable) -> None:
        """Measure each task with each model; print tables, write them.

        Args:
            name: of the file of the results.
            measure: of a subject and a task, one row per contestant.
        """
        for library in ("transformers", "lm_eval"):
            logging.getLogger(library).setLevel(logging.ERROR)
        subjects = [Subject("made up", self.hub / "models/allenai/OLMo-1B-hf")]
        if self.model:
            subjects.append(Subject(self.model.resolve().name, self.model, self.model))
        about = machine() | {
            "threads": torch.get_num_threads(),
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        for subject in subjects:
            for task in tasks:
                rows, head = measure(subject, task), f"{task}, {subject.name}"
                shown = pl.DataFrame(rows).select(pl.exclude(pl.List(pl.Float64)))
                with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_width_chars=200):
                    print(f"\n{head}\n{shown}", flush=True)
                output = self.output or RESULTS / f"{name}-{self.device.type}.json"
                keep(output, head, {"machine": about, "rows": rows})


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
