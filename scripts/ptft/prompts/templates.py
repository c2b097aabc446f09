"""Prompts: from a prepared example and a template to the text that a model reads.

An *example* is one line of a prepared split: ``{"example_id", "fields", "gold"}`` and, for
multiple choice, ``"choices"``. A template fills into the *context* (trailing spaces
stripped); the *completion* is one space and the gold text, so that the space belongs to the
first word's token, as in running text.

An example with a ``"continuation"`` has its choices inside the context, where the template says
``{choice}``, and the same text is scored behind each of them: *partial scoring* (Trinh & Le 2018,
arXiv 1806.02847), lm-evaluation-harness's way with WinoGrande. Standard library only.
"""

import bisect
import itertools
import random
import string
from collections.abc import Callable, Mapping, Sequence

SHOT_SEPARATOR = "\n\n"
RICH = 32
"""characters of a token in a text where tokens are long; where longer, nothing is lost"""
UNCUT = "question"
"""the field that is never shortened"""
CHOICE = "choice"
"""the template field that holds each choice in turn, in partial scoring"""


def template_fields(template: str) -> list[str]:
    """Names of the fields of a template, in order of appearance, each once."""
    names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    return list(dict.fromkeys(names))


def render(template: str, fields: Mapping[str, str]) -> str:
    """The context: the template filled with an example's fields, trailing spaces stripped.

    Raises:
        KeyError: the template names a field that the example does not have.
    """
    return template.format_map(fields).rstrip(" ")


def gold_text(example: Mapping) -> str:
    """The text of an example's gold answer: a label, a target text or the right choice."""
    if "choices" in example:
        return example["choices"][example["gold"]]
    return example["gold"]


def scored_texts(example: Mapping) -> list[str]:
    """Texts that are scored for the choices of a question: each choice, or what follows it."""
    if "continuation" in example:
        return [example["continuation"]] * len(example["choices"])
    return example["choices"]


def completion(text: str) -> str:
    """A text behind a context: one space, then the text."""
    return " " + text


def alternatives(template: str, example: Mapping, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Context and completion of each text that may answer an example, without shots."""
    if "continuation" in example:
        end = completion(example["continuation"])
        filled = [{**example["fields"], CHOICE: text} for text in texts]
        return [(render(template, fields), end) for fields in filled]
    context = render(template, example["fields"])
    return [(context, completion(text)) for text in texts]


def solved(template: str, example: Mapping) -> tuple[str, str]:
    """Context and completion of an example's gold answer."""
    [pair] = alternatives(template, example, [gold_text(example)])
    return pair


def render_shot(template: str, example: Mapping) -> str:
    """A solved example, as it appears before the question in a few-shot prompt."""
    return "".join(solved(template, example))


def shots_text(template: str, shots: Sequence[Mapping]) -> str:
    """Solved examples as a prompt begins with them, an empty line behind each."""
    return "".join(render_shot(template, shot) + SHOT_SEPARATOR for shot in shots)


def few_shot_prompt(template: str, shots: Sequence[Mapping], example: Mapping) -> str:
    """Solved examples and then the example's own context."""
    return shots_text(template, shots) + render(template, example["fields"])


def readable(example: Mapping, max_length: int, fits: Callable[[Mapping], bool]) -> Mapping:
    """The example with no more text than cutting would look at; megabytes take minutes.

    Args:
        max_length: tokens that the example may have.
        fits: whether an example is short enough.
    """
    fields = {name: text[: RICH * max_length] for name, text in example["fields"].items()}
    short = {**example, "fields": fields}
    return example if fields == example["fields"] or fits(short) else short


def shorten(template: str, example: Mapping, fits: Callable[[Mapping], bool]) -> Mapping | None:
    """An example that is too long with its longest field cut, to the most words that still fit.

    A field named ``question`` is never cut. Training and evaluation shorten by this.

    Args:
        fits: whether an example, shortened or not, is short enough.

    Returns:
        the shortened example; None if it does not fit even without that field.
    """
    names = [name for name in template_fields(template) if name not in (UNCUT, CHOICE)]
    if not names:
        return None
    name = max(names, key=lambda field: len(example["fields"][field]))
    text = example["fields"][name]
    ends = [0, *(at for at, char in enumerate(text) if char.isspace())]

    def cut(words: int) -> Mapping:
        return {**example, "fields": {**example["fields"], name: text[: ends[words]]}}

    fitting = bisect.bisect_left(range(len(ends)), True, key=lambda words: not fits(cut(words)))
    return cut(fitting - 1) if fitting else None


def select_shots(
    examples: Sequence[Mapping], count: int, seed: int, balanced: bool
) -> list[Mapping]:
    """Draw the shots of a few-shot prompt, the same for every arm and checkpoint.

    A larger ``count`` extends the draw of a smaller one.

    Args:
        examples: the shot split; it is never evaluated.
        count: number of shots.
        seed: of the draw.
        balanced: let the gold answers (labels, positions of the right choice) take turns, so
            that their counts differ by at most one; for anything but generation.

    Raises:
        ValueError: the split holds fewer examples than ``count``.
    """
    if len(examples) < count:
        raise ValueError(
            f"{count} shots asked for, but only {len(examples)} rows to draw them from; ask for "
            "fewer, or name a larger split under splits.shots"
        )
    shuffled = sorted(examples, key=lambda example: example["example_id"])
    random.Random(seed).shuffle(shuffled)
    groups: dict[object, list[Mapping]] = {}
    for example in shuffled:
        groups.setdefault(example["gold"] if balanced else None, []).append(example)
    turns = itertools.chain.from_iterable(itertools.zip_longest(*groups.values()))
    return [shot for shot in turns if shot is not None][:count]
