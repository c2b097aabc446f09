"""Tasks of one's own for lm-evaluation-harness, one of each output type, with a few rows."""

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pytest

from ptft.evaluation.cells import CellRequest
from ptft.evaluation.results import to_frame
from ptft.files import read_all

ROWS = """\
dataset_path: json
dataset_kwargs: {data_files: {train: tasks/train.jsonl, test: tasks/test.jsonl}}
training_split: train
test_split: test
metadata: {version: 1.0}
"""
SHAPES = """\
task: shapes
output_type: multiple_choice
doc_to_text: "{{a}} is"
doc_to_choice: ["round", "square and red", "flat"]
doc_to_target: answer
metric_list: [{metric: acc}, {metric: acc_norm}]
"""
TASKS = {
    "shapes": SHAPES,
    "sizes": SHAPES.replace("shapes", "sizes").replace("{{a}} is", "{{b}} looks"),
    "pairs": """\
task: pairs
output_type: multiple_choice
doc_to_text: left
doc_to_choice: "{{[a, b]}}"
doc_to_target: word
metric_list: [{metric: acc}]
""",
    "words": """\
task: words
output_type: generate_until
doc_to_text: "{{a}} is"
doc_to_target: "{{word}}"
generation_kwargs: {until: ["ba", "\\n"], max_gen_toks: 8}
filter_list:
  - {name: whole, filter: [{function: take_first}]}
  - name: first
    filter: [{function: regex, regex_pattern: "(\\\\w+)"}, {function: take_first}]
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}, {metric: chrf}]
""",
    "rolls": """\
task: rolls
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: byte_perplexity}, {metric: bits_per_byte}]
""",
    "last": """\
task: last
output_type: loglikelihood
doc_to_text: "{{text}}"
doc_to_target: " {{word}}"
metric_list:
  - {metric: perplexity, aggregation: perplexity, higher_is_better: false}
  - {metric: acc, aggregation: mean, higher_is_better: true}
""",
    "bare": """\
task: bare
output_type: multiple_choice
doc_to_text: ""
doc_to_choice: "{{[a, b, text]}}"
doc_to_target: left
metric_list: [{metric: acc}, {metric: exact_match, aggregation: mean, higher_is_better: true}]
""",
}
GROUP = """\
group: both
task: [shapes, sizes]
aggregate_metric_list: [{metric: acc, weight_by_size: true}]
metadata: {version: 1.0}
"""


SYLLABLES = [first + last for first in "bdfgklmnprst" for last in "aeiou"]


def write_tasks(folder: Path, rows: int = 12, words: Sequence[str] = SYLLABLES) -> None:
    """Write tasks/ with the files of all tasks and their rows, of these words."""
    place, rng = folder / "tasks", random.Random(0)
    place.mkdir()
    for name, text in TASKS.items():
        (place / f"{name}.yaml").write_text(text + ROWS)
    (place / "both.yaml").write_text(GROUP)
    for split, count in (("train", 10), ("test", rows)):
        lines = []
        for _ in range(count):
            answer = rng.randrange(3)
            texts = [" ".join(rng.choices(words, k=rng.randint(1, 9))) for _ in range(3)]
            row = dict(zip(("a", "b", "text"), texts, strict=True))
            word = ["round", "square", "flat"][answer]
            row |= {"answer": answer, "word": word, "left": rng.randrange(2)}
            lines.append(json.dumps(row))
        (place / f"{split}.jsonl").write_text("\n".join(lines) + "\n")


def cell_of(spec: Mapping, shots: int = 0, chat: bool = False) -> CellRequest:
    """The cell of a task that was looked up."""
    task = {**spec, "shots": shots, "limit": None}
    return CellRequest(
        spec["task"],
        "chat" if chat else "default",
        shots,
        "harness",
        "{prompt}",
        metric=spec["main"],
        max_new_tokens=spec.get("max_new_tokens"),
        chat=chat,
        task=json.dumps(task),
    )


def prepared(cell: CellRequest, folder: Path) -> list[dict]:
    """The documents of a cell, as they are prepared."""
    from ptft.evaluation.harness import prepare_task

    prepare_task(cell.harness, cell.dataset, folder / "test.jsonl", folder / "audit.json")
    return list(read_all(folder / "test.jsonl"))


def by_the_harness(loaded, asked: Iterable[tuple[str, int, bool]]) -> dict[tuple, tuple]:
    """(task, shots, chat) -> results and samples of lm_eval itself, by its own model class."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path="tasks", include_defaults=False)
    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=3)
    found = {}
    for name, shots, chat in asked:
        known = manager.load([name])
        known["tasks"][name].set_config("num_fewshot", shots)
        known["tasks"][name].set_fewshot_seed(1234)  # as its command line does
        options = {"apply_chat_template": chat, "fewshot_as_multiturn": chat}
        done = evaluate(model, known, bootstrap_iters=0, **options)
        found[name, shots, chat] = done["results"][name], done["samples"][name]
    return found


def assert_equal(engine, cell: CellRequest, rows: list[dict], theirs: tuple) -> None:
    """Requests, answers and metrics of a cell are the harness's, document by document."""
    from ptft.evaluation.harness import load_task, samples_of
    from ptft.evaluation.harness_model import EngineLM
    from ptft.evaluation.scoring import evaluate_cell

    results, samples = theirs
    noted = samples_of(load_task(cell.harness), EngineLM(engine), None, cell.chat)
    ours = {(one["filter"], one["doc_id"]): one for part in noted.values() for one in part}
    assert ours.keys() == {(one["filter"], one["doc_id"]) for one in samples}
    for other in samples:
        one = ours[other["filter"], other["doc_id"]]
        assert one["arguments"] == other["arguments"] and one["target"] == other["target"]
        for [mine, *_], [said, *_] in zip(one["resps"], other["resps"], strict=True):
            if isinstance(said, tuple):
                assert mine == (pytest.approx(said[0], rel=1e-5, abs=4e-4), said[1])
            else:
                assert mine == (said if isinstance(said, str) else pytest.approx(said, rel=1e-5))
    # The mean of a cell's column is what the harness computes.
    frame = to_frame(cell, evaluate_cell(engine, cell, rows, []))
    assert frame["example_id"].to_list() == [row["example_id"] for row in rows]
    found = {key: value for key, value in results.items() if "," in key and "stderr" not in key}
    assert found
    for key, value in found.items():
        assert frame[key.removesuffix(",none")].mean() == pytest.approx(value, rel=1e-4), key
    assert frame["score"].to_list() == frame[cell.metric].to_list()
