"""Metrics of texts: functions from predictions and references to one value per example.

Intervals and comparisons are built on these values.
"""

import functools
import re
import string
from collections import Counter
from collections.abc import Sequence

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


def accuracy(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """``accuracy``: 1 for a prediction that equals its reference, else 0."""
    pairs = zip(predictions, references, strict=True)
    return {"accuracy": [float(prediction == gold) for prediction, gold in pairs]}


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> dict[str, list[float]]:
    """``exact_match`` and token ``f1`` after SQuAD's normalisation (Rajpurkar et al. 2016)."""
    exact, f1 = [], []
    for prediction, gold in zip(predictions, references, strict=True):
        said, wanted = normalise_answer(prediction).split(), normalise_answer(gold).split()
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
    """``rouge_score``'s tokenizer with stemming, each word stemmed once: most of ROUGE's time."""

    def __init__(self):
        from nltk.stem.porter import PorterStemmer

        self.stem = functools.lru_cache(100_000)(PorterStemmer().stem)

    def tokenize(self, text: str) -> list[str]:
        from rouge_score.tokenize import tokenize

        return tokenize(text, self)


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
        return {"score": accuracy(predictions, references)["accuracy"]}
    overlap, equality = rouge(predictions, references), exact_match(predictions, references)
    return {"score": overlap.pop("rougeL"), **overlap, **equality}
