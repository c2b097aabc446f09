"""The types of a study's own file (config/): one grid.

Every key is known and typed; the JSON schemas in workflow/schemas are generated from here.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, create_model

from ptft.analysis.settings import Settings as AnalysisSettings
from ptft.files.types import ONCE, Count, Name, Part, Seed, Shots, Strict
from ptft.models.derive import DERIVATIONS
from ptft.models.derive import summary as derivation_summary
from ptft.study.families import Extension, Family
from ptft.study.hypothesis import Hypothesis
from ptft.study.models import Model
from ptft.study.settings import StrictSettings, strict_settings
from ptft.training.methods import METHODS, summary
from ptft.training.settings import TrainingSettings


class Data(Strict):
    """How many examples are used."""

    seed: Seed = 42
    """of the draws of examples"""
    train: Count | None = None
    """examples a task is fine-tuned on; all where not given"""
    train_of: dict[Part, Count] = {}
    """dataset -> examples, where not as many as ``train``"""
    shots: Count = 64
    """examples from which shots are drawn"""
    test: Count | None = None
    """examples that are scored; all where not given"""


class Evaluation(Strict):
    """What every arm is evaluated on: datasets x formats x shots."""

    datasets: Annotated[list[Part], Field(min_length=1), *ONCE]
    """names of datasets, as the families have them"""
    formats: Annotated[list[Part], Field(min_length=1), *ONCE]
    """a dataset is scored in each of them; one that has a single format (multiple choice, as a
    rule) in that one alone"""
    shots: Shots
    """numbers of examples in the prompt, each scored by itself"""
    family_shots: dict[Part, Shots] = {}
    """family -> shots, where not as the others (multiple choice is scored without, as a rule)"""
    shots_seed: Seed = 0
    """of the draw of the examples in the prompt"""
    also: Annotated[list[Literal["whole_label", "constrained", "free", "pmi"]], *ONCE] = []
    """further ways of scoring classification (whole labels, generation among the labels or free)
    and multiple choice (against the unconditional likelihood), each a metric of its own"""
    generation_backend: Literal["transformers", "vllm"] = "transformers"
    """what generates answers: transformers, or vLLM where it is installed"""


class Bootstrap(Strict):
    """Resampling of examples for the intervals."""

    resamples: Annotated[int, Field(ge=100)] = 3000
    """how often the examples of a cell are drawn again"""
    seed: Seed = 0
    """of the draws"""


class Compute(Strict):
    """What one fine-tuning or evaluation job takes."""

    threads: Count = 1
    """CPU cores"""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs; 0 computes on the CPU"""


class Report(Strict):
    """How figures and report look."""

    language: Literal["en", "ja"] = "en"
    """of figures, tables and report"""
    axis: Literal["index", "tokens"] = "index"
    """checkpoints evenly spaced, or on a log scale of pre-training tokens"""
    overlay: Name | None = None
    """another study, already analysed, drawn thinly into the figures of base and tuned scores"""


SweptValues = Annotated[list[object], Field(min_length=1), *ONCE]
OneSweep = Annotated[dict[str, SweptValues], Field(min_length=1), Tag("OneSweep")]
Sweeps = Annotated[list[dict[str, SweptValues]], Field(min_length=1), Tag("Sweeps")]
Sweep = Annotated[
    OneSweep | Sweeps,
    # So that a mistake in one kind is not explained by the other.
    Discriminator(lambda value: "Sweeps" if isinstance(value, list) else "OneSweep"),
]


class MethodGroup(Strict):
    """Arms of one method: tasks x swept settings x seeds, with settings that a task may change."""

    tasks: Annotated[dict[Part, dict[str, object]], Field(min_length=1)]
    """task -> settings that differ for it"""
    seeds: Annotated[list[Seed], Field(min_length=1), *ONCE] = [0]
    """one arm per seed: of the order of examples and of new weights"""
    sweep: Sweep | None = None
    """setting -> values, each an arm of its own; of several settings every combination. Several
    sweeps as a list, in which {} is the settings as they are"""
    checkpoints: Annotated[list[Name], Field(min_length=1), *ONCE] | None = None
    """those of the study's checkpoints that are fine-tuned; all where not given"""
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
            Field(settings(), description="of every task that does not change them"),
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
    """methods of the study, all of whose arms are derived from; or `base`"""
    strengths: Annotated[list[float], Field(min_length=1), *ONCE]
    """one arm per strength"""


class SeededDerived(Derived):
    """The same, of a derivation that draws something."""

    seeds: Annotated[list[Seed], Field(min_length=1), *ONCE] = [0]
    """one arm per seed of what is drawn"""


_DERIVATION_FIELDS: dict[str, Any] = {
    name: (
        (SeededDerived if derivation.seeded else Derived) | None,
        Field(None, description=derivation_summary(name)),
    )
    for name, derivation in DERIVATIONS.items()
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


class Study(Strict):
    """A file of config/: one grid."""

    study: Name
    """name of the study and of its folder in results/"""
    description: str = ""
    """what it is, in words"""
    hypothesis: Hypothesis | None = None
    """what it expects, and the row that decides it"""
    model: Name
    """a file of config/models, or of a folder models/ beside the study, without .yaml"""
    checkpoints: Annotated[list[Name], Field(min_length=1), *ONCE]
    """points of the model's pre-training, the earliest first"""
    same_weights: Annotated[list[Name], *ONCE] = []
    """checkpoints that may hold the same weights as another one; else that is refused"""
    root: str | None = None
    """folder in the Hub's layout from which datasets are read, relative to the working directory;
    fetched where not given"""
    train_format: Part = "default"
    """format in which tasks are fine-tuned"""
    finetune: Finetune = Finetune()
    """what is trained, by method"""
    derive: Derive | None = None
    """what is computed from weights without training, and scored by the job of its parent"""
    keep_models: bool = True
    """whether tuned models stay on disk; if not, each is deleted once it is scored, and trained
    again for a new dataset or number of shots"""
    evaluate: Evaluation
    """what every model is scored on"""
    data: Data = Data()
    """how many examples are used"""
    bootstrap: Bootstrap = Bootstrap()
    """how intervals are found"""
    analysis: StrictSettings[AnalysisSettings] = AnalysisSettings()
    """choices of the analyses"""
    compute: Compute = Compute()
    """what one job takes"""
    report: Report = Report()
    """how figures and report look"""


SCHEMAS = {"study": Study, "model": Model, "family": Family, "extension": Extension}
