"""One row to an example: columns to fields, choices and a gold answer, as the family's file says.

What does not fit is refused by its column: found, expected, way out. Which file and row it was
is known to those who read them.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence

from ptft.data.rows import DatasetError

NO_GOLD = {"", "-", "-1", "None"}


def example_of(row: Mapping, spec: Mapping) -> tuple[dict, str | None]:
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


def column(row: Mapping, path: str) -> object:
    """Value of a column; a dot goes into a struct (``choices.text``) or a list (``answers.0``).

    Raises:
        DatasetError: there is no such column (the message lists those that are there), or what
            stands there is no number where a number is meant: NaN or an infinity.
    """
    value: object = row
    for part in [path] if path in row else path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise DatasetError(
                f"column {path!r}: found no such column, expected one of {', '.join(row)}; correct "
                "its name in the family's file"
            )
    for number in value if isinstance(value, list) else [value]:
        if isinstance(number, float) and not math.isfinite(number):
            raise _mistake(
                path,
                number,
                "a text or a number",
                "correct the row, or write null where a value is missing",
            )
    return value


def _field(row: Mapping, field: str, source: str | Mapping) -> str:
    try:
        return _field_text(row, f"fields.{field}", source)
    except DatasetError as error:
        raise DatasetError(f"field {field!r}, {error}") from None


def _field_text(row: Mapping, key: str, source: str | Mapping) -> str:
    """The text that a dataset's description gives under a key, from one column or several."""
    if isinstance(source, str):
        return _text(column(row, source))
    if "transform" in source:
        names = source["column"]
        names = [names] if isinstance(names, str) else names
        texts = [_text(column(row, name)) for name in names]
        return _transformed(source["transform"], texts, names)
    if "columns" in source:
        name = _mapped(row, source["column"], source["columns"], f"{key}.columns")
        return _text(column(row, name))
    return _mapped(row, source["column"], source["values"], f"{key}.values")


def _transformed(name: str, texts: Sequence[str], columns: Sequence[str]) -> str:
    try:
        return TRANSFORMS[name](*texts)
    except (IndexError, ValueError) as error:
        raise DatasetError(
            f"column {' and '.join(map(repr, columns))}: found {' and '.join(map(_shown, texts))}, "
            f"expected what {name} can rewrite ({error}); correct the row, or take another "
            "transform in the family's file"
        ) from None


def _number(path: str, value: object, kind: type) -> float:
    try:
        if math.isfinite(float(value)):
            return kind(value)
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


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _mapped(row: Mapping, path: str, values: Mapping, key: str) -> object:
    """What a file's ``values`` gives for a column's value; its keys are compared as text.

    Args:
        key: of the dataset's description that holds ``values``.
    """
    table = {str(known).lower(): mapped for known, mapped in values.items()}
    value = column(row, path)
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a CSV column of numbers with gaps is read as floats
    if str(value).lower() not in table:
        *others, last = table
        expected = f"{', '.join(others)} or {last}" if others else last
        raise _mistake(path, value, expected, f"add it to {key} in the family's file")
    return table[str(value).lower()]


def _document(row: Mapping, source: str | Mapping) -> tuple[dict, str | None]:
    """A document as it is, spaces at its ends included; one without a letter or sign is none."""
    path = source if isinstance(source, str) else source["column"]
    value = column(row, path) if isinstance(path, str) else ""
    if value is not None and not isinstance(value, str):
        raise _mistake(path, value, "a text", "name another column in the family's file")
    text = _field_text(row, "text", source)
    return {"text": text}, None if text.strip() else "no text"


def _conversation(row: Mapping, source: str) -> tuple[dict, str | None]:
    messages = [
        {"role": column(turn, "role"), "content": column(turn, "content")}
        for turn in _listed(row, source)
    ]
    learned = any(turn["role"] == "assistant" and turn["content"] for turn in messages)
    reason = None if learned else "no assistant turn"
    return {"fields": {}, "messages": messages, "gold": ""}, reason


def _target(row: Mapping, source: str) -> tuple[dict, str | None]:
    target = _text(column(row, source)).strip()
    return {"gold": target}, None if target else "empty target"


def _label(row: Mapping, label: Mapping) -> tuple[dict, str | None]:
    value = column(row, label["column"])
    if _is_hidden(value):
        return {}, "no gold label"
    if "above" in label:
        score = _number(label["column"], value, float)
        return {"gold": label["names"][score > label["above"]]}, None
    return {"gold": _mapped(row, label["column"], label["values"], "label.values")}, None


def _choice(row: Mapping, description: Mapping, fields: Mapping) -> tuple[dict, str | None]:
    choices, answer = _choices(row, description, fields), description["answer"]
    if not all(choice.strip() for choice in choices):
        return {}, "empty choice"
    asked = {"choices": choices}
    if "continuation" in description:
        asked["continuation"] = _field_text(row, "continuation", description["continuation"])
    if "index" in answer:
        return {"gold": answer["index"], **asked}, None
    value = column(row, answer["column"])
    if _is_hidden(value):
        return {}, "no gold answer"
    return {"gold": _answer(row, answer, value, len(choices)), **asked}, None


def _answer(row: Mapping, answer: Mapping, value: object, choices: int) -> int:
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
    choices, source = description.get("choice_texts"), description.get("choices")
    columns = ["choice_texts"]
    if isinstance(source, list):
        choices, columns = [column(row, name) for name in source], source
    elif source is not None:
        choices, columns = _listed(row, source), [source]
    choices = [_text(choice) for choice in choices]
    if transform := description.get("choice_transform"):
        choices = [_transformed(transform, [choice], columns) for choice in choices]
    if template := description.get("choice_template"):
        choices = [template.format(choice=choice, **fields) for choice in choices]
    return choices


def _is_hidden(value: object) -> bool:
    """Whether a gold answer is withheld: hidden test labels are published as -1."""
    return value == -1 or str(value).strip() in NO_GOLD


def _mistake(path: str, value: object, expected: str, way_out: str) -> DatasetError:
    return DatasetError(f"column {path!r}: found {_shown(value)}, expected {expected}; {way_out}")


def _shown(value: object) -> str:
    text = repr(value)
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
