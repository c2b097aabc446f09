"""Where everything is, relative to the working directory. No other module knows a path pattern.

``resources/`` holds what studies share (checkpoints, the pocket world), ``results/{study}/``
what one study computed. With wildcards left in (``{dataset}``), the same functions give the
patterns of Snakemake's rules.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

POCKET = "resources/pocket"
HUB = "resources/hub"
SLICES = "resources/slices"
"""slices of what studies share"""
SHARED_LOCK = "resources/main.lock"
"""locks of what studies share, held by those who are going to make it"""


def pocket_corpus() -> str:
    """Text that the pocket model is pre-trained on."""
    return f"{POCKET}/corpus.txt"


def pocket_datasets() -> str:
    """Datasets of the pocket world, in the Hub's layout."""
    return f"{POCKET}/datasets"


def pocket_text() -> str:
    """Folder of text of the pocket world that is not in its corpus; families/text.yaml names it."""
    return f"{POCKET}/text"


def pretrained_folder(model: str) -> str:
    """Folder of all checkpoints of a model that this workflow made or fetched."""
    return f"resources/models/{model}"


def pretrained(model: str, checkpoint: str) -> str:
    """Model folder of a checkpoint that this workflow made or fetched."""
    return f"{pretrained_folder(model)}/{checkpoint}"


def pretraining_state(model: str, checkpoint: str) -> str:
    """State from which the pocket model's pre-training continues after a checkpoint."""
    return f"{pretrained(model, checkpoint)}.state.pt"


def adopted(repository: str, revision: str) -> str:
    """Folder of somebody else's tuned model that was fetched from the Hub."""
    return f"resources/adopted/{repository}/{revision}"


def pin(folder: str) -> str:
    """Pin of a fetched folder, beside it."""
    return f"{folder}.pin.json"


def harness_tasks(digest: str) -> str:
    """Meanings of names of tasks of lm-evaluation-harness."""
    return f"resources/harness/{digest}.json"


HARNESS_NEEDS = "resources/harness/needs"
"""what such tasks have downloaded by nltk"""


def metric(name: str) -> str:
    """Folder of a metric's code that was fetched from the Hub."""
    return f"resources/metrics/{name}"


def hub_split(repository: str, config: str, split: str) -> str:
    """Folder with the parquet files of a split that was fetched from the Hub."""
    return f"{hub_dataset(HUB, repository, config)}/{split}"


def hub_dataset(root: str, repository: str, config: str) -> str:
    """Folder with the parquet files of a dataset's config, in a root in the Hub's layout."""
    return str(Path(root) / "datasets" / repository / config)


def cell_name(dataset: str, format_name: str, shots: int | str) -> str:
    """Name of a cell among those of its checkpoint and arm."""
    return f"{dataset}.{format_name}.{shots}shot"


def cell_file(dataset: str, format_name: str, shots: int | str) -> str:
    """File name of a cell's per-example results."""
    return f"{cell_name(dataset, format_name, shots)}.parquet"


def cell_path(
    evaluations: Path | str,
    checkpoint: str,
    arm: str,
    dataset: str,
    format_name: str,
    shots: int | str,
) -> str:
    """Per-example results of a cell, in a folder of evaluations."""
    return f"{evaluations}/{checkpoint}/{arm}/{cell_file(dataset, format_name, shots)}"


def cells_record(records: Path | str, checkpoint: str, arm: str) -> str:
    """Record of the cells of a checkpoint and arm, in a folder of records."""
    return f"{records}/{checkpoint}/{arm}.json"


def stored_cell(store: Path | str, key: str) -> str:
    """A finished cell in a store."""
    return f"{store}/{key}.parquet"


class Results:
    """Paths of one study's results; no rule declares what is in ``state``.

    Attributes:
        study: its name.
        root: folder of everything that the study computed.
    """

    def __init__(self, study: str) -> None:
        self.study, self.root = study, f"results/{study}"
        state = f"{self.root}/state"
        # The study with everything it names, as it was run; the name of the file it was run from.
        self.resolved, self.study_file = f"{self.root}/study.yaml", f"{state}/study_file"
        # Prepared splits; one input of each evaluation, which stands for all splits that are read.
        self.datasets = f"{self.root}/datasets"
        self.digests = f"{self.datasets}/digests.json"
        # Checks that trainings and evaluations wait for; the tokenizer that they read.
        self.checks = f"{self.root}/checks"
        self.tokenizer = f"{self.checks}/tokenizer.json"
        # Samples of prompts and training examples, for people.
        self.prompts = f"{self.root}/prompts.txt"
        # Fine-tuned models; records of those that were deleted; how each method's updates are made.
        self.models, self.trained = f"{self.root}/models", f"{state}/trained"
        self.update_ways = f"{state}/updates"
        # What jobs are given of the study.
        self.slices = f"{state}/slices"
        # Per-example results, links into the store of finished cells; records of scored models.
        self.evaluations, self.cell_store = f"{self.root}/evaluations", f"{state}/cells"
        self.scored_models, self.collected = f"{state}/scored", f"{state}/collected"
        self.tables, self.figures = f"{self.root}/tables", f"{self.root}/figures"
        # Pages, and what is shown of a study in progress.
        self.report, self.examples = f"{self.root}/report.html", f"{self.root}/examples.html"
        self.comparison = f"{self.root}/comparison.html"
        self.preview = f"{self.root}/preview"
        self.preview_page = f"{self.preview}/report.html"
        # All that tables, figures and pages are made from, and with them, in one file.
        self.archive = f"{self.root}/{study}.tar.gz"
        self.benchmarks = f"{self.root}/benchmarks"

    def split(self, dataset: str, split: str) -> str:
        """Prepared examples, one JSON object a line."""
        return f"{self.datasets}/{dataset}/{split}.jsonl"

    def split_audit(self, dataset: str, split: str) -> str:
        """Counts of a split: rows, dropped rows and why, balance of labels."""
        return f"{self.datasets}/{dataset}/{split}.audit.json"

    def scored_check(self, dataset: str) -> str:
        """Check of a dataset that models are scored on."""
        return f"{self.checks}/scored/{dataset}.json"

    def trained_check(self, name: str) -> str:
        """Check of a training, shared by its seeds."""
        return f"{self.checks}/trained/{name}.json"

    def self_text(self, checkpoint: str, text: str) -> str:
        """Text that a checkpoint writes for its own replay, one JSON object a line."""
        return f"{self.root}/self_text/{checkpoint}/{text}.jsonl"

    def self_text_state(self, checkpoint: str, text: str) -> str:
        """Finished parts of it."""
        return f"{self.root}/state/self_text/{checkpoint}/{text}"

    def tuned(self, checkpoint: str, arm: str) -> str:
        """Model folder of a fine-tuned checkpoint."""
        return f"{self.models}/{checkpoint}/{arm}"

    def tuning_state(self, checkpoint: str, arm: str) -> str:
        """Resumable state of a fine-tuning run; not declared, it survives a failure."""
        return f"{self.root}/state/finetune/{checkpoint}/{arm}"

    def seen(self, *names: str) -> str:
        """Note of the files that a job read, to be compared with those that are there."""
        return "/".join([self.root, "state/seen", *names]) + ".json"

    def training_records(self, checkpoint: str, arm: str) -> str:
        """A tuned model's training records, kept when the model is deleted."""
        return f"{self.trained}/{checkpoint}/{arm}"

    def job_records(self, *parts: str) -> str:
        """Folder with a record of each attempt of a job, or of all jobs."""
        return "/".join([self.root, "state/jobs", *parts])

    def scored_model(self, checkpoint: str, arm: str) -> str:
        """Record of the cells of a checkpoint and arm, written when all of them are in place."""
        return cells_record(self.scored_models, checkpoint, arm)

    def evaluation(self, checkpoint: str, arm: str) -> str:
        """Folder of the per-example results of a checkpoint and arm."""
        return f"{self.evaluations}/{checkpoint}/{arm}"

    def cell(
        self, checkpoint: str, arm: str, dataset: str, format_name: str, shots: int | str
    ) -> str:
        """Per-example results of one cell."""
        return cell_path(self.evaluations, checkpoint, arm, dataset, format_name, shots)

    def table(self, name: str, suffix: str = "parquet") -> str:
        """A table of the analysis."""
        return f"{self.tables}/{name}.{suffix}"

    def figure(self, name: str, suffix: str = "svg") -> str:
        """A figure."""
        return f"{self.figures}/{name}.{suffix}"

    def log(self, *parts: str) -> str:
        """Log file of a job."""
        return f"{self.root}/logs/{'/'.join(parts)}.log"

    def benchmark(self, *parts: str) -> str:
        """Time and memory of a job, as Snakemake measured them."""
        return f"{self.benchmarks}/{'/'.join(parts)}.tsv"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside a file, which takes the file's place in one rename at the end of the block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
