"""The user's cluster: account, partitions, GPU model, nodes to avoid (``slurm/site.yaml``)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from ptft.files.explain import checked
from ptft.files.types import NAME, Strict
from ptft.files.yaml_files import read_mapping

# These words stand on the line of sbatch, so they hold nothing that a shell reads.
Word = Annotated[str, Field(pattern=NAME)]
Model = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*$")]
Constraint = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*([&|,][A-Za-z0-9._-]+)*$")]


class Site(Strict):
    """What jobs ask of the cluster, beyond what the study needs."""

    account: Word | None = None
    """sbatch --account"""
    partition: Word | None = None
    """sbatch --partition, for jobs that need a GPU"""
    cpu_partition: Word | None = None
    """for jobs without a GPU; as ``partition`` where not given"""
    gpu_model: Model | None = None
    """as in sbatch --gpus=a100:1"""
    gpu_memory_gb: Annotated[float, Field(gt=0)] | None = None
    """memory of a GPU, as its vendor names it; what can't fit is refused before it is submitted"""
    constraint: Constraint | None = None
    """sbatch --constraint, of jobs that need a GPU"""
    qos: Word | None = None
    """sbatch --qos"""
    exclude: list[Word] = []
    """nodes to stay away from"""
    notify: Annotated[str, Field(min_length=1)] | None = None
    """command that gets one line on how a run ended on its standard input; no shell reads it"""

    def resources(self, gpus: int) -> dict[str, str]:
        """Snakemake's names of what a job with so many GPUs asks for."""
        partition = self.partition if gpus else self.cpu_partition or self.partition
        wanted = {
            "slurm_account": self.account,
            "slurm_partition": partition,
            "gpu_model": self.gpu_model if gpus else None,
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
