# What the rules of a grid share: where inputs come from, which names are known.
# Jobs write into files, where a library's bar is one line of carriage returns. Our own programs
# tell how far they are in lines (ptft.runtime.bars).
os.environ.setdefault("TQDM_DISABLE", "1")

from ptft.models.folder import model_files
from ptft.planning.estimates import JobResources
from ptft.planning.gpus import gpu_models, gpus_here
from ptft.runtime.contents import MADE

# What jobs may ask for; else what is here, if anything is.
GPUS = gpu_models(STUDY.compute) or gpus_here(STUDY.compute)
RESOURCES = JobResources(GRID, GPUS)
# Jobs of models run under this: GPUs of their own, no Hub, time to save, a record of each attempt.
JOB = f"python {SCRIPTS}/run_job.py --save-seconds {RESOURCES.warning_seconds()}"
SOURCE = GRID.model.source
# Of a job's places that are no parameters: no result depends on where they are.
MODEL = ("{wildcards.checkpoint}", "{wildcards.arm}")
COSTS = RESULTS.table("costs", "csv")
ARMS = RESULTS.table("arms")


def launcher(gpus):
    """What starts a training program: one process a GPU."""
    return f"torchrun --standalone --nproc-per-node={gpus}" if gpus > 1 else "python"


def one_of(names):
    """Constraint of a wildcard to the names of the study."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


def tuned_folder(folder):
    """Output of a fine-tuning: a folder that goes when it is scored, if the study keeps none."""
    return directory(folder) if STUDY.keep_models else temp(directory(folder))


def scored_models(wildcards):
    """Records of all models that are scored, listed for a job that asks and not at each parse.

    And the digests of their data: were these lost, nobody would see that the data is another.
    """
    models = [(checkpoint, arm.name) for checkpoint, arm in GRID.models() if not arm.parent]
    return [RESULTS.digests, *(RESULTS.scored_model(*model) for model in models)]


SCORED = scored_models


def tuned_models(wildcards):
    """All fine-tuned models."""
    return [RESULTS.tuned(checkpoint, arm.name) for checkpoint, arm in GRID.models() if arm.made]


def state_before(wildcards):
    """Where the pocket model's pre-training goes on from; nothing for its first checkpoint."""
    before = SOURCE.before(wildcards.checkpoint)
    return [paths.pretraining_state(STUDY.model, before)] if before else []


def pretraining_slice(study, checkpoint):
    """What decides a checkpoint of the pocket model."""
    return SOURCE.pretraining_slice(checkpoint)


def split_source(wildcards):
    """What makes a split's rows; nothing of files that are given, which ``source_read`` looks at."""
    spec = GRID.dataset(wildcards.dataset)
    if spec.files:
        files = GRID.split_files(wildcards.dataset, wildcards.split)
        return [file for file in files if Path(file).is_relative_to(paths.pocket_text())]
    if STUDY.root == paths.POCKET:
        return paths.pocket_datasets()
    if STUDY.root is None:
        split = GRID.split_on_hub(wildcards.dataset, wildcards.split)
        return paths.hub_split(split["repository"], split["config"], split["split"])
    return []


def task_source(wildcards):
    """What a harness task's documents are made of: its splits, its files, or a group's members."""
    spec = GRID.harness[wildcards.dataset]
    if spec.members:
        return [RESULTS.split(member, "test") for member in spec.members]
    if STUDY.root is None:
        where = [spec.task[key] for key in ("repository", "config") if spec.wanted]
        return [paths.hub_split(*where, split) for split in spec.wanted]
    return [file for files in spec.task.get("files", {}).values() for file in files]


def source_read(wildcards):
    """Parameter: what a split's rows were read from, where that is replaced (``Contents``)."""
    note = Path(RESULTS.seen("datasets", wildcards.dataset, wildcards.split))
    files = GRID.source_files(wildcards.dataset, wildcards.split) if note.exists() else []
    source = split_source(wildcards)
    made = Path(source) / MADE if isinstance(source, str) else next(map(Path, source), None)
    return CONTENTS.told(note, files, made)


def weights_read(checkpoint, arm):
    """Parameter: the model that was scored, where other weights are put in its place."""
    note = Path(RESULTS.seen("models", checkpoint, arm))
    tuned = GRID.arms[arm].method is not None
    folder = RESULTS.tuned(checkpoint, arm) if tuned else GRID.checkpoint_folder(checkpoint)
    files = model_files(Path(folder)) if note.exists() and Path(folder).exists() else []
    return CONTENTS.told(note, files, Path(folder) / MADE)


def trained_splits(arm):
    """Prepared examples that an arm is fine-tuned on; behind them those that are replayed."""
    return [RESULTS.split(dataset, "train") for dataset in GRID.learned(arm.name)]


def self_text(wildcards):
    """Text of its checkpoint that an arm replays; nothing if it replays none."""
    text = GRID.self_text_of(wildcards.arm)
    return [RESULTS.self_text(wildcards.checkpoint, text)] if text else []


def begun_from(arm):
    """Prepared texts that the text begins with which an arm replays of its checkpoint."""
    text = GRID.self_text_of(arm.name)
    begin = GRID.self_texts[text].prompts if text else None
    return [RESULTS.split(begin, "train")] if begin else []


def self_texts(wildcards):
    """All texts that checkpoints write, in the study's order."""
    texts = [
        RESULTS.self_text(checkpoint, text)
        for checkpoint, arm in GRID.models()
        if arm.trained and (text := GRID.self_text_of(arm.name))
    ]
    return list(dict.fromkeys(texts))


def finished_training(wildcards):
    """The model that a snapshot is on the way to: its job comes first, and may leave it."""
    arm = GRID.arms[wildcards.arm]
    return [] if arm.snapshot is None else RESULTS.tuned(wildcards.checkpoint, arm.parent)


def left_on_the_way(wildcards):
    """Whether a training leaves this model, or has left it: then its job only links its files."""
    arm = GRID.arms[wildcards.arm]
    if arm.snapshot is None:
        return False
    left = RESULTS.tuning_state(wildcards.checkpoint, arm.name)
    parent = RESULTS.tuned(wildcards.checkpoint, arm.parent)
    return os.path.exists(left) or not os.path.exists(parent)


def snapshots_of(wildcards):
    """Models on the way of an arm, which its evaluation scores as well."""
    arms = [arm for arm in GRID.parents[wildcards.arm] if arm.snapshot is not None]
    return [RESULTS.tuned(wildcards.checkpoint, arm.name) for arm in arms]


def adopted_source(arm):
    """Folder of a tuned model of others."""
    spec = STUDY.adopt[arm]
    return spec.path or paths.adopted(spec.repository, spec.revision)


def adopted_files(wildcards):
    """What was fetched of it; of a folder of somebody's own its files, which may be replaced."""
    source, own = adopted_source(wildcards.arm), STUDY.adopt[wildcards.arm].path
    return [str(file) for file in model_files(Path(source))] if own else source


def scored_splits(wildcards):
    """Prepared examples that a dataset is scored on, and those that its shots are drawn from."""
    splits = ["test", *(["shots"] if GRID.draws_shots(wildcards.dataset) else [])]
    return [RESULTS.split(wildcards.dataset, split) for split in splits]


def evaluated_model(wildcards):
    """Model folder of an arm: the checkpoint itself, or what fine-tuning made of it."""
    if GRID.arms[wildcards.arm].method is None:
        return GRID.checkpoint_folder(wildcards.checkpoint)
    return RESULTS.tuned(wildcards.checkpoint, wildcards.arm)


wildcard_constraints:
    checkpoint=one_of(GRID.checkpoints),
    arm=one_of(GRID.parents),
    dataset=one_of(sorted({dataset for dataset, _ in GRID.splits()})),
    split="train|shots|test",
