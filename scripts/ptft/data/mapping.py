"""One row to an example: columns to fields, choices and a gold answer, as the family's file says.

What does not fit is refused by its column: found, expected, way out. Which file and row it was
is known to those who read them.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ptft.data.rows import DatasetError, Written

HIDDEN = {"", "-", "-1", "-1.0"}
"""what stands where a gold answer is withheld, unless the description names it as a value"""


NO_TEXT: tuple[tuple[type, str, str], ...] = (
    (Mapping, "a struct", "say which part of it, as {}.NAME,"),
    (list, "a list", "say which entry of it, as {}.0,"),
    (bytes, "bytes", "name another column than {}"),
)
"""values that are no text, what they are called, and the way out"""


class Missing(NamedTuple):
    """Why a row is left out, and what stands in place of its gold answer."""

    reason: str
    found: str | None = None


def example_of(row: Mapping, spec: Mapping) -> tuple[dict, Missing | None]:
    """A row's fields and gold answer, or why it has none.

    Args:
        spec: a ``ptft.data.prepare.SplitSlice``.

    Raises:
        DatasetError: a column is missing, or holds what the description does not expect.
    """
    description = spec["dataset"]
    if spec["kind"] == "chat":
        return _conversation(row, description["messages"])
    if spec["kind"] == "text":
        return _document(row, description["text"])
    fields = {field: _field(row, field, at) for field, at in description["fields"].items()}
    if spec["kind"] == "generation":
        gold, reason = _target(row, description["target"])
    elif spec["kind"] == "classification":
        gold, reason = _label(row, description["label"])
    else:
        gold, reason = _choice(row, description, fields)
    return {"fields": fields, **gold}, reason


def used_columns(description: Mapping) -> set[str]:
    """Columns, or paths into them, that a dataset's description names."""
    sources = [*description.get("fields", {}).values()]
    sources += [description[key] for key in ("text", "continuation") if key in description]
    names = [name for source in sources for name in _named(source)]
    names += [description[key] for key in ("target", "messages") if key in description]
    choices = description.get("choices", [])
    names += [choices] if isinstance(choices, str) else choices
    for key in ("label", "answer"):
        place = description.get(key, {})
        names += [place[part] for part in ("column", "among") if part in place]
    return set(names)


def _named(source: str | Mapping) -> list[str]:
    """Columns that a field is filled from."""
    if isinstance(source, str):
        return [source]
    column = source["column"]
    named = [column] if isinstance(column, str) else list(column)
    return named + list(source.get("columns", {}).values())


# Values -------------------------------------------------------------------------------------------


def column(row: Mapping, path: str) -> Any:
    """Value of a column; a dot goes into a struct (``choices.text``) or a list (``answers.0``).

    A name behind a list of structs gives that of each. None where a value on the way is missing,
    and where a list or struct on the way is empty.

    Raises:
        DatasetError: there is no such column (the message lists those that are there), or what
            stands there is no number where a number is meant: NaN or an infinity.
    """
    value: Any = row
    for part in [path] if path in row else path.split("."):
        if value is None or value in ([], {}):
            return None
        value = _part(row, path, value, part)
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            raise _mistake(
                path,
                number,
                "a text or a number",
                "correct the row, or write null where a value is missing",
            )
    return value


def _part(row: Mapping, path: str, value: object, part: str) -> object:
    """Part of a struct or list on the way of a path."""
    if isinstance(value, Mapping) and part in value:
        return value[part]
    if isinstance(value, list):
        if part.isdecimal() and int(part) < len(value):
            return value[int(part)]
        if all(isinstance(entry, Mapping) and part in entry for entry in value):
            return [entry[part] for entry in value]
    if value is row:
        found, known = "no such column", ", ".join(row)
    elif isinstance(value, list):
        found, known = f"a list of {len(value)}", f"0 to {len(value) - 1}"
    else:
        found = f"no {part!r} in {_shown(value)}"
        known = ", ".join(value) if isinstance(value, Mapping) else "no part"
    raise DatasetError(
        f"column {path!r}: found {found}, expected one of {known}; correct its name in the "
        "family's file"
    )


def _field(row: Mapping, field: str, source: str | Mapping) -> str:
    try:
        return _field_text(row, f"fields.{field}", source)
    except DatasetError as error:
        raise DatasetError(f"field {field!r}, {error}") from None


def _field_text(row: Mapping, key: str, source: str | Mapping) -> str:
    """The text that a dataset's description gives under a key, from one column or several."""
    if isinstance(source, str):
        return _column_text(row, source)
    if "transform" in source:
        names = source["column"]
        names = [names] if isinstance(names, str) else names
        texts = [_column_text(row, name) for name in names]
        return _transformed(source["transform"], texts, names)
    if "columns" in source:
        name = _mapped(row, source["column"], source["columns"], f"{key}.columns")
        return _column_text(row, name)
    return _mapped(row, source["column"], source["values"], f"{key}.values")


def _column_text(row: Mapping, path: str) -> str:
    return _text(path, column(row, path))


def _text(path: str, value: object) -> str:
    """The text of a value of a column; a missing one is empty.

    Raises:
        DatasetError: it is a list, a struct, bytes, or text that UTF-8 can't write.
    """
    if value is None:
        return ""
    for kind, name, way_out in NO_TEXT:
        if isinstance(value, kind):
            expected = f"a text and not {name}"
            raise _mistake(path, value, expected, f"{way_out.format(path)} in the family's file")
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise _mistake(path, value, "whole characters, not half a pair", "correct the row")
    return text


def _transformed(name: str, texts: Sequence[str], columns: Sequence[str]) -> str:
    try:
        return TRANSFORMS[name](*texts)
    except (IndexError, ValueError) as error:
        raise DatasetError(
            f"column {' and '.join(map(repr, columns))}: found {' and '.join(map(_shown, texts))}, "
            f"expected what {name} can rewrite ({error}); correct the row, or take another "
            "transform in the family's file"
        ) from None


def _number(path: str, value: Any, kind: type) -> Any:
    try:
        number = float(value)
        if math.isfinite(number) and "_" not in str(value) and number == kind(number):
            return kind(number)
        raise ValueError
    except (TypeError, ValueError):
        if kind is int:
            expected, way_out = "an index from 0", "say answer.values or answer.among"
        else:
            expected, way_out = "a number", "correct the row, or set label.values"
        raise _mistake(path, value, expected, f"{way_out} in the family's file") from None


def _listed(row: Mapping, path: str) -> list:
    """Value of a column that holds a list."""
    value = column(row, path)
    if not isinstance(value, list):
        raise _mistake(path, value, "a list", "name another column in the family's file")
    return value


def _mapped(row: Mapping, path: str, values: Mapping, key: str) -> Any:
    """Entry of a file's ``values`` for a column's value; its keys are compared as text.

    Args:
        key: of the dataset's description that holds ``values``.
    """
    value = column(row, path)
    found = _known_as(value, values)
    if found is None:
        *others, last = map(str, values)
        expected = f"{', '.join(others)} or {last}" if others else last
        raise _mistake(path, value, expected, f"add it to {key} in the family's file")
    return values[found]


def _known_as(value: Any, values: Mapping) -> object | None:
    """The key of ``values`` that a column's value is, compared as text in any case.

    A number of a file that has numbers is also compared without its decimals: 1.0 is 1.
    """
    keys = {str(known).lower(): known for known in values}
    if str(value).lower() in keys:
        return keys[str(value).lower()]
    if isinstance(value, float | Written) and float(value).is_integer():
        return keys.get(str(int(float(value))))
    return None


# Kinds of examples --------------------------------------------------------------------------------


def _document(row: Mapping, source: str | Mapping) -> tuple[dict, Missing | None]:
    """A document as it is, spaces at its ends included; one without a letter or sign is none."""
    path = source if isinstance(source, str) else source["column"]
    value = column(row, path) if isinstance(path, str) else ""
    if value is not None and (not isinstance(value, str) or isinstance(value, Written)):
        raise _mistake(path, value, "a text", "name another column in the family's file")
    text = _field_text(row, "text", source)
    return {"text": text}, None if text.strip() else Missing("no text")


def _conversation(row: Mapping, source: str) -> tuple[dict, Missing | None]:
    messages = [
        {"role": column(turn, "role"), "content": column(turn, "content")}
        for turn in _listed(row, source)
    ]
    learned = any(turn["role"] == "assistant" and turn["content"] for turn in messages)
    reason = None if learned else Missing("no assistant turn")
    return {"fields": {}, "messages": messages, "gold": ""}, reason


def _target(row: Mapping, source: str) -> tuple[dict, Missing | None]:
    target = _column_text(row, source).strip()
    return {"gold": target}, None if target else Missing("empty target")


def _label(row: Mapping, label: Mapping) -> tuple[dict, Missing | None]:
    value = column(row, label["column"])
    if _is_hidden(value, label.get("values")):
        return {}, Missing("no gold label", _shown(value))
    if "above" in label:
        score = _number(label["column"], value, float)
        return {"gold": label["names"][score > label["above"]]}, None
    return {"gold": _mapped(row, label["column"], label["values"], "label.values")}, None


def _choice(row: Mapping, description: Mapping, fields: Mapping) -> tuple[dict, Missing | None]:
    choices, answer = _choices(row, description, fields), description["answer"]
    if not all(choice.strip() for choice in choices):
        return {}, Missing("empty choice")
    asked: dict[str, Any] = {"choices": choices}
    if "continuation" in description:
        asked["continuation"] = _field_text(row, "continuation", description["continuation"])
    if "index" in answer:
        return {"gold": answer["index"], **asked}, None
    value = column(row, answer["column"])
    named = column(row, answer["among"]) if "among" in answer else answer.get("values")
    if _is_hidden(value, named):
        return {}, Missing("no gold answer", _shown(value))
    return {"gold": _answer(row, answer, value, len(choices)), **asked}, None


def _answer(row: Mapping, answer: Mapping, value: Any, choices: int) -> int:
    """Which of the choices is right."""
    path = answer["column"]
    if "values" in answer:
        index = _mapped(row, path, answer["values"], "answer.values")
    elif "among" in answer:
        names = _listed(row, answer["among"])
        if value not in names:
            among = f"one of {_shown(names)}, which column {answer['among']!r} holds"
            raise _mistake(path, value, among, "correct the row")
        index = names.index(value)
    else:
        index = _number(path, value, int)
    if not 0 <= index < choices:
        raise DatasetError(
            f"column {path!r}: found {_shown(value)}, which is choice {index}, expected one of the "
            f"choices 0 to {choices - 1}; correct the row, or `answer` in the family's file"
        )
    return index


def _choices(row: Mapping, description: Mapping, fields: Mapping) -> list[str]:
    """The choices as they stand, spaces included: the harness scores these too."""
    choices: list = description.get("choice_texts", [])
    source, columns = description.get("choices"), ["choice_texts"]
    if isinstance(source, list):
        choices, columns = [column(row, name) for name in source], source
    elif source is not None:
        choices, columns = _listed(row, source), [source]
    paths = columns if len(columns) == len(choices) else columns * len(choices)
    choices = [_text(path, choice) for path, choice in zip(paths, choices, strict=True)]
    if transform := description.get("choice_transform"):
        choices = [_transformed(transform, [choice], columns) for choice in choices]
    if template := description.get("choice_template"):
        choices = [template.format(choice=choice, **fields) for choice in choices]
    return choices


def _is_hidden(value: object, named: Mapping | Sequence | None) -> bool:
    """Whether a gold answer is missing or withheld: hidden test labels are published as -1.

    Args:
        named: values that the description names; these are answers, whatever they are.
    """
    if value is None:
        return True
    if isinstance(named, Mapping):
        if _known_as(value, named) is not None:
            return False
    elif value in (named or ()):
        return False
    return str(value).strip() in HIDDEN


def _mistake(path: str, value: object, expected: str, way_out: str) -> DatasetError:
    return DatasetError(f"column {path!r}: found {_shown(value)}, expected {expected}; {way_out}")


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, Written) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# Rewrites of columns' texts that family files name, so that prompts equal those of EleutherAI's
# lm-evaluation-harness, whose tasks do the same in code (``hellaswag/utils.py``,
# ``super_glue/copa/utils.py``, ``sciq.yaml``, ``winogrande/preprocess_winogrande.py``). Each takes
# as many texts as its field names columns.


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


def lead(text: str) -> str:
    """The first hundred words; a news article says the most important in them."""
    return " ".join(text.split()[:100])


def before_blank(text: str) -> str:
    """Text before the blank ``_``, the space between them included."""
    return text.split("_", 1)[0]


def after_blank(text: str) -> str:
    """Text after the blank ``_``."""
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
        lead,
        before_blank,
        after_blank,
        wikitext,
    )
}
