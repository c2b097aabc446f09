"""Small rewrites of columns' texts, named in family files.

They exist so that prompts equal those of EleutherAI's lm-evaluation-harness, whose tasks do the
same in code (``hellaswag/utils.py``, ``super_glue/copa/utils.py``, ``sciq.yaml``,
``winogrande/preprocess_winogrande.py``). Each takes as many texts as its field names columns.
"""

import re
from collections.abc import Callable


def wikihow(text: str) -> str:
    """Without the marks ``[title]``, ``[header]``, ``[step]`` of HellaSwag's WikiHow part."""
    text = text.strip().replace(" [title]", ". ")
    return re.sub(r"\[.*?\]", "", text).replace("  ", " ")


def hellaswag_query(activity: str, context: str, fragment: str) -> str:
    """The activity, what has happened, and the beginning of the sentence that an ending closes."""
    return wikihow(f"{activity}: {context} {fragment.capitalize()}")


def without_leading_space(text: str) -> str:
    """Without white space in front."""
    return text.lstrip()


def without_last_mark(text: str) -> str:
    """Without the full stop at the end, so that a connective can follow."""
    return text.strip()[:-1]


def lower_first(text: str) -> str:
    """The first letter in lower case, as in the middle of a sentence."""
    return text[:1].lower() + text[1:]


def before_blank(text: str) -> str:
    """What comes before the blank ``_``, the space between them included."""
    return text.split("_", 1)[0]


def after_blank(text: str) -> str:
    """What comes after the blank ``_``."""
    return text.split("_", 1)[1].strip()


def wikitext(text: str) -> str:
    """WikiText's tokens put together again, as the harness's ``wikitext`` scores them.

    Its ``preprocess_wikitext.wikitext_detokenizer``, word for word.
    """
    text = text.replace("s '", "s'")
    text = re.sub(r"/' [0-9]/", r"/'[0-9]/", text)
    for mark in "-,.":
        text = text.replace(f" @{mark}@ ", mark)
    for mark in ":;.!?,":
        text = text.replace(f" {mark} ", f"{mark} ")
    text = re.sub(r"\(\s*([^\)]*?)\s*\)", r"(\1)", text)
    text = re.sub(r"\[\s*([^\]]*?)\s*\]", r"[\1]", text)
    text = re.sub(r"{\s*([^}]*?)\s*}", r"{\1}", text)
    text = re.sub(r"\"\s*([^\"]*?)\s*\"", r'"\1"', text)
    text = re.sub(r"'\s*([^']*?)\s*'", r"'\1'", text)
    for heading in (4, 3, 2):
        text = text.replace(" ".join("=" * heading), "=" * heading)
    text = text.replace(" ° ", "°").replace(" \n", "\n").replace("\n ", "\n")
    return text.replace(" N ", " 1 ").replace(" 's", "'s")


TRANSFORMS: dict[str, Callable[..., str]] = {
    transform.__name__: transform
    for transform in (
        wikihow,
        hellaswag_query,
        without_leading_space,
        without_last_mark,
        lower_first,
        before_blank,
        after_blank,
        wikitext,
    )
}
