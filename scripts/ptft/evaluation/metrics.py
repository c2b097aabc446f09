"""Metrics behind the interface of the ``evaluate`` package, without a network.

``evaluate.load`` fetches a metric's code from the Hub. These are subclasses of
``evaluate.Metric``, made directly with ``keep_in_memory=True``; each gives the mean and, as
``scores``, one value an example, which is what intervals and comparisons are built on.
"""

import functools
import re
import string
from collections import Counter
from collections.abc import Sequence

import datasets
import evaluate

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


class _Metric(evaluate.Metric):
    """A metric of texts with one score an example."""

    def _info(self):
        return evaluate.MetricInfo(
            description=type(self).__doc__,
            citation="",
            features=datasets.Features(
                {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
            ),
        )


class Accuracy(_Metric):
    """Share of predictions that equal their reference."""

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict:
        pairs = zip(predictions, references, strict=True)
        scores = [float(prediction == gold) for prediction, gold in pairs]
        return {"accuracy": _mean(scores), "scores": {"accuracy": scores}}


class ExactMatch(_Metric):
    """Exact match and token F1 after SQuAD's normalisation (Rajpurkar et al. 2016)."""

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict:
        exact, f1 = [], []
        for prediction, gold in zip(predictions, references, strict=True):
            said, wanted = normalise_answer(prediction).split(), normalise_answer(gold).split()
            exact.append(float(said == wanted))
            f1.append(_token_f1(said, wanted))
        scores = {"exact_match": exact, "f1": f1}
        return {**{name: _mean(values) for name, values in scores.items()}, "scores": scores}


class Rouge(_Metric):
    """ROUGE F-measures of the ``rouge_score`` package with stemming (Lin 2004), 0 to 1."""

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict:
        from rouge_score.rouge_scorer import RougeScorer  # a second, which labels need not pay

        scorer = RougeScorer(ROUGE_TYPES, tokenizer=_StemmedWords())
        scores: dict[str, list[float]] = {name: [] for name in ROUGE_TYPES}
        for prediction, gold in zip(predictions, references, strict=True):
            for name, score in scorer.score(gold, prediction).items():
                scores[name].append(float(score.fmeasure))
        return {**{name: _mean(values) for name, values in scores.items()}, "scores": scores}


class _StemmedWords:
    """``rouge_score``'s tokenizer with stemming, each word stemmed once: most of ROUGE's time."""

    def __init__(self):
        from nltk.stem.porter import PorterStemmer

        self.stem = functools.lru_cache(100_000)(PorterStemmer().stem)

    def tokenize(self, text: str) -> list[str]:
        from rouge_score.tokenize import tokenize

        return tokenize(text, self)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def normalise_answer(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (SQuAD's official script)."""
    text = "".join(char for char in text.lower() if char not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


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
        return {"score": _scores(Accuracy, predictions, references)["accuracy"]}
    rouge = _scores(Rouge, predictions, references)
    return {"score": rouge.pop("rougeL"), **rouge, **_scores(ExactMatch, predictions, references)}


def _scores(
    metric: type[_Metric], predictions: Sequence[str], references: Sequence[str]
) -> dict[str, list[float]]:
    computed = metric(keep_in_memory=True).compute(
        predictions=list(predictions), references=list(references)
    )
    return computed["scores"]
