"""Score every cell that is asked of a model and not in the store yet.

Ends with status 2 where its GPUs are missing, 1 if cells failed.

Args:
    threads: CPU threads
"""

import sys
from typing import Annotated

import tyro

from ptft.runtime.programs import program, quick_imports

with quick_imports():
    import torch

    from ptft.evaluation.job import CellsFailed, EvaluationJob, evaluate
    from ptft.runtime.gpus import GpusMissing, require_leased_gpus


@program
def main(job: Annotated[EvaluationJob, tyro.conf.arg(name="")], threads: int = 1) -> int:
    torch.set_num_threads(threads)
    try:
        require_leased_gpus()
        evaluate(job)
    except (GpusMissing, CellsFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, GpusMissing) else 1
    return 0
