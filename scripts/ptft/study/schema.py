"""The types of a study's own file (config/): one grid.

Every key is known and typed; the JSON schemas in workflow/schemas are generated from here.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, create_model, model_validator

from ptft.analysis.settings import Settings as AnalysisSettings
from ptft.errors import GPU_NAME, PlacedError
from ptft.models.derive import DERIVATIONS
from ptft.models.derive import summary as derivation_summary
from ptft.models.merging import MERGES
from ptft.study.families import Extension, Family
from ptft.study.models import Model
from ptft.study.types import (
    ONCE,
    Count,
    Name,
    Part,
    Repository,
    Seed,
    Shots,
    Strict,
    StrictSettings,
    strict_settings,
)
from ptft.training.methods import METHODS, summary
from ptft.training.settings import TrainingSettings


class Data(Strict):
    """How many examples are used."""

    seed: Seed = 42
    """seed for drawing examples"""
    train: Count | None = None
    """training examples per task; default: all"""
    train_of: dict[Part, Count] = {}
    """dataset -> training examples, if not ``train``"""
    shots: Count = 64
    """examples from which shots are drawn"""
    test: Count | None = None
    """test examples per dataset; default: all"""


class Harness(Strict):
    """Tasks of lm-evaluation-harness."""

    tasks: Annotated[list[str], Field(min_length=1), *ONCE]
    """names of tasks, groups and tags of the harness"""
    shots: dict[str, Annotated[int, Field(ge=0)]] = {}
    """task, group or tag -> examples in the prompt; default: as the task's own file says"""
    limit: Count | None = None
    """documents per task, the first ones; default: all"""
    include: str | None = None
    """folder with YAML files of your own tasks, relative to the working directory"""


class Evaluation(Strict):
    """The scores of every arm: datasets x formats x shots."""

    datasets: Annotated[list[Part], *ONCE] = []
    """names of datasets in the families' files"""
    harness: Harness | None = None
    """tasks of lm-evaluation-harness (docs/harness.md); each is a dataset harness_TASK"""
    formats: Annotated[list[Part], Field(min_length=1), *ONCE]
    """prompt formats; a dataset with a single format (usually multiple choice) uses that alone.
    chat: the prompt as a user's turn, set by the tokenizer's chat template"""
    shots: Shots
    """numbers of examples in the prompt, each scored separately"""
    family_shots: dict[Part, Shots] = {}
    """family -> shots, if not ``shots`` (multiple choice is usually scored with none)"""
    shots_seed: Seed = 0
    """seed for drawing the examples in the prompt"""
    also: Annotated[list[Literal["whole_label", "constrained", "free", "pmi"]], *ONCE] = []
    """further metrics of classification (whole labels, generation constrained to labels or free)
    and multiple choice (relative to the unconditional likelihood)"""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """precision of the model. auto: bfloat16 on CUDA, float32 on a CPU"""
    generation_backend: Literal["transformers", "vllm"] = "transformers"
    """what generates answers: transformers, or vLLM if installed"""

    @model_validator(mode="after")
    def _something(self) -> "Evaluation":
        if not self.datasets and self.harness is None:
            raise PlacedError(("datasets",), "nothing is scored; name a dataset, or tasks")
        return self


class Bootstrap(Strict):
    """Resampling of examples for the intervals."""

    resamples: Annotated[int, Field(ge=100)] = 3000
    """how often the examples of a cell are resampled"""
    seed: Seed = 0
    """seed for resampling"""


# It stands on the line of sbatch (--gpus=a100:1), so it holds nothing that a shell reads.
GpuName = Annotated[str, Field(pattern=GPU_NAME)]


class Compute(Strict):
    """Resources of one fine-tuning or evaluation job."""

    threads: Count = 1
    """CPU cores"""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs; 0: the CPU"""
    gpu_models: dict[GpuName, Annotated[float, Field(gt=0)]] = {}
    """model of GPU, as the cluster names it -> its memory in GB, the preferred first. A job asks
    for the first that holds it; what none holds is refused; default: any GPU"""


class Report(Strict):
    """How figures and report look."""

    language: Literal["en", "ja"] = "en"
    """language of figures, tables and report"""


SweptValues = Annotated[list[object], Field(min_length=1), *ONCE]
OneSweep = Annotated[dict[str, SweptValues], Field(min_length=1), Tag("OneSweep")]
Sweeps = Annotated[list[dict[str, SweptValues]], Field(min_length=1), Tag("Sweeps")]
Sweep = Annotated[
    OneSweep | Sweeps,
    # So that a mistake in one kind is not explained by the other.
    Discriminator(lambda value: "Sweeps" if isinstance(value, list) else "OneSweep"),
]


class Link(Strict):
    """A training that goes on from the model of another arm."""

    after: Annotated[str, Field(min_length=1)]
    """arm that it goes on from, of the same seed, by its name without that: full.mnli"""
    task: Part
    """task of the method that it is on"""
    settings: dict[str, object] = {}
    """settings that differ from those of the task"""


class MethodGroup(Strict):
    """Arms of one method: tasks x swept settings x seeds, with settings that a task may change."""

    tasks: Annotated[dict[Part, dict[str, object]], Field(min_length=1)]
    """task -> settings that differ for it"""
    seeds: Annotated[list[Seed], Field(min_length=1), *ONCE] = [0]
    """one arm per seed, for the order of examples and for new weights"""
    sweep: Sweep | None = None
    """setting -> values, one arm per value or combination of values. A list holds several sweeps;
    in it, {} means the unchanged settings"""
    checkpoints: Annotated[list[Name], Field(min_length=1), *ONCE] | None = None
    """which of the study's checkpoints are fine-tuned; default: all"""
    then: dict[Part, Link] = {}
    """name of a further link of a chain -> what it goes on from, on which task; its arm is
    METHOD.TASK.NAME, and remedies in it keep what the link before it knew"""
    snapshots: Annotated[list[float], *ONCE] = []
    """points of each training whose weights are kept and scored, too: updates, or shares of the
    training between 0 and 1"""
    if TYPE_CHECKING:
        settings: TrainingSettings
        """of the method, by a subclass"""


def _group(method: str, settings: type) -> type[Strict]:
    return create_model(
        f"{method.title()}Group",
        __base__=MethodGroup,
        __doc__=MethodGroup.__doc__,
        settings=(
            strict_settings(settings),
            Field(settings(), description="settings of all tasks, unless a task changes them"),
        ),
    )


_METHOD_FIELDS: dict[str, Any] = {
    method: (_group(method, settings) | None, Field(None, description=summary(method)))
    for method, settings in METHODS.items()
}
if TYPE_CHECKING:

    class Finetune(Strict):
        """A field per method."""

else:
    Finetune = create_model(
        "Finetune",
        __base__=Strict,
        __doc__="Fine-tuning methods of a study, each with its settings and tasks.",
        **_METHOD_FIELDS,
    )


class Derived(Strict):
    """Arms whose weights are computed from those of others, without training."""

    of: Annotated[list[Part], Field(min_length=1), *ONCE]
    """methods of the study, or `base`; each of their arms gets derived arms"""
    swept: bool = True
    """whether arms of swept settings get some, too"""
    strengths: Annotated[list[float], Field(min_length=1), *ONCE]
    """one arm per strength"""


class SeededDerived(Derived):
    """The same, of a derivation that draws something."""

    seeds: Annotated[list[Seed], Field(min_length=1), *ONCE] = [0]
    """one arm per random seed"""


class Soup(Strict):
    """Means of the weights of models of the same method, task and setting."""

    of: Annotated[list[Part], Field(min_length=1), *ONCE]
    """methods of the study"""
    over: Literal["seeds", "snapshots"] = "seeds"
    """seeds: one arm per task, of all seeds; snapshots: one per training, of these and its end"""


class CheckpointAverage(Strict):
    """Means of checkpoints, as base models."""

    last: Annotated[list[Annotated[int, Field(ge=2)]], Field(min_length=1), *ONCE]
    """how many checkpoints of the study are averaged, up to each; the first have no such arm"""


class TaskVectors(Strict):
    """The checkpoint with what fine-tuning on several tasks changed."""

    of: Annotated[list[Part], Field(min_length=1), *ONCE]
    """methods of the study"""
    add: Annotated[list[Part], Field(min_length=2), *ONCE]
    """tasks; the arms count as ones of the first"""
    strengths: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1), *ONCE]
    """scales of the change, one arm per scale"""


class PrunedTaskVectors(TaskVectors):
    """The same, without most entries of the changes."""

    density: Annotated[float, Field(gt=0, le=1)] = 0.2
    """share of a matrix's entries that is kept"""


_MERGE_GROUPS = {
    "soup": Soup,
    "checkpoint_average": CheckpointAverage,
    "task_vectors": TaskVectors,
    "ties": PrunedTaskVectors,
    "dare": PrunedTaskVectors,
}
_DERIVATION_FIELDS: dict[str, Any] = {
    name: (group | None, Field(None, description=derivation_summary(derivation)))
    for name, derivation in {**DERIVATIONS, **MERGES}.items()
    for group in [_MERGE_GROUPS.get(name, SeededDerived if derivation.seeded else Derived)]
}
if TYPE_CHECKING:

    class Derive(Strict):
        """A field per derivation."""

else:
    Derive = create_model(
        "Derive",
        __base__=Strict,
        __doc__="Derived arms of a study, by derivation.",
        **_DERIVATION_FIELDS,
    )


class Adopted(Strict):
    """A tuned model that somebody else made, beside the checkpoint that it comes from."""

    repository: Repository | None = None
    """OWNER/NAME on the Hub, of whole weights or of an adapter"""
    revision: Name = "main"
    """branch, tag or commit of the repository"""
    path: str | None = None
    """folder with the same, relative to the working directory, instead of a repository"""
    base: Name
    """the study's checkpoint that it was tuned from"""
    task: Part
    """the task that it was tuned on, in the families' files"""

    @model_validator(mode="after")
    def _one_source(self) -> "Adopted":
        if (self.repository is None) == (self.path is None):
            raise PlacedError((), "expected either `repository` or `path`")
        return self


class Study(Strict):
    """A file of config/: one grid."""

    study: Name
    """name of the study and of its folder in results/"""
    description: str = ""
    """description in words"""
    model: Name
    """a file of config/models, or of a folder models/ beside the study, without .yaml"""
    checkpoints: Annotated[list[Name], Field(min_length=1), *ONCE]
    """points of the model's pre-training, the earliest first"""
    same_weights: Annotated[list[Name], *ONCE] = []
    """checkpoints that may have the same weights as another one, which is otherwise refused"""
    root: str | None = None
    """folder in the Hub's layout with the datasets, relative to the working directory; default:
    fetch them"""
    train_format: Part = "default"
    """format in which tasks are fine-tuned"""
    finetune: Finetune = Finetune()
    """what is trained, by method"""
    derive: Derive | None = None
    """models computed from weights without training, scored by their parent's job"""
    adopt: dict[Part, Adopted] = {}
    """name of an arm -> a tuned model of others; nothing is trained for it"""
    keep_models: bool = True
    """whether tuned models stay on disk; if not, each is deleted once it is scored, and trained
    again for a new dataset, format or number of shots"""
    evaluate: Evaluation
    """what every model is scored on"""
    data: Data = Data()
    """how many examples are used"""
    bootstrap: Bootstrap = Bootstrap()
    """how intervals are found"""
    analysis: StrictSettings[AnalysisSettings] = AnalysisSettings()
    """settings of the analyses"""
    compute: Compute = Compute()
    """resources of one job"""
    report: Report = Report()
    """how figures and report look"""

    @property
    def groups(self) -> dict[str, MethodGroup]:
        """Method -> its arms, of the methods that the study trains."""
        found = {method: getattr(self.finetune, method) for method in METHODS}
        return {method: group for method, group in found.items() if group}


SCHEMAS = {"study": Study, "model": Model, "family": Family, "extension": Extension}
