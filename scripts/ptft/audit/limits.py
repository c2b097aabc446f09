"""What stop strings and lengths take away from gold answers."""

from collections.abc import Mapping, Sequence

from ptft.prompts.templates import completion
from ptft.prompts.tokens import text_before


def gold_score(tokenizer, scoring: Mapping, examples: Sequence[Mapping]) -> float:
    """Score of the gold answers themselves, as if a model had generated them word for word.

    They end where a generation does: before the first stop string, at ``max_new_tokens``.

    Args:
        scoring: of a generation dataset: ``stop`` and ``max_new_tokens``.

    Returns:
        the mean of the main metric, ROUGE-L; 1 where nothing is cut off.
    """
    golds = [example["gold"] for example in examples]
    encoded = tokenizer([completion(gold) for gold in golds], add_special_tokens=False)["input_ids"]
    kept = [ids[: scoring["max_new_tokens"]] for ids in encoded]
    said = [text_before(tokenizer, scoring["stop"], ids) for ids in kept]
    cut = [(text, gold) for text, gold in zip(said, golds, strict=True) if text != gold]
    if not cut:
        return 1.0
    from ptft.evaluation.metrics import example_scores  # seconds, which most studies need not pay

    scores = example_scores("generation", *map(list, zip(*cut, strict=True)))["score"]
    return (len(golds) - len(cut) + sum(scores)) / len(golds)
