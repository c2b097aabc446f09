"""Tasks of lm-evaluation-harness on our engine: equal to the harness itself with its HFLM."""

import json

import pytest
from own_tasks import write_tasks
from tiny_models import tiny_olmo, tiny_tokenizer

from ptft.data.jsonl import read_all
from ptft.evaluation.cells import CellRequest
from ptft.evaluation.results import to_frame
from ptft.hub.harness import resolve_tasks
from ptft.inference.engine import Engine
from ptft.models.loading import wrap_model

SHOTS = {"shapes": 0, "sizes": 2, "pairs": 1, "words": 2, "rolls": 0, "last": 1, "bare": 0}
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"


@pytest.fixture(scope="module")
def loaded():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return wrap_model(tiny_olmo(len(tokenizer), context=64), tokenizer)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """The tasks' folder as the working directory, and what their names stand for."""
    folder = tmp_path_factory.mktemp("own")
    write_tasks(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield resolve_tasks([*SHOTS, "both"], "tasks")["tasks"]


def cell_of(spec, shots, format_name="default"):
    spec = {**spec, "shots": shots, "limit": None}
    return CellRequest(
        spec["task"],
        format_name,
        shots,
        "harness",
        "{prompt}",
        metric=spec["main"],
        max_new_tokens=spec.get("max_new_tokens"),
        chat=format_name == "chat",
        task=json.dumps(spec),
    )


def prepared(cell, folder):
    from ptft.evaluation.harness import prepare_task

    prepare_task(cell.harness, cell.dataset, folder / "test.jsonl", folder / "audit.json")
    return list(read_all(folder / "test.jsonl"))


@pytest.fixture(scope="module")
def theirs(loaded, tasks):
    """(task, chat) -> results and samples of lm_eval itself, by its own model class."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path="tasks", include_defaults=False)
    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=3)
    found = {}
    for chat in (False, True):
        for name, shots in SHOTS.items():
            known = manager.load([name])
            known["tasks"][name].set_config("num_fewshot", shots)
            known["tasks"][name].set_fewshot_seed(1234)  # as its command line does
            options = {"apply_chat_template": chat, "fewshot_as_multiturn": chat}
            done = evaluate(model, known, bootstrap_iters=0, **options)
            found[name, chat] = done["results"][name], done["samples"][name]
    return found


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("name", SHOTS)
def test_each_type_of_task_is_the_harness_document_by_document(
    name, chat, tasks, theirs, loaded, tmp_path
):
    from ptft.evaluation.harness import load_task, samples_of
    from ptft.evaluation.harness_model import EngineLM
    from ptft.evaluation.scoring import evaluate_cell

    cell = cell_of(tasks[name], SHOTS[name], "chat" if chat else "default")
    rows = prepared(cell, tmp_path)
    results, samples = theirs[name, chat]
    noted = samples_of(load_task(cell.harness), EngineLM(Engine(loaded)), None, chat)
    expected = {(one["filter"], one["doc_id"]): one for one in samples}
    ours = {(one["filter"], one["doc_id"]): one for part in noted.values() for one in part}
    assert ours.keys() == expected.keys()
    for key, one in ours.items():
        other = expected[key]
        assert one["arguments"] == other["arguments"] and one["target"] == other["target"]
        for mine, said in zip(one["resps"], other["resps"], strict=True):
            if isinstance(said[0], tuple):
                assert mine[0] == (pytest.approx(said[0][0], abs=1e-4), said[0][1])
            else:
                assert mine[0] == (said[0] if isinstance(said[0], str) else pytest.approx(said[0]))
    # The mean of a cell's column is what the harness computes.
    frame = to_frame(cell, evaluate_cell(Engine(loaded), cell, rows, []))
    assert frame["example_id"].to_list() == [row["example_id"] for row in rows]
    found = {key: value for key, value in results.items() if "," in key and "stderr" not in key}
    assert len(found) >= 1
    for key, value in found.items():
        column = key.removesuffix(",none")
        assert frame[column].mean() == pytest.approx(value, rel=1e-4), key
    assert frame["score"].to_list() == frame[tasks[name]["main"]].to_list()


def test_the_main_metric_is_one_that_rises_or_bits_per_byte(tasks):
    assert {name: task["main"] for name, task in tasks.items()} == {
        "shapes": "acc_norm",
        "sizes": "acc_norm",
        "pairs": "acc",
        "words": "exact_match,whole",
        "rolls": "bits_per_byte",
        "last": "acc",
        "bare": "acc",
    }
