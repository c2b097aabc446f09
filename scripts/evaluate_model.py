"""Score every cell that is asked of a model and not in the store yet.

Args:
    threads: CPU threads
"""

from typing import Annotated

import tyro

from ptft.runtime.programs import program, quick_imports

with quick_imports():
    import torch

    from ptft.evaluation.job import EvaluationJob, evaluate
    from ptft.runtime.gpus import require_leased_gpus


@program
def main(job: Annotated[EvaluationJob, tyro.conf.arg(name="")], threads: int = 1) -> None:
    torch.set_num_threads(threads)
    require_leased_gpus()
    evaluate(job)
