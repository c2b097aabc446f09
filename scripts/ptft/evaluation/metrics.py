"""Metrics of texts: functions from predictions and references to one value per example.

Intervals and comparisons are built on these values.

Words are those of any script: letters and digits, with the marks that belong to them. In scripts
that put no spaces between words (Han, kana, Thai, Lao, Khmer, Burmese) each letter with its marks
is one. For texts in ASCII, ROUGE is that of the ``rouge_score`` package with stemming, whose own
tokenizer drops every other letter, and exact match and F1 are SQuAD's.
"""

import functools
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

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
