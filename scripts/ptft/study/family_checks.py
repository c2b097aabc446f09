"""What a family of each kind says of its datasets, and checks of the names in it."""

from collections.abc import Collection

from ptft.errors import PlacedError, suggest
from ptft.prompts.templates import template_fields

PROMPTLESS = ("chat", "text")
"""kinds without prompt formats"""
# Keys of a dataset that say what its gold answers are, by kind; and those it can't do without.
GOLD = {
    "classification": ("label", "labels", "max_new_tokens", "stop"),
    "multiple_choice": (
        *("answer", "choices", "choice_texts", "choice_transform", "choice_template"),
        *("continuation", "metric"),
    ),
    "generation": ("target", "max_new_tokens", "stop"),
    "chat": ("messages",),
    "text": ("text", "window", "stride"),
}
NEEDED = {
    "classification": ("label",),
    "multiple_choice": ("answer",),
    "generation": ("target",),
    "chat": ("messages",),
    "text": ("text",),
}


def known_fields(loc: tuple, template: str, known: Collection[str], source: str) -> list[str]:
    """Names of a template's fields, each of which must be known."""
    try:
        found = template_fields(template)
    except ValueError as error:
        message = (
            f"{template!r} is not a template ({error}); write a brace that is text as {{{{ or }}}}"
        )
        raise PlacedError(loc, message) from None
    for field in found:
        if field not in known:
            raise PlacedError(
                loc,
                f"asks for the field {{{field}}}, which {source} lacks; {suggest(field, known)}",
            )
    return found


def require_known(loc: tuple, names: Collection[str], allowed: Collection[str], what: str) -> None:
    """Each name must be known; ``what`` it is appears in the message."""
    for name in names:
        if name not in allowed:
            raise PlacedError(loc, f"unknown {what} {name!r}; {suggest(name, list(allowed))}")
