# What the rules of a grid share: what jobs read and ask for, which names are known.
# Jobs write into files, where a library's bar is one line of carriage returns. Our own programs
# tell how far they are in lines (ptft.runtime.bars).
os.environ.setdefault("TQDM_DISABLE", "1")

from ptft.planning.estimates import JobResources
from ptft.planning.gpus import gpu_models, gpus_here
from ptft.planning.inputs import Inputs

# What jobs may ask for; else what is here, if anything is.
GPUS = gpu_models(STUDY.compute) or gpus_here(STUDY.compute)
RESOURCES = JobResources(GRID, GPUS)
INPUTS = Inputs(GRID, CONTENTS)
SCORED = INPUTS.scored_models
# Jobs of models run under this: GPUs of their own, no Hub, time to save, a record of each attempt.
JOB = f"python {SCRIPTS}/run_job.py --save-seconds {RESOURCES.warning_seconds()}"
SOURCE = GRID.model.source
# Of a job's places that are no parameters: no result depends on where they are.
MODEL = ("{wildcards.checkpoint}", "{wildcards.arm}")
COSTS = RESULTS.table("costs", "csv")
ARMS = RESULTS.table("arms")


def one_of(names):
    """Constraint of a wildcard to the names of the study."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    checkpoint=one_of(GRID.checkpoints),
    arm=one_of(GRID.parents),
    dataset=one_of(sorted({dataset for dataset, _ in GRID.splits()})),
    split="train|shots|test",
