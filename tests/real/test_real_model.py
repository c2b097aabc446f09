"""The engine on a real language model: against transformers, the harness, and what went wrong once.

SmolLM2-135M-Instruct in float32 (``make_model.py``). Some of its behaviour no random model has: it
begins an answer with a line break, and holds none of a task's labels likely.
"""

import numpy as np
import pytest
import torch
from harness_tasks import FAMILY, TASKS, harness_samples, harness_task, prepared, raw_rows

from ptft.data.prepare import prepare
from ptft.evaluation.cells import CellRequest
from ptft.evaluation.results import to_frame
from ptft.evaluation.scoring import evaluate_cell
from ptft.inference.agreement import checked_engine
from ptft.inference.engine import Engine
from ptft.prompts.encoding import Prompt
from ptft.prompts.templates import few_shot_prompt, select_shots

pytestmark = pytest.mark.real

ROWS, SHOTS = 4, 2
NEW_TOKENS = 40
SUMMARY = "### Input: {document}\n ### Summary: "
NLI = "### Input_1: {premise}\n ### Input_2: {hypothesis}\n ### Inference: "
LABELS = ("entailment", "neutral", "contradiction")
PAIRS = [
    ("A man plays the guitar on a stage.", "A man makes music.", "entailment"),
    ("Two dogs run over the beach.", "The dogs are asleep.", "contradiction"),
    ("A woman reads a letter.", "The letter is from her son.", "neutral"),
    ("The shop closes at six.", "The shop is open at midnight.", "contradiction"),
]


def pairs():
    return [
        {"example_id": str(at), "fields": {"premise": one, "hypothesis": other}, "gold": gold}
        for at, (one, other, gold) in enumerate(PAIRS)
    ]


def test_the_engine_is_right_for_it(loaded):
    """Its check passes, on labels, choices and texts; so no score is computed the plain way."""
    encode = loaded.tokenizer
    contexts = [encode(NLI.format(**row["fields"]).rstrip())["input_ids"] for row in pairs()]
    prompts = [Prompt(ids, [[504], [260, 1122]], 0, False) for ids in contexts]
    assert not checked_engine(loaded, [*prompts, Prompt(contexts[0], [], 0, False)]).plain


def test_its_end_tokens_are_those_of_all_its_files(loaded):
    named = loaded.model.generation_config.eos_token_id
    assert {
        named,
        loaded.model.config.eos_token_id,
        loaded.tokenizer.eos_token_id,
    } <= loaded.eos_ids


def test_a_summary_begins_behind_its_line_break(loaded):
    """The raw answer begins with the stop string; cut there, nothing would be left of it."""
    document = " ".join(f"{one} {other}" for one, other, _ in PAIRS)
    row = {"example_id": "0", "fields": {"document": document}, "gold": "Some things happen."}
    cell = CellRequest(
        "d", "default", 0, "generation", SUMMARY, max_new_tokens=NEW_TOKENS, stop=("\n",)
    )
    frame = to_frame(cell, evaluate_cell(Engine(loaded), cell, [row], []))
    context = loaded.tokenizer(SUMMARY.format(document=document).rstrip(" "), return_tensors="pt")
    with torch.inference_mode():
        said = loaded.model.generate(**context, max_new_tokens=NEW_TOKENS, do_sample=False)
    raw = loaded.tokenizer.decode(
        said[0, context["input_ids"].shape[1] :], skip_special_tokens=True
    )
    assert raw.startswith("\n")
    assert frame["prediction"][0] == raw.strip().split("\n")[0].strip() != ""
    assert frame["empty"][0] == 0 and frame["ended"][0] in ("stop", "length")


def test_labels_that_nobody_would_say_have_no_mass_and_shots_give_them_some(loaded):
    rows = pairs()
    masses = {}
    for shots in (0, 3):
        cell = CellRequest("d", "default", shots, "classification", NLI, LABELS)
        masses[shots] = evaluate_cell(Engine(loaded), cell, rows[3:], rows[:3]).extra["label_mass"]
    assert masses[0][0] < 1e-3 < 0.05 < masses[3][0] <= 1


@pytest.mark.shared
def test_nine_tasks_agree_with_the_harness(loaded, shared):
    """Example by example, of each task with no shots or with two; HellaSwag's rows are remade."""
    from lm_eval.models.huggingface import HFLM

    engine, ours, tasks = Engine(loaded), {}, {}
    for number, name in enumerate(sorted(TASKS.keys() - {"hellaswag"})):
        rows = raw_rows(shared, name)[: ROWS + 2 * SHOTS]
        examples = prepared(name, rows)
        raw = dict(zip([row["example_id"] for row in examples], rows, strict=True))
        count = SHOTS * (number % 2)
        template, metric = FAMILY.templates(name)["default"], FAMILY.metric(name)
        cell = CellRequest(name, "default", count, FAMILY.kind, template, metric=metric)
        shots = select_shots(examples[ROWS:], count, cell.shots_seed, balanced=True)
        task = harness_task(name, rows[:ROWS], [raw[shot["example_id"]] for shot in shots])
        tasks[task.config.task] = task
        results = evaluate_cell(engine, cell, examples[:ROWS], examples[ROWS:])
        ours[task.config.task] = results, to_frame(cell, results), metric
    assert len(ours) == 9
    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=4)
    theirs = harness_samples(model, tasks)
    for name, (results, frame, metric) in ours.items():
        for row, sample in enumerate(theirs[name]):
            expected = [response[0] for response in sample["filtered_resps"]]
            np.testing.assert_allclose(results.logprobs[row], expected, rtol=1e-5, atol=2e-4)
        assert frame["score"].to_list() == [sample[metric] for sample in theirs[name]], name


@pytest.mark.shared
def test_summaries_are_the_harness_texts_but_for_white_space_in_front(loaded, shared):
    """The harness cuts at the first line break, which this model writes before its answer."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from pyarrow import parquet

    file = shared / "hub/datasets/EdinburghNLP/xsum/default/test-00000-of-00001.parquet"
    rows = parquet.read_table(file).slice(0, 40).to_pylist()
    rows = sorted(rows, key=lambda row: len(row["document"]))[:4]
    spec = {"kind": "generation", "split": "x", "limit": None, "seed": 0}
    dataset = {"fields": {"document": "document"}, "target": "summary"}
    examples, _ = prepare(rows, {**spec, "dataset": dataset}, "xsum")
    cell = CellRequest(
        "xsum", "default", 0, "generation", SUMMARY, max_new_tokens=NEW_TOKENS, stop=("\n",)
    )
    ours = evaluate_cell(Engine(loaded), cell, examples, [])
    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=1)
    contexts = [few_shot_prompt(SUMMARY, [], row) for row in examples]

    def said(until):
        options = {"until": until, "max_gen_toks": NEW_TOKENS, "do_sample": False}
        asked = [Instance("generate_until", {}, (text, options), 0) for text in contexts]
        return model.generate_until(asked, disable_tqdm=True)

    assert ours.predicted == [text.strip().split("\n")[0].strip() for text in said([])]
    assert sum(not text.strip() for text in said(["\n"])) >= 3
    assert all(ours.predicted)


HARNESS = [
    ("shapes", 2, False),
    ("shapes", 2, True),
    ("words", 1, False),
    ("words", 0, True),
    ("rolls", 0, False),
    ("last", 1, False),
]


def test_tasks_of_each_output_type_agree_with_the_harness(loaded, tmp_path, monkeypatch):
    """A few documents each, with shots and in the model's own chat format."""
    from own_tasks import assert_equal, by_the_harness, cell_of, prepared, write_tasks

    from ptft.hub.harness import resolve_tasks

    monkeypatch.chdir(tmp_path)
    said = "a bird sees the old house and two men walk by while it rains on their hats"
    write_tasks(tmp_path, 3, said.split())
    tasks = resolve_tasks([name for name, *_ in HARNESS], "tasks")["tasks"]
    theirs = by_the_harness(loaded, HARNESS)
    engine = Engine(loaded)
    for asked, expected in theirs.items():
        name, shots, chat = asked
        cell = cell_of(tasks[name], shots, chat)
        assert_equal(engine, cell, prepared(cell, tmp_path), expected)
    assert len(theirs) == len(HARNESS)
