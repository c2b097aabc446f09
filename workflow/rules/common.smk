# What the rules of a grid share: where inputs come from, which names are known.
# Jobs write into files, where a library's bar is one line of carriage returns. Our own programs
# tell how far they are in lines (ptft.runtime.bars).
os.environ.setdefault("TQDM_DISABLE", "1")

# What jobs may ask for; else what is here, if anything is.
GPUS = gpu_models(STUDY.compute) or gpus_here(STUDY.compute)
DEMANDS = JobResources(GRID, GPUS)
# Jobs of models run under this: GPUs of their own, no Hub, time to save, a record of each attempt.
JOB = f"python {SCRIPTS}/run_job.py --save-seconds {DEMANDS.warning_seconds()}"
SOURCE = GRID.model.source
COSTS = RESULTS.table("costs", "csv")
ARMS = RESULTS.table("arms")


def launcher(gpus):
    """What starts a training program: one process a GPU."""
    return f"torchrun --standalone --nproc-per-node={gpus}" if gpus > 1 else "python"


def one_of(names):
    """Constraint of a wildcard to the names of the study."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def checkpoint_folder(checkpoint):
    """Model folder of a checkpoint of the study."""
    return GRID.checkpoint_folder(checkpoint)


def tuned_folder(folder):
    """Output of a fine-tuning: a folder that goes when it is scored, if the study keeps none."""
    return directory(folder) if STUDY.keep_models else temp(directory(folder))


def scored_models(wildcards):
    """Records of all models that are scored; listed for a job that asks, not at each parse."""
    return [
        RESULTS.published_cells(checkpoint, arm.name)
        for checkpoint, arm in GRID.models()
        if not arm.parent
    ]


def tuned_models(wildcards):
    """All fine-tuned models."""
    return [RESULTS.tuned(checkpoint, arm.name) for checkpoint, arm in GRID.models() if arm.trained]


def compared_checkpoints():
    """What tells whether two checkpoints hold the same weights: their pins, or they themselves.

    Those of the pocket model are made here, one from another.
    """
    if SOURCE.kind == "pocket":
        return []
    folders = [checkpoint_folder(checkpoint) for checkpoint in GRID.checkpoints]
    return [paths.pin(folder) for folder in folders] if SOURCE.kind == "hub" else folders


def state_before(wildcards):
    """Where the pocket model's pre-training goes on from; nothing for its first checkpoint."""
    before = SOURCE.before(wildcards.checkpoint)
    return [paths.pretraining_state(STUDY.model, before)] if before else []


def split_source(wildcards):
    """Where a split's rows come from; the pocket world writes all of its datasets at once."""
    spec = GRID.dataset(wildcards.dataset)
    if spec.files:
        return GRID.split_files(wildcards.dataset, wildcards.split)
    if STUDY.root == paths.POCKET:
        return paths.pocket_datasets()
    if STUDY.root is None:
        split = GRID.split_on_hub(wildcards.dataset, wildcards.split)
        return paths.hub_split(split["repository"], split["config"], split["split"])
    return paths.hub_dataset(STUDY.root, spec.repository, spec.config)


def reference_text(wildcards):
    """What is looked up, worded as ever: a pin that is there must not be looked up again."""
    kind, found = REFERENCES[wildcards.folder]
    return f"--{kind}={as_text(found)}"


def training_split(wildcards):
    """Prepared examples that an arm is fine-tuned on; behind them those that are replayed."""
    return [RESULTS.split(dataset, "train") for dataset in GRID.learned(wildcards.arm)]


def evaluated_model(wildcards):
    """Model folder of an arm: the checkpoint itself, or what fine-tuning made of it."""
    if GRID.arms[wildcards.arm].method is None:
        return checkpoint_folder(wildcards.checkpoint)
    return RESULTS.tuned(wildcards.checkpoint, wildcards.arm)


def own_slice(arm):
    """What its slice is filed under, beside the rule: all arms that nothing is derived from share one."""
    return [arm] if GRID.parents[arm] else []


wildcard_constraints:
    checkpoint=one_of(GRID.checkpoints),
    arm=one_of(GRID.parents),
    dataset=one_of(sorted({dataset for dataset, _ in GRID.splits()})),
    split="train|shots|test",
