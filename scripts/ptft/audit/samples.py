"""Samples of what the models of a study read, as text: prompts with shots, training examples.

They come from the functions that scoring and training call, so what is shown is what is read.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from typing_extensions import TypedDict

from ptft.audit.checks import ScoredSlice, TrainedSlice, scored_cells
from ptft.evaluation.cells import CellRequest, cell_prompts, cell_shots
from ptft.files import read_all
from ptft.prompts.encoding import Prompt
from ptft.prompts.templates import shots_text
from ptft.prompts.tokens import document_windows
from ptft.training.examples import Example, truncate
from ptft.training.methods import get_method

LEGEND = (
    "[[...]] is scored or learned, everything else is only read.\n"
    "Per dataset and format: the first two examples and the longest."
)


class SamplesSlice(TypedDict):
    """Slices of all checks: everything that models read."""

    __pydantic_config__ = {"extra": "forbid"}

    scored: list[ScoredSlice]
    trained: dict[str, TrainedSlice]


def show_prompts(plan: SamplesSlice, data: Path, tokenizer, context_length: int) -> str:
    """Three prompts per dataset and format, with most shots, and three examples per training set.

    Args:
        plan: what the study scores and trains on.
        data: folder of prepared splits.
        tokenizer: of the study's model.
        context_length: tokens that the model reads at most.
    """
    parts = [f"The model reads at most {context_length} tokens.\n{LEGEND}"]
    for scored in plan["scored"]:
        most = max(scored["scoring"]["shots"])
        for cell in (cell for cell in scored_cells(scored) if cell.shots == most):
            if cell.kind == "text":
                title = f"{cell.dataset}, windows of {cell.window} tokens, stride: {cell.stride}"
                parts += _section(title, _text_samples(cell, data, tokenizer, context_length))
                continue
            title = f"{cell.dataset}, format {cell.format}, shots: {cell.shots} ({cell.kind})"
            if cell.kind == "harness":
                parts += _section(title, _task_samples(cell, data))
                continue
            parts += _section(title, _cell_samples(cell, data, tokenizer, context_length))
    for arms in _alike(plan["trained"]):
        spec = plan["trained"][arms[0]]
        title = f"Training of {', '.join(arms)} on {spec['dataset']}"
        parts += _section(title, _training_samples(spec, data, tokenizer, context_length))
    return "\n\n".join(parts) + "\n"


def sample(rows: Sequence[Mapping]) -> list[Mapping]:
    """The first two rows, and the longest of the others: where something is cut, it is cut."""
    return [*rows[:2], *sorted(rows[2:], key=lambda row: len(json.dumps(row)))[-1:]]


def _section(title: str, samples: Iterator[str]) -> Iterator[str]:
    """A heading and its samples; what the study would be refused for is shown in their place."""
    yield f"{'=' * 80}\n{title}\n{'=' * 80}"
    try:
        yield from samples
    except ValueError as error:
        yield f"refused: {error}"


def _cell_samples(cell: CellRequest, data: Path, tokenizer, context_length: int) -> Iterator[str]:
    pool = read_all(data / cell.dataset / "shots.jsonl") if cell.shots else []
    shots = cell_shots(cell, pool)
    rows = sample(read_all(data / cell.dataset / "test.jsonl"))
    prompts = cell_prompts(tokenizer, cell, shots, rows, context_length)
    for number, (row, prompt) in enumerate(zip(rows, prompts, strict=True)):
        left = shots[: prompt.shots]
        text = _text(tokenizer, prompt.context)
        if number and left:
            text = text.replace(shots_text(cell.template, left), f"({len(left)} shots)\n\n", 1)
        about = f"{prompt.tokens} tokens{_lost(cell, prompt)}"
        yield f"--- {row['example_id']}: {about}\n{text}{_answers(cell, row, prompt, tokenizer)}"


def _task_samples(cell: CellRequest, data: Path) -> Iterator[str]:
    """Documents of a harness task with the texts that are scored behind their prompts."""
    for row in sample(read_all(data / cell.dataset / "test.jsonl")):
        ends = [f"\n> [[{rest[0]}]]" for _, *rest in row.get("requests", ()) if rest]
        yield f"--- {row['example_id']}\n{row['fields']['prompt']}{''.join(ends)}"


def _text_samples(cell: CellRequest, data: Path, tokenizer, context_length: int) -> Iterator[str]:
    """The first window of each document, and the second where there is one."""
    rows = sample(read_all(data / cell.dataset / "test.jsonl"))
    documents = document_windows(
        tokenizer, [row["text"] for row in rows], cell.window, cell.stride, context_length
    )
    for row, windows in zip(rows, documents, strict=True):
        tokens = sum(len(window.scored) for window in windows)
        lines = [f"--- {row['example_id']}: {tokens} tokens, windows: {len(windows)}"]
        for window in windows[:2]:
            context = window.read[: len(window.read) - len(window.scored) + 1]
            lines.append(f"{_text(tokenizer, context)}[[{_text(tokenizer, window.scored)}]]")
        yield "\n".join(lines)


def _lost(cell: CellRequest, prompt: Prompt) -> str:
    if not prompt.truncated:
        return ""
    return f"; too long: {prompt.shots} of {cell.shots} shots are left" if cell.shots else "; cut"


def _answers(cell: CellRequest, row: Mapping, prompt: Prompt, tokenizer) -> str:
    """Texts that are scored or generated behind a prompt; a star marks the gold answer."""
    if cell.kind == "generation":
        ends = " or ".join(map(repr, cell.stop))
        return f"\n> generates {cell.max_new_tokens} tokens at most, up to {ends}; * {row['gold']}"
    if cell.kind == "classification":
        texts = [f"[[ {label}]]" for label in cell.labels or ()]
        golds = [label == row["gold"] for label in cell.labels or ()]
    else:
        texts = [
            f"{_text(tokenizer, ids[: len(ids) - len(scored)])}[[{_text(tokenizer, scored)}]]"
            for ids, scored in zip(prompt.continuations, prompt.scored, strict=True)
        ]
        golds = [number == row["gold"] for number in range(len(texts))]
    marks = ("* " if gold else "  " for gold in golds)
    return "".join(f"\n> {mark}{text}" for mark, text in zip(marks, texts, strict=True))


def _alike(tuning: Mapping[str, Mapping]) -> list[list[str]]:
    """Arms that are trained on the same examples."""
    groups: dict[tuple, list[str]] = {}
    for arm, spec in tuning.items():
        examples = type(get_method(spec["method"])).examples
        key = (spec["dataset"], spec["template"], spec["settings"]["max_length"], examples)
        groups.setdefault(key, []).append(arm)
    return list(groups.values())


def _training_samples(spec: Mapping, data: Path, tokenizer, context_length: int) -> Iterator[str]:
    rows = sample(read_all(data / spec["dataset"] / "train.jsonl"))
    longest = min(spec["settings"]["max_length"], context_length)
    method = get_method(spec["method"])
    examples = method.examples(tokenizer, rows, spec["template"], longest)
    for row, whole in zip(rows, examples, strict=True):
        name = f"--- {row['example_id']}: "
        try:
            [example], _ = truncate([whole], longest)
        except ValueError:
            yield f"{name}left out, since {longest} tokens keep nothing to learn"
            continue
        about = f"{len(example.ids)} tokens, {example.targets} learned"
        about += f"; cut to {longest}" if example.cut else ""
        yield f"{name}{about}\n{learned_text(tokenizer, example)}"


def learned_text(tokenizer, example: Example) -> str:
    """A training example as text, with marks around what is learned."""
    starts = [0, *(i for i in range(1, len(example.ids)) if _turns(example, i)), len(example.ids)]
    pieces = []
    for start, end in zip(starts, starts[1:], strict=False):
        text = _text(tokenizer, example.ids[start:end].tolist())
        pieces.append(f"[[{text}]]" if example.loss_mask[start] else text)
    return "".join(pieces)


def _turns(example: Example, at: int) -> bool:
    return bool(example.loss_mask[at] != example.loss_mask[at - 1])


def _text(tokenizer, ids: Sequence[int]) -> str:
    """Token ids as text, special tokens included."""
    return tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
