"""Score every cell that is asked of a model and not in the store yet."""

import sys
from pathlib import Path

from ptft.runtime.programs import command_line, quick_imports


@command_line
def main(
    model: Path,
    data: Path,
    plan: Path,
    store: Path,
    record: Path,
    output: Path,
    checkpoint: Path | None = None,
    records: Path | None = None,
    seen: Path | None = None,
    told: str = "",
    threads: int = 1,
) -> int:
    """Score every cell that is asked of a model and not in the store yet.

    Ends with status 2 where its GPUs are missing, 1 if cells failed.

    Args:
        model: model folder
        data: folder of prepared datasets
        plan: what to score, JSON file
        store: finished cells by key
        record: record of the output, to write
        output: folder of the cells asked for
        checkpoint: what the model is an adapter of, if it is one
        records: gets the model's training records, where the model is deleted
        seen: note of the model's files, to write
        told: what the note holds beside them, a parameter of the job
        threads: CPU threads
    """
    with quick_imports():
        import torch

        from ptft.evaluation.job import CellsFailed, EvaluationJob, evaluate
        from ptft.runtime.gpus import GpusMissing, require_leased_gpus

    torch.set_num_threads(threads)
    try:
        require_leased_gpus()
        evaluate(
            EvaluationJob(
                model=model,
                checkpoint=checkpoint,
                data=data,
                plan=plan,
                store=store,
                record=record,
                output=output,
                records=records,
                seen=seen,
                told=told,
            )
        )
    except (GpusMissing, CellsFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, GpusMissing) else 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
