"""Small rewrites of a column's text, named in family files.

They exist so that prompts equal those of EleutherAI's lm-evaluation-harness, whose tasks do the
same in code (``hellaswag/utils.py``, ``super_glue/copa/utils.py``).
"""

import re
from collections.abc import Callable


def wikihow(text: str) -> str:
    """Without the marks ``[title]``, ``[header]``, ``[step]`` of HellaSwag's WikiHow part."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def without_last_mark(text: str) -> str:
    """Without the full stop at the end, so that a connective can follow."""
    return text.strip()[:-1]


def lower_first(text: str) -> str:
    """The first letter in lower case, as in the middle of a sentence."""
    return text[:1].lower() + text[1:]


def before_blank(text: str) -> str:
    """What stands before the blank ``_``."""
    return text.split("_", 1)[0].rstrip()


def after_blank(text: str) -> str:
    """What stands behind the blank ``_``."""
    return text.split("_", 1)[1]


TRANSFORMS: dict[str, Callable[[str], str]] = {
    transform.__name__: transform
    for transform in (wikihow, without_last_mark, lower_first, before_blank, after_blank)
}
