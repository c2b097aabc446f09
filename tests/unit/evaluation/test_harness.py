"""Tasks of lm-evaluation-harness on our engine: equal to the harness itself with its HFLM."""

import json
import math
from dataclasses import replace
from itertools import product

import polars as pl
import pytest
from own_tasks import TASKS, assert_equal, by_the_harness, cell_of, prepared, write_tasks
from tiny_models import tiny_olmo, tiny_tokenizer

from ptft.evaluation.cells import cell_key
from ptft.hub.harness import resolve_tasks
from ptft.inference.agreement import PlainEngine
from ptft.inference.engine import Engine
from ptft.models.loading import Target, wrap_model

SHOTS = {"shapes": 0, "sizes": 2, "pairs": 1, "words": 2, "rolls": 0, "last": 1, "bare": 0}
TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
REFUSED = {
    "sees": ("shapes", "doc_to_image: a\n"),
    "runs": ("words", "unsafe_code: true\n"),
    "draws": ("words", "generation_kwargs: {do_sample: true, temperature: 0.7}\n"),
    "searches": ("words", "generation_kwargs: {num_beams: 4}\n"),
    "falls": ("last", "metric_list: [{metric: perplexity}]\n"),
    "codes": ("words", "metric_list: [{metric: f1, hf_evaluate: true}]\n"),
    "remote": ("shapes", "dataset_kwargs: {data_files: {test: 'https://example.org/a.json'}}\n"),
    "unread": ("shapes", "test_split: null\n"),
}


@pytest.fixture(scope="module")
def loaded():
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return wrap_model(tiny_olmo(len(tokenizer), context=64), tokenizer)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Meanings of names; the tasks' folder is the working directory."""
    folder = tmp_path_factory.mktemp("own")
    write_tasks(folder)
    for name, (base, changed) in REFUSED.items():
        head = f"include: {base}.yaml\ntask: {name}\n{changed}"
        (folder / f"tasks/{name}.yaml").write_text(head)
    other = "group: other\ntask: [{task: shapes, num_fewshot: 1}]\n"
    (folder / "tasks/other.yaml").write_text(other)
    asked = [*TASKS, "both", *REFUSED, "other", "shape", "mmlu", "gsm8k", "wikitext", "humaneval"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield resolve_tasks(asked, "tasks")


@pytest.fixture(scope="module")
def tasks(found):
    return found["tasks"]


@pytest.fixture(scope="module")
def theirs(loaded, tasks):
    asked = [(name, shots, chat) for chat in (False, True) for name, shots in SHOTS.items()]
    return by_the_harness(loaded, asked)


@pytest.mark.parametrize(("name", "chat"), [*product(SHOTS, (False, True))])
def test_each_type_of_task_is_the_harness_document_by_document(
    name, chat, tasks, theirs, loaded, tmp_path
):
    cell = cell_of(tasks[name], SHOTS[name], chat)
    rows = prepared(cell, tmp_path)
    assert_equal(Engine(loaded), cell, rows, theirs[name, SHOTS[name], chat])


@pytest.mark.parametrize("name", ["bare", "words"])
def test_a_model_that_is_scored_plainly_has_the_same_answers(name, tasks, theirs, loaded, tmp_path):
    cell = cell_of(tasks[name], SHOTS[name])
    expected = theirs[name, SHOTS[name], False]
    assert_equal(PlainEngine(loaded), cell, prepared(cell, tmp_path), expected)


def test_what_names_stand_for(found):
    """Members, the main metric (one that rises, or bits per byte), data; the harness's own too."""
    tasks = found["tasks"]
    mains = {name: tasks[name]["main"] for name in TASKS}
    assert mains == {
        **{"shapes": "acc_norm", "sizes": "acc_norm", "pairs": "acc", "words": "exact_match,whole"},
        **{"rolls": "bits_per_byte", "last": "acc", "bare": "acc"},
    }
    assert found["asked"]["both"] == ["shapes", "sizes"]
    assert len(found["asked"]["mmlu"]) == 57
    assert found["groups"]["mmlu_stem"]["members"][0] in found["groups"]["mmlu"]["members"]
    assert found["groups"]["mmlu"]["aggregated"] == {"acc": True}
    assert found["groups"]["both"]["main"] == "acc"
    anatomy = tasks["mmlu_anatomy"]
    assert (anatomy["repository"], anatomy["config"]) == ("cais/mmlu", "anatomy")
    assert anatomy["splits"] == {"test": "test", "shots": "dev"}
    assert tasks["gsm8k"]["main"] == "exact_match,strict-match"
    assert tasks["gsm8k"]["max_new_tokens"] == 256
    assert tasks["wikitext"]["output"] == "loglikelihood_rolling"


def test_what_cannot_be_scored_alike_is_refused_by_name(found):
    assert found["refused"].keys() == {*REFUSED, "other", "shape", "humaneval"}
    assert "did you mean 'shapes'" in found["refused"]["shape"]
    reasons = {"humaneval": "sandbox", "draws": "do_sample", "searches": "num_beams"}
    for name, reason in {**reasons, "other": "other settings"}.items():
        assert reason in found["refused"][name]


def test_a_group_is_the_mean_that_the_harness_computes(tasks, loaded, tmp_path):
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from ptft.evaluation.harness import group_frame
    from ptft.evaluation.results import to_frame
    from ptft.evaluation.scoring import evaluate_cell

    known = TaskManager(include_path="tasks", include_defaults=False).load(["both"])
    for task in known["tasks"].values():
        task.set_fewshot_seed(1234)
        if task.config.num_fewshot is None:
            task.set_config("num_fewshot", 0)
    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=3)
    members = []
    for name, shots, most in (("shapes", 0, 12), ("sizes", 0, 5)):
        cell = cell_of(tasks[name], shots)
        rows = prepared(cell, tmp_path)[:most]
        members.append(to_frame(cell, evaluate_cell(Engine(loaded), cell, rows, [])))
    values = [frame["acc"].mean() for frame in members]
    group = {"task": "both", "main": "acc"}
    for by_size in (True, False):
        frame = group_frame(cell_of({**group, "aggregated": {"acc": by_size}}), members)
        sizes = [12, 5] if by_size else [1, 1]
        mean = sum(n * value for n, value in zip(sizes, values, strict=True)) / sum(sizes)
        assert len(frame) == 17 and frame["score"].mean() == pytest.approx(mean)
    # Of members alike, the error is that of a mean of means.
    errors = [frame["acc"].std(ddof=0) ** 2 / len(frame) for frame in members]
    spread = frame["score"].std(ddof=0) ** 2 / len(frame)
    assert spread == pytest.approx(sum(errors) / 4)
    done = evaluate(model, known, bootstrap_iters=0, limit=12)["results"]
    whole = [to_frame(c, evaluate_cell(Engine(loaded), c, prepared(c, tmp_path), []))
             for c in (cell_of(tasks["shapes"]), cell_of(tasks["sizes"]))]  # fmt: skip
    frame = group_frame(cell_of({**group, "aggregated": {"acc": True}}), whole)
    assert frame["score"].mean() == pytest.approx(done["both"]["acc,none"])


def test_a_key_follows_configuration_and_versions_but_not_places(tasks, tmp_path):
    cell = cell_of(tasks["shapes"])
    folder = tmp_path / "shapes"
    folder.mkdir()
    (folder / "test.jsonl").write_text("{}\n")

    def key(**changed):
        task = json.dumps({**cell.harness, **changed})
        return cell_key(replace(cell, task=task), "model", tmp_path, 1, Target("cpu", "float32"))

    assert key() == key(files={"test": ["elsewhere.jsonl"]}) == key(root="other")
    changes = [{"lm_eval": "0.5"}, {"version": "2"}, {"digest": "x"}, {"changes": {"a": 1}}]
    assert len({key(), *(key(**changed) for changed in changes)}) == 5


def test_a_metric_that_is_no_mean_has_the_error_of_the_jackknife(tasks, theirs, loaded, tmp_path):
    """Perplexity: exp of a mean, whose error by the delta method is its own times that of it."""
    from ptft.evaluation.results import to_frame
    from ptft.evaluation.scoring import evaluate_cell

    cell = cell_of(tasks["last"], 1)
    frame = to_frame(cell, evaluate_cell(Engine(loaded), cell, prepared(cell, tmp_path), []))
    results, samples = theirs["last", 1, False]
    assert frame["perplexity"].mean() == pytest.approx(results["perplexity,none"], rel=1e-4)
    logs = pl.Series([one["perplexity"] for one in samples])
    delta = results["perplexity,none"] * logs.std() / math.sqrt(len(logs))
    error = frame["perplexity"].std(ddof=0) / math.sqrt(len(frame))
    assert 0.5 < error / delta < 3
