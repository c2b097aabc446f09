"""Where everything is, relative to the working directory. No other module knows a path pattern.

``resources/`` holds what studies share (checkpoints, the pocket world), ``results/{study}/``
what one study computed. With wildcards left in (``{dataset}``), the same functions give the
patterns of Snakemake's rules.
"""

from dataclasses import dataclass
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
    """What a folder was fetched from, beside it."""
    return f"{folder}.pin.json"


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


@dataclass(frozen=True)
class Results:
    """Paths of one study's results."""

    study: str

    @property
    def root(self) -> str:
        """Folder of everything that the study computed."""
        return f"results/{self.study}"

    @property
    def resolved(self) -> str:
        """The study with everything it names, as it was run."""
        return f"{self.root}/study.yaml"

    @property
    def study_file(self) -> str:
        """Holds the name of the file that the study was run from; no rule declares it."""
        return f"{self.root}/state/study_file"

    @property
    def datasets(self) -> str:
        """Folder of prepared splits."""
        return f"{self.root}/datasets"

    def split(self, dataset: str, split: str) -> str:
        """Prepared examples, one JSON object a line."""
        return f"{self.datasets}/{dataset}/{split}.jsonl"

    @property
    def digests(self) -> str:
        """What the splits that evaluations read hold: one input of each, in place of many."""
        return f"{self.datasets}/digests.json"

    def split_audit(self, dataset: str, split: str) -> str:
        """What was found in a split: rows, dropped rows and why, balance of labels."""
        return f"{self.datasets}/{dataset}/{split}.audit.json"

    @property
    def checks(self) -> str:
        """Folder of the checks that trainings and evaluations wait for."""
        return f"{self.root}/checks"

    @property
    def tokenizer(self) -> str:
        """What tells the checks of the study's tokenizer: its hash, the length of the context."""
        return f"{self.checks}/tokenizer.json"

    def scored_check(self, dataset: str) -> str:
        """Check of a dataset that models are scored on."""
        return f"{self.checks}/scored/{dataset}.json"

    def trained_check(self, name: str) -> str:
        """Check of a training, shared by its seeds."""
        return f"{self.checks}/trained/{name}.json"

    @property
    def prompts(self) -> str:
        """Samples of prompts and training examples, for people; no rule declares it."""
        return f"{self.root}/prompts.txt"

    def self_text(self, checkpoint: str, text: str) -> str:
        """Text that a checkpoint writes for its own replay, one JSON object a line."""
        return f"{self.root}/self_text/{checkpoint}/{text}.jsonl"

    def self_text_state(self, checkpoint: str, text: str) -> str:
        """Finished parts of it; no rule declares it."""
        return f"{self.root}/state/self_text/{checkpoint}/{text}"

    @property
    def models(self) -> str:
        """Folder of all fine-tuned models."""
        return f"{self.root}/models"

    def tuned(self, checkpoint: str, arm: str) -> str:
        """Model folder of a fine-tuned checkpoint."""
        return f"{self.models}/{checkpoint}/{arm}"

    def tuning_state(self, checkpoint: str, arm: str) -> str:
        """Resumable state of a fine-tuning run; no rule declares it, so it survives a failure."""
        return f"{self.root}/state/finetune/{checkpoint}/{arm}"

    def seen(self, *names: str) -> str:
        """What a job read, to be compared with what is there; no rule declares it."""
        return "/".join([self.root, "state/seen", *names]) + ".json"

    @property
    def update_ways(self) -> str:
        """Folder of how the updates of each method are computed on a GPU (``METHOD.json``)."""
        return f"{self.root}/state/updates"

    @property
    def trained(self) -> str:
        """Folder of what is kept of tuned models that are deleted; no rule declares it."""
        return f"{self.root}/state/trained"

    def training_records(self, checkpoint: str, arm: str) -> str:
        """A tuned model's training records, kept when the model is deleted."""
        return f"{self.trained}/{checkpoint}/{arm}"

    def job_records(self, *parts: str) -> str:
        """Folder with a record of each attempt of a job, or of all jobs; no rule declares it."""
        return "/".join([self.root, "state/jobs", *parts])

    @property
    def slices(self) -> str:
        """Folder of what jobs are given of the study; no rule declares it."""
        return f"{self.root}/state/slices"

    @property
    def cell_store(self) -> str:
        """Finished cells, keyed by what determines them; no rule declares it."""
        return f"{self.root}/state/cells"

    @property
    def scored_models(self) -> str:
        """Folder of the records of all models that were scored."""
        return f"{self.root}/state/scored"

    def scored_model(self, checkpoint: str, arm: str) -> str:
        """Record of the cells of a checkpoint and arm, written when all of them are in place."""
        return cells_record(self.scored_models, checkpoint, arm)

    @property
    def collected(self) -> str:
        """Folder of what was collected of each model; no rule declares it."""
        return f"{self.root}/state/collected"

    @property
    def evaluations(self) -> str:
        """Folder of all per-example results."""
        return f"{self.root}/evaluations"

    def evaluation(self, checkpoint: str, arm: str) -> str:
        """Folder of the per-example results of a checkpoint and arm."""
        return f"{self.evaluations}/{checkpoint}/{arm}"

    def cell(
        self, checkpoint: str, arm: str, dataset: str, format_name: str, shots: int | str
    ) -> str:
        """Per-example results of one cell; no rule declares it."""
        return cell_path(self.evaluations, checkpoint, arm, dataset, format_name, shots)

    def table(self, name: str, suffix: str = "parquet") -> str:
        """A table of the analysis."""
        return f"{self.root}/tables/{name}.{suffix}"

    def figure(self, name: str, suffix: str = "svg") -> str:
        """A figure."""
        return f"{self.root}/figures/{name}.{suffix}"

    @property
    def examples(self) -> str:
        """Page of single examples and the models' answers."""
        return f"{self.root}/examples.html"

    @property
    def comparison(self) -> str:
        """The page on which models are compared."""
        return f"{self.root}/comparison.html"

    @property
    def report(self) -> str:
        """The self-contained report."""
        return f"{self.root}/report.html"

    @property
    def exported(self) -> str:
        """Folder of the results in other people's formats."""
        return f"{self.root}/export"

    @property
    def preview(self) -> str:
        """Folder of what is shown of a study in progress; no rule knows it."""
        return f"{self.root}/preview"

    @property
    def preview_page(self) -> str:
        """Its page."""
        return f"{self.preview}/report.html"

    @property
    def archive(self) -> str:
        """All that the tables, figures and pages are made from, and with them, in one file."""
        return f"{self.root}/{self.study}.tar.gz"

    def log(self, *parts: str) -> str:
        """Log file of a job."""
        return f"{self.root}/logs/{'/'.join(parts)}.log"

    def benchmark(self, *parts: str) -> str:
        """Time and memory of a job, as Snakemake measured them."""
        return f"{self.root}/benchmarks/{'/'.join(parts)}.tsv"
