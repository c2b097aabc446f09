"""The user's cluster: account, partitions, GPUs, modules, nodes to avoid (``slurm/site.yaml``)."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from ptft.errors import PlacedError, checked, read_mapping
from ptft.planning.gpus import Gpu
from ptft.planning.workload import TFLOPS
from ptft.study.types import NAME, Strict

# These words stand on the line of sbatch, so they hold nothing that a shell reads.
Word = Annotated[str, Field(pattern=NAME)]
Model = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*$")]
Module = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+/-]*$")]
Constraint = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*([&|,][A-Za-z0-9._-]+)*$")]
ANY = "any"
"""name of a GPU that is asked for without its model: --gpus=1"""


class GpuModel(Strict):
    """A model of GPU."""

    memory_gb: Annotated[float, Field(gt=0)]
    """as its vendor names it"""
    speed: Annotated[float, Field(gt=0)] | None = None
    """relative to an H100; by the table of peak rates where not given"""


class Site(Strict):
    """What jobs ask of the cluster, beyond what the study needs."""

    account: Word | None = None
    """sbatch --account"""
    partition: Word | None = None
    """sbatch --partition, for jobs that need a GPU"""
    cpu_partition: Word | None = None
    """for jobs without a GPU; as ``partition`` where not given"""
    gpus: dict[Model, GpuModel] = {}
    """by their names, as in sbatch --gpus=a100:1, the preferred first: a job asks for the first
    that holds it, and what none holds is refused before it is submitted"""
    constraint: Constraint | None = None
    """sbatch --constraint, of jobs that need a GPU"""
    qos: Word | None = None
    """sbatch --qos"""
    exclude: list[Word] = []
    """nodes to stay away from"""
    modules: list[Module] = []
    """that a cluster job loads before it starts Python"""
    notify: Annotated[str, Field(min_length=1)] | None = None
    """command that gets one line on how a run ended on its standard input; no shell reads it"""

    @model_validator(mode="before")
    @classmethod
    def _no_former_keys(cls, content: Any) -> Any:
        former = [key for key in ("gpu_model", "gpu_memory_gb") if key in content]
        if former:
            name, size = content.get("gpu_model", ANY), content.get("gpu_memory_gb", "…")
            speed = "" if str(name).lower() in TFLOPS else ", speed: …"
            raise PlacedError(
                (former[0],),
                f"GPUs are named by gpus now; write gpus: {{{name}: {{memory_gb: {size}{speed}}}}}",
            )
        return content

    @field_validator("gpus")
    @classmethod
    def _known_speeds(cls, gpus: dict[str, GpuModel]) -> dict[str, GpuModel]:
        for name, model in gpus.items():
            if model.speed is None and name.lower() not in TFLOPS:
                raise PlacedError(
                    (name, "speed"),
                    f"missing, and known only of {', '.join(TFLOPS)}; give the speed relative to "
                    "an H100, by the peaks in bfloat16 without sparsity: their TFLOP/s / "
                    f"{TFLOPS['h100']}",
                )
        return gpus

    def gpu_models(self) -> tuple[Gpu, ...]:
        """Models of GPU that a job may ask for, the preferred first."""
        return tuple(
            Gpu(
                model.memory_gb,
                None if name == ANY else name,
                model.speed or TFLOPS[name.lower()] / TFLOPS["h100"],
            )
            for name, model in self.gpus.items()
        )

    def precommand(self, loader: Path, given: str | None) -> str | None:
        """What the shell of a cluster's job runs before it starts Snakemake.

        The job's programs inherit what the modules set. The folder of this Python stays the first
        of PATH: a module of Python must not take the place of the environment.

        Args:
            loader: script that defines ``load_modules``.
            given: what the user wants to be run.
        """
        words = shlex.join([str(Path(sys.executable).parent), *self.modules])
        load = f". {shlex.quote(str(loader))} && load_modules {words}" if self.modules else None
        return " && ".join(filter(None, [given, load])) or None

    def resources(self, gpus: int) -> dict[str, str]:
        """Snakemake's names of what a job with so many GPUs asks for."""
        partition = self.partition if gpus else self.cpu_partition or self.partition
        wanted = {
            "slurm_account": self.account,
            "slurm_partition": partition,
            "constraint": self.constraint if gpus else None,
            "qos": self.qos,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def extra(self, warning_seconds: int) -> str:
        """Further options of sbatch: an early SIGTERM before the time limit, excluded nodes."""
        options = [f"--signal=TERM@{warning_seconds}"]
        return " ".join([*options, *([f"--exclude={','.join(self.exclude)}"] * bool(self.exclude))])


def read_site(file: Path) -> Site:
    """The user's file, checked strictly; nothing special where there is none.

    Raises:
        StudyError: naming file, line, key, what was found and what was expected.
    """
    if not file.exists():
        return Site()
    return checked(Site, read_mapping(file), [file])
