"""Plans, the three kinds of cells, and the program with its store."""

import json
import math
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from slice_files import slice_file
from tiny_models import sentences, tiny_olmo, tiny_tokenizer
from transformers import MistralConfig, MistralForCausalLM

import evaluate_model
from ptft.evaluation import scoring
from ptft.evaluation.cells import CellRequest, cell_key, cells_of_plan
from ptft.evaluation.records import recorded_cells
from ptft.evaluation.scoring import evaluate_cell, greedy_continuation, label_of_text
from ptft.files import read_all
from ptft.inference.engine import Engine
from ptft.models.loading import Target, load_for_scoring, wrap_model
from ptft.prompts.templates import few_shot_prompt, select_shots
from ptft.prompts.tokens import label_tokens

LABELS = ("yes", "no", "maybe")
TEMPLATE = "Text: {text}\n Answer: "


@pytest.fixture(scope="module")
def engine():
    tokenizer = tiny_tokenizer()
    return Engine(wrap_model(tiny_olmo(len(tokenizer)), tokenizer))


def classification_rows(count, seed):
    return [
        {"example_id": f"{seed}-{number}", "fields": {"text": text}, "gold": LABELS[number % 3]}
        for number, text in enumerate(sentences(count, 10, seed))
    ]


def choice_rows(count, seed):
    texts = sentences(4 * count, 5, seed)
    return [
        {
            "example_id": f"{seed}-{number}",
            "fields": {"text": texts[4 * number]},
            "choices": texts[4 * number + 1 : 4 * number + 4],
            "gold": number % 3,
        }
        for number in range(count)
    ]


def logits_behind(engine, text):
    ids = engine.loaded.tokenizer(text)["input_ids"]
    with torch.inference_mode():
        return engine.loaded.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)


def test_token_prob_takes_the_likelier_first_sub_token(engine):
    cell = CellRequest("d", "default", 2, "classification", TEMPLATE, LABELS)
    rows, pool = classification_rows(5, 1), classification_rows(6, 2)
    results = evaluate_cell(engine, cell, rows, pool)
    shots = select_shots(pool, 2, 0, balanced=True)
    encode = engine.loaded.tokenizer
    for row, example in enumerate(rows):
        logprobs = logits_behind(engine, few_shot_prompt(TEMPLATE, shots, example))
        expected = [
            max(logprobs[encode(text)["input_ids"][0]].item() for text in (label, " " + label))
            for label in LABELS
        ]
        assert results.logprobs[row] == pytest.approx(expected, abs=1e-4)
        assert results.predicted[row] == LABELS[expected.index(max(expected))]
        tokens = {encode(text)["input_ids"][0] for name in LABELS for text in (name, " " + name)}
        mass = sum(logprobs[token].exp().item() for token in tokens)
        assert results.extra["label_mass"][row] == pytest.approx(mass, rel=1e-4)
    assert results.gold == ["yes", "no", "maybe", "yes", "no"]
    assert results.truncated == [False] * 5


def test_a_label_that_no_gold_answer_is_is_named_with_how_often_it_is_chosen(engine):
    cell = CellRequest("d", "default", 0, "classification", TEMPLATE, LABELS)
    rows = [{**row, "gold": "yes"} for row in classification_rows(20, 1)]
    results = evaluate_cell(engine, cell, rows, [])
    assert results.notes["labels_without_gold"] == "no, maybe"
    wrong = sum(label != "yes" for label in results.predicted)
    assert 0 < float(results.notes["chosen_without_gold"]) == wrong / 20
    assert evaluate_cell(engine, cell, classification_rows(6, 1), []).notes == {}


def test_constrained_and_free_agree_with_step_by_step_decoding(engine):
    also = ("whole_label", "constrained", "free")
    cell = CellRequest(
        "d", "default", 0, "classification", TEMPLATE, LABELS, also, max_new_tokens=5, stop=("\n",)
    )
    rows = classification_rows(12, 3)
    results = evaluate_cell(engine, cell, rows, [])
    tokenizer = engine.loaded.tokenizer
    for row, example in enumerate(rows):
        text = few_shot_prompt(TEMPLATE, [], example)
        totals = {}
        for label in LABELS:
            ids, total = tokenizer(text)["input_ids"], 0.0
            for token in tokenizer(" " + label)["input_ids"]:
                with torch.inference_mode():
                    logits = engine.loaded.model(torch.tensor([ids])).logits[0, -1]
                total += logits.log_softmax(-1)[token].item()
                ids = [*ids, token]
            totals[label] = total
        best = max(totals, key=totals.get)
        assert results.extra["accuracy_whole_label"][row] == float(best == example["gold"])
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        said = engine.loaded.model.generate(ids, max_new_tokens=5, do_sample=False, pad_token_id=1)
        answer = tokenizer.decode(said[0, ids.shape[1] :], skip_special_tokens=True)
        free = label_of_text(answer.split("\n")[0].strip(), LABELS)
        assert results.extra["accuracy_free"][row] == float(free == example["gold"])
    assert len(results.extra["accuracy_constrained"]) == 12


def test_greedy_walk_along_branches():
    # The first token 5 beats 7; behind it 9 beats 8, though continuation [5, 8] has the largest sum
    # with its own first step no better than that of [5, 9].
    continuations = [[7], [5, 8], [5, 9]]
    assert greedy_continuation(continuations, [[-2.0], [-1.0, -0.9], [-1.0, -0.5]]) == 2
    assert greedy_continuation(continuations, [[-0.5], [-1.0, -0.1], [-1.0, -0.2]]) == 0


def test_label_of_a_generated_text():
    assert label_of_text("Entailment.", ("entailment", "neutral")) == "entailment"
    assert label_of_text("neutrality", ("entailment", "neutral")) is None
    assert label_of_text("not entailment", ("entailment", "not entailment")) == "not entailment"
    assert label_of_text("", ("yes", "no")) is None


def test_choices_are_normalised_by_characters_bytes_and_tokens(engine):
    cell = CellRequest("d", "default", 0, "multiple_choice", TEMPLATE, also=("pmi",))
    rows = choice_rows(10, 4)
    rows[0]["choices"][1] += " café"
    results = evaluate_cell(engine, cell, rows, [])
    tokenizer = engine.loaded.tokenizer
    for row, example in enumerate(rows):
        values, choices = results.logprobs[row], example["choices"]
        context = few_shot_prompt(TEMPLATE, [], example)
        tokens = [
            len(tokenizer(f"{context} {text}")["input_ids"]) - len(tokenizer(context)["input_ids"])
            for text in choices
        ]
        per_character = [value / len(text) for value, text in zip(values, choices, strict=True)]
        per_token = [value / count for value, count in zip(values, tokens, strict=True)]
        assert results.predicted[row] == per_character.index(max(per_character))
        assert results.extra["acc"][row] == (values.index(max(values)) == example["gold"])
        right = per_token.index(max(per_token)) == example["gold"]
        assert results.extra["acc_tokens"][row] == right
    assert set(results.extra) == {"acc", "acc_bytes", "acc_tokens", "acc_pmi"}


def test_the_main_metric_decides_the_prediction(engine):
    rows = choice_rows(30, 4)
    cell = CellRequest("d", "default", 0, "multiple_choice", TEMPLATE, metric="acc")
    plain = evaluate_cell(engine, cell, rows, [])
    norm = evaluate_cell(engine, replace(cell, metric=None), rows, [])
    assert set(plain.extra) == {"acc_norm", "acc_bytes", "acc_tokens"}
    assert plain.predicted == [values.index(max(values)) for values in plain.logprobs]
    assert plain.predicted != norm.predicted
    for one, other, name in ((plain, norm, "acc"), (norm, plain, "acc_norm")):
        right = [float(said == row["gold"]) for said, row in zip(one.predicted, rows, strict=True)]
        assert right == other.extra[name]


@pytest.mark.parametrize("shots", [0, 2])
def test_partial_scoring_compares_contexts(engine, shots):
    """The same words behind each choice, each score that of the whole text alone."""

    def partial(count, seed):
        texts = sentences(4 * count, 4, seed)
        return [
            {
                "example_id": f"{seed}-{at}",
                "fields": {"before": f"{texts[at]} " if at else ""},
                "choices": texts[count + at : 4 * count : count],
                "continuation": texts[-at - 1],
                "gold": at % 3,
            }
            for at in range(count)
        ]

    rows, pool, template = partial(9, 11), partial(4, 12), "{before}{choice}"
    cell = CellRequest("d", "default", shots, "multiple_choice", template, metric="acc")
    results = evaluate_cell(engine, cell, rows, pool)
    begin = "".join(
        f"{shot['fields']['before']}{shot['choices'][shot['gold']]} {shot['continuation']}\n\n"
        for shot in select_shots(pool, shots, 0, balanced=True)
    )
    encode = engine.loaded.tokenizer
    for row, values, tokens in zip(rows, results.logprobs, results.prompt_tokens, strict=True):
        heads = [begin + row["fields"]["before"] + choice for choice in row["choices"]]
        heads = encode(heads)["input_ids"]
        tail = encode(" " + row["continuation"])["input_ids"]
        expected = []
        for head in heads:
            with torch.inference_mode():
                logprobs = (
                    engine.loaded.model(torch.tensor([head + tail])).logits[0].log_softmax(-1)
                )
            places = zip(range(len(head) - 1, 1000), tail, strict=False)
            expected.append(sum(logprobs[at, token].item() for at, token in places))
        assert values == pytest.approx(expected, abs=1e-4)
        assert tokens == max(map(len, heads))
    assert results.predicted == [values.index(max(values)) for values in results.logprobs]


def test_windows_do_not_change_results(engine, monkeypatch):
    cell = CellRequest("d", "default", 2, "multiple_choice", TEMPLATE)
    rows, pool = choice_rows(11, 9), choice_rows(4, 10)
    whole = evaluate_cell(engine, cell, rows, pool)
    monkeypatch.setattr(scoring, "WINDOW", 3)
    parts = evaluate_cell(engine, cell, iter(rows), pool)
    assert parts.example_id == whole.example_id == [row["example_id"] for row in rows]
    assert parts.predicted == whole.predicted
    for one, other in zip(parts.logprobs, whole.logprobs, strict=True):
        assert one == pytest.approx(other, abs=1e-4)


def plan_of(**dataset):
    base = {"kind": "classification", "labels": ["a", "b"], "formats": {"f": "{x}"}, "shots": [0]}
    return {"datasets": {"d": base | dataset}, "shots_seed": 0, "scoring_version": 1}


def test_a_plan_is_read_into_cells():
    cells = cells_of_plan(plan_of(formats={"f": "{x}", "g": "{x}!"}, shots=[0, 4]))
    assert [cell.name for cell in cells] == ["d.f.0shot", "d.f.4shot", "d.g.0shot", "d.g.4shot"]


def test_a_generation_backend_is_part_of_the_cells_that_generate(job):
    folder, plan, _ = job
    plain = cells_of_plan(plan)
    backed = cells_of_plan({**plan, "generation_backend": "vllm"})
    assert [cell.generation_backend for cell in plain] == [None] * 3
    assert [cell.generation_backend for cell in backed] == [None, None, "vllm"]
    keys = [
        [cell_key(cell, "model", folder / "data", 1, CPU) for cell in cells]
        for cells in (plain, backed)
    ]
    assert keys[0][:2] == keys[1][:2] and keys[0][2] != keys[1][2]
    free = plan_of(also=["free"], max_new_tokens=3) | {"generation_backend": "vllm"}
    assert [cell.generation_backend for cell in cells_of_plan(free)] == ["vllm"]


def test_a_backend_that_is_not_installed_is_refused(job, monkeypatch):
    folder, plan, run = job
    monkeypatch.setattr("ptft.evaluation.cells.find_spec", lambda name: None)
    plan["generation_backend"] = "vllm"
    with pytest.raises(ModuleNotFoundError, match="generation_backend: found vllm, .*pip install"):
        run()
    assert stored(folder) == {}
    del plan["datasets"]["sums"]  # nothing to generate: nobody asks for it
    assert run() == 0


def test_a_prompt_set_as_a_conversation_is_another_cell(job):
    folder, plan, _ = job
    plan["datasets"]["nli"]["formats"] = {"default": TEMPLATE, "chat": TEMPLATE}
    cells = [cell for cell in cells_of_plan(plan) if cell.name.startswith("nli") and not cell.shots]
    keys = [cell_key(cell, "model", folder / "data", 1, CPU) for cell in cells]
    assert [cell.chat for cell in cells] == [False, True] and keys[0] != keys[1]


CPU = Target("cpu", "float32")
FOLDERS = ("model", "data", "store", "record", "output")


@pytest.fixture
def job(tmp_path):
    """A model folder, two datasets, and a function that runs the program on them."""
    tokenizer = tiny_tokenizer()
    tiny_olmo(len(tokenizer)).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    write_split(tmp_path / "data" / "nli", "test", classification_rows(6, 6))
    write_split(tmp_path / "data" / "nli", "shots", classification_rows(3, 7))
    sums = [
        {"example_id": f"s{number}", "fields": {"text": text}, "gold": text[:9]}
        for number, text in enumerate(sentences(4, 9, 8))
    ]
    write_split(tmp_path / "data" / "sums", "test", sums)
    plan = {
        "datasets": {
            "nli": {
                "kind": "classification",
                "labels": list(LABELS),
                "formats": {"default": TEMPLATE},
                "shots": [0, 2],
            },
            "sums": {
                "kind": "generation",
                "formats": {"default": TEMPLATE},
                "shots": [0],
                "max_new_tokens": 4,
                "stop": ["\n"],
            },
        },
        "shots_seed": 0,
        "scoring_version": 1,
    }

    def run():
        folders = {name: str(tmp_path / name) for name in FOLDERS}
        options = [part for name, folder in folders.items() for part in (f"--{name}", folder)]
        return evaluate_model.main([*options, "--plan", slice_file(tmp_path / "plan.json", plan)])

    return tmp_path, plan, run


def write_split(folder, split, rows):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def stored(folder):
    return {file.name: file.stat().st_ino for file in (folder / "store").glob("*")}


def test_the_program_writes_cells_and_computes_only_what_is_missing(job):
    folder, plan, run = job
    assert run() == 0
    names = sorted(file.name for file in (folder / "output").iterdir())
    assert names == [
        "nli.default.0shot.parquet",
        "nli.default.2shot.parquet",
        "sums.default.0shot.parquet",
    ]
    table = pl.read_parquet(folder / "output" / "nli.default.2shot.parquet")
    assert table.columns == [
        "example_id", "prediction", "gold", "score", "logprobs", "prompt_tokens", "truncated",
        "label_mass",
    ]  # fmt: skip
    assert table["score"].dtype == pl.Float64
    assert table["logprobs"].list.len().to_list() == [3] * 6
    texts = pl.read_parquet(folder / "output" / "sums.default.0shot.parquet")
    assert texts["logprobs"].null_count() == 4
    assert {"rouge1", "rouge2", "rougeLsum", "exact_match", "f1"} < set(texts.columns)
    assert texts["ended"].is_in(["stop", "end", "length"]).all()
    assert texts["empty"].to_list() == (texts["prediction"] == "").cast(float).to_list()
    assert texts["cut"].to_list() == (texts["ended"] == "length").cast(float).to_list()

    before = stored(folder)
    plan["datasets"]["nli"]["formats"]["io"] = "{text}"
    (folder / "output" / "sums.default.0shot.parquet").unlink()
    assert run() == 0
    after = stored(folder)
    assert len(after) == 5
    assert before.items() <= after.items()  # what was there was not computed again
    assert (folder / "output" / "sums.default.0shot.parquet").exists()


def test_a_cell_comes_from_the_store_under_any_name_and_is_on_record(job):
    folder, plan, run = job
    assert run() == 0
    before, record = stored(folder), recorded_cells(folder / "record")
    assert record.keys() == {file.name for file in (folder / "output").iterdir()}
    for name, key in record.items():
        assert (folder / "store" / f"{key}.parquet").samefile(folder / "output" / name)

    cell = "nli.default.2shot.parquet"
    (folder / "store" / f"{record[cell]}.parquet").unlink()
    assert run() == 0
    changed = [name for name, inode in stored(folder).items() if inode != before[name]]
    assert changed == [f"{record[cell]}.parquet"]

    before = stored(folder)
    plan["datasets"]["nli"]["formats"] = {"renamed": TEMPLATE}
    assert run() == 0
    assert stored(folder) == before
    renamed = recorded_cells(folder / "record")
    assert renamed["nli.renamed.2shot.parquet"] == record[cell] and cell not in renamed


METRIC = (Path(__file__).parents[1] / "lengths_metric.py").read_text()


def test_a_metric_by_name_is_a_column_and_its_code_part_of_the_key(job, tmp_path, capsys):
    folder, plan, run = job
    (tmp_path / "metrics").mkdir()
    code = tmp_path / "metrics/lengths.py"
    code.write_text(METRIC)
    lengths = {"name": "lengths", "folder": str(code.parent), "options": {}, "per": "example"}
    plan["datasets"]["sums"]["metrics"] = [lengths]
    for factor in (1, 2):
        code.write_text(METRIC.replace("FACTOR = 1", f"FACTOR = {factor}"))
        before = stored(folder)
        assert run() == 0
        texts = pl.read_parquet(folder / "output/sums.default.0shot.parquet")
        assert texts["lengths"].to_list() == [factor * len(gold) for gold in texts["gold"]]
        assert len(stored(folder)) - len(before) == (3 if factor == 1 else 1)
    code.unlink()
    assert run() == 1
    assert "error: metric lengths: " in (said := capsys.readouterr().err)
    assert "lengths.py does not exist" in said
    assert len(stored(folder)) == 4  # it was said before anything was generated


def test_a_failing_cell_does_not_stop_the_others(job, capsys):
    folder, plan, run = job
    plan["datasets"]["nli"]["formats"] = {"bad": "{nothing}", "good": TEMPLATE}
    assert run() == 1
    assert len(stored(folder)) == 3  # both cells of the good format, and the generation
    assert not (folder / "output").exists()
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: cell nli.bad.0shot failed: KeyError: 'nothing' (2 of 5 cells")


def test_a_model_that_the_engine_gets_wrong_is_scored_plainly_and_noted(job):
    folder, plan, run = job
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tiny_tokenizer()), hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, sliding_window=4,
        max_position_embeddings=256, initializer_range=0.3, eos_token_id=0, bos_token_id=0,
    )  # fmt: skip
    MistralForCausalLM(config).save_pretrained(folder / "model")
    assert run() == 0
    for file in (folder / "output").iterdir():
        assert pl.read_parquet_metadata(file)["scored_plainly"]
    table = pl.read_parquet(folder / "output" / "nli.default.0shot.parquet")
    loaded = load_for_scoring(folder / "model")
    rows = read_all(folder / "data" / "nli" / "test.jsonl")
    labels = label_tokens(loaded.tokenizer, LABELS)
    for row, found in zip(rows, table["logprobs"], strict=True):
        ids = loaded.tokenizer(TEMPLATE.format(**row["fields"]).rstrip(" "))["input_ids"]
        with torch.inference_mode():
            logprobs = loaded.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        expected = [max(logprobs[token].item() for token in labels[label]) for label in LABELS]
        assert found.to_list() == pytest.approx(expected, abs=1e-4)


def test_a_model_of_nan_fails_its_cells(job, capsys):
    folder, _, run = job
    broken = tiny_olmo(len(tiny_tokenizer()))
    with torch.no_grad():
        broken.model.layers[0].mlp.up_proj.weight.fill_(math.nan)
    broken.save_pretrained(folder / "model")
    assert run() == 1
    assert stored(folder) == {}
    assert "(3 of 3 cells failed;" in capsys.readouterr().err.splitlines()[-1]
