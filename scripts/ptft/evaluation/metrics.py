"""Metrics of texts: functions from predictions and references to one value per example.

Intervals and comparisons are built on these values.

Words are those of any script: letters and digits, with the marks that belong to them. In scripts
that put no spaces between words (Han, kana, Thai, Lao, Khmer, Burmese) each letter with its marks
is one. For texts in ASCII, ROUGE is that of the ``rouge_score`` package with stemming, whose own
tokenizer drops every other letter, and exact match and F1 are SQuAD's.

Metrics of the ``evaluate`` package that a study names have their code in a folder, and no network.
One that exists for a corpus only (``per: corpus``) gives values whose mean is that of the corpus,
and whose spread is that of the jackknife.
"""

import contextlib
import functools
import importlib
import importlib.machinery
import importlib.util
import math
import re
import string
import sys
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ptft.models.folder import hash_files

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
ARTICLES = {"a", "an", "the"}
# Blocks of scripts without spaces between words, marks of theirs included, after NFKC.
SPACELESS = re.compile(
    "[\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f"  # Burmese
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3031-\u3035\u3040-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"  # Han
)


def accuracy(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """``accuracy``: 1 for a prediction that equals its reference, else 0."""
    pairs = zip(predictions, references, strict=True)
    return {"accuracy": [float(prediction == gold) for prediction, gold in pairs]}


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """``exact_match`` and token ``f1`` after SQuAD's normalisation (Rajpurkar et al. 2016)."""
    exact, f1 = [], []
    for prediction, gold in zip(predictions, references, strict=True):
        said, wanted = answer_words(prediction), answer_words(gold)
        exact.append(float(said == wanted))
        f1.append(_token_f1(said, wanted))
    return {"exact_match": exact, "f1": f1}


def rouge(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """ROUGE F-measures of the ``rouge_score`` package with stemming (Lin 2004), 0 to 1."""
    from rouge_score.rouge_scorer import RougeScorer  # a second, which labels need not pay

    scorer = RougeScorer(ROUGE_TYPES, tokenizer=_StemmedWords())
    scores: dict[str, list[float]] = {name: [] for name in ROUGE_TYPES}
    for prediction, gold in zip(predictions, references, strict=True):
        for name, score in scorer.score(gold, prediction).items():
            scores[name].append(float(score.fmeasure))
    return scores


class _StemmedWords:
    """``rouge_score``'s tokenizer with stemming, for every script.

    Each word is stemmed once, which is most of ROUGE's time; words with other letters than a to z
    are left as they are, for the stemmer is one of English.
    """

    def __init__(self):
        from nltk.stem.porter import PorterStemmer

        self.stem = functools.lru_cache(100_000)(PorterStemmer().stem)

    def tokenize(self, text: str) -> list[str]:
        found = words(text)
        return [self.stem(word) if len(word) > 3 and word.isascii() else word for word in found]


def words(text: str) -> list[str]:
    """Words of a text in any script, in lower case: runs of letters, digits and their marks.

    A letter of a script without spaces is a word of its own, with its marks.
    """
    if text.isascii():
        return re.findall("[a-z0-9]+", text.lower())
    found: list[str] = []
    base = ""  # what the next character may belong to
    for char in unicodedata.normalize("NFKC", text).lower():
        kind = unicodedata.category(char)
        if kind == "Cf" or (kind[0] == "M" and not base):
            continue  # joiners and marks of direction; a mark on nothing
        if kind[0] == "M":
            found[-1] += char
        elif not char.isalnum():
            base = ""
        elif base and not (SPACELESS.match(base) or SPACELESS.match(char)):
            found[-1] += char
            base = char
        else:
            found.append(char)
            base = char
    return found


def answer_words(text: str) -> list[str]:
    """Words of an answer: lower case, no punctuation, no articles (SQuAD's official script).

    Letters of scripts without spaces are words of their own.
    """
    text = unicodedata.normalize("NFKC", text).lower()
    parts = "".join(char for char in text if not _is_punctuation(char)).split()
    found = [word for part in parts for word in (words(part) if SPACELESS.search(part) else [part])]
    return [word for word in found if word not in ARTICLES]


def _is_punctuation(char: str) -> bool:
    kind = unicodedata.category(char)
    return char in string.punctuation or kind[0] == "P" or kind == "Cf"


def _token_f1(said: Sequence[str], wanted: Sequence[str]) -> float:
    if not said or not wanted:
        return float(said == wanted)
    common = sum((Counter(said) & Counter(wanted)).values())
    return 2 * common / (len(said) + len(wanted))


def example_scores(
    kind: str, predictions: Sequence[str], references: Sequence[str]
) -> dict[str, list[float]]:
    """Scores of every example, the main metric of the kind as ``score``.

    Returns:
        classification, multiple choice: ``score`` (right or not); generation: ``score``
        (ROUGE-L), ``rouge1``, ``rouge2``, ``rougeLsum``, ``exact_match``, ``f1``.
    """
    if kind != "generation":
        return {"score": accuracy(predictions, references)["accuracy"]}
    overlap, equality = rouge(predictions, references), exact_match(predictions, references)
    return {"score": overlap.pop("rougeL"), **overlap, **equality}


# Metrics by name ----------------------------------------------------------------------------------

GROUPS = 200
"""of examples that the jackknife leaves out in turn, at most"""
NEEDS = "needs"
"""in a metric's folder, what it has downloaded by nltk"""


class MetricError(ValueError):
    """A metric can't be used; the message names it and says why."""


class NamedMetric(TypedDict):
    """A metric of a dataset of generations."""

    __pydantic_config__ = {"extra": "forbid"}

    name: str
    folder: str
    """with ``NAME.py``"""
    options: dict[str, Any]
    """of the metric's ``compute``"""
    score: NotRequired[str | None]
    """which of its results counts, where there are several"""
    per: Literal["example", "corpus"]
    """what it is computed of"""


def metric_hash(metric: NamedMetric) -> str:
    """SHA-256 of a metric's code."""
    return hash_files(sorted(Path(metric["folder"]).glob("*.py")))


def named_scores(
    metrics: Sequence[NamedMetric], predictions: Sequence[str], references: Sequence[str]
) -> dict[str, list[float]]:
    """One value per example of each metric, by its name.

    Raises:
        MetricError: one can't be loaded or computed.
    """
    return {
        metric["name"]: _values(metric, list(predictions), list(references)) for metric in metrics
    }


def _values(metric: NamedMetric, predictions: list[str], references: list[str]) -> list[float]:
    compute = _computed(metric)
    whole = compute(predictions, references)
    if isinstance(whole, list):  # the metric gives each example its value
        return [_number(metric, value) for value in whole]
    if metric["per"] == "corpus":

        def of(kept: Sequence[int]) -> float:
            said, golds = ([texts[at] for at in kept] for texts in (predictions, references))
            return _number(metric, compute(said, golds))

        return jackknife(len(predictions), of)
    return [
        _number(metric, compute([said], [gold]))
        for said, gold in zip(predictions, references, strict=True)
    ]


def jackknife(count: int, compute: Callable[[Sequence[int]], float]) -> list[float]:
    """Values per example whose mean is the corpus's, and whose variance that of the jackknife.

    With G groups of which each is left out in turn (Quenouille 1956, Tukey 1958), a group's value
    lies (G - 1) times as far from the whole as the result without it, to the other side. The
    examples of a group share it, stretched by the root of their number, so that the mean of all n
    has the standard error of the G.

    Args:
        count: of examples.
        compute: the metric of the examples of these numbers.
    """
    import numpy as np  # the Snakefile reads this module, too

    whole, groups = compute(range(count)), min(count, GROUPS)
    if groups < 2:
        return [whole] * count
    owner = np.arange(count) * groups // count
    without = np.array([compute(np.flatnonzero(owner != group)) for group in range(groups)])
    values = (groups - 1) * (without.mean() - without)[owner] * math.sqrt(count / groups)
    return (whole + values - values.mean()).tolist()


def _computed(metric: NamedMetric) -> Callable[[list[str], list[str]], Any]:
    """The metric as a function of predictions and references, to its result that counts."""
    loaded = load_metric(**metric)
    kinds = loaded.features if isinstance(loaded.features, list) else [loaded.features]
    listed = all(hasattr(features["references"], "feature") for features in kinds)

    def compute(predictions: list[str], references: list[str]) -> Any:
        golds = [[gold] for gold in references] if listed else references
        try:
            found = loaded.compute(predictions=predictions, references=golds, **metric["options"])
        except Exception as error:  # of whatever the metric calls
            raise MetricError(
                f"metric {metric['name']}: {type(error).__name__}: {error}"
            ) from error
        return _counting(metric, found)

    return compute


def _counting(metric: NamedMetric, found: Mapping[str, Any]) -> Any:
    """Of a metric's results the one that counts."""
    wanted = metric.get("score")
    numbers = [key for key, value in found.items() if not isinstance(value, str)]
    for key in [wanted] if wanted else [metric["name"], "score", *(numbers * (len(numbers) == 1))]:
        if key in found:
            return found[key]
    raise MetricError(
        f"metric {metric['name']}: its results are {', '.join(found)}; say which one counts, as "
        f"metrics: [{{name: {metric['name']}, score: …}}]"
    )


def _number(metric: NamedMetric, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise MetricError(f"metric {metric['name']}: found {value!r}, expected a number") from None
    if not math.isfinite(number):
        raise MetricError(f"metric {metric['name']}: found {number}, expected a finite number")
    return number


def load_metric(name: str, folder: str | Path, **_: object):
    """A metric by the code in a folder, with all that it needs prepared.

    What it downloads by nltk goes into the folder, and what it fetches from the Hub into the user's
    cache: call this once where there is a network, later anywhere.

    Raises:
        MetricError: there is no such code, it needs a package that is not installed, or it fails.
    """
    folder = Path(folder)
    file = folder / f"{name}.py"
    if not file.is_file():
        raise MetricError(f"metric {name}: {file} does not exist; a metric NAME is in NAME.py")
    import evaluate
    import nltk

    needs = folder / NEEDS
    with contextlib.suppress(OSError):  # a folder of someone else's
        needs.mkdir(exist_ok=True)
    nltk.data.path.insert(0, str(needs.absolute()))
    # A package, so that its modules may import one another.
    package = f"metric_{hash_files([file])[:16]}"
    spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    sys.modules[package] = importlib.util.module_from_spec(spec)
    try:
        module = importlib.import_module(f"{package}.{name}")
        found = [
            kind
            for kind in vars(module).values()
            if isinstance(kind, type)
            and issubclass(kind, evaluate.EvaluationModule)
            and kind.__module__ == module.__name__
        ]
        if not found:
            raise MetricError(f"metric {name}: {file} defines no evaluate.Metric")
        loaded = found[0](keep_in_memory=True)
        loaded.download_and_prepare()
    except ImportError as error:
        raise MetricError(
            f"metric {name} needs a package that is not installed here ({error}); install it with "
            "pip"
        ) from error
    except MetricError:
        raise
    except Exception as error:
        raise MetricError(f"metric {name}: {type(error).__name__}: {error}") from error
    return loaded
