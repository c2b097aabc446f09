"""Parity with lm-evaluation-harness: the same prompts, log-likelihoods, acc and acc_norm.

Both score a small random model of OLMo's architecture, with OLMo's real tokenizer, on real
questions. The harness runs its own loop, task and metrics; it is given the finished prompts.
"""

import os

import numpy as np
import pytest

pytestmark = [pytest.mark.shared, pytest.mark.slow]

ROWS = 8  # scored a dataset; the next rows serve as shots
SHOTS = 3


def by_letter(row):
    return row["choices"]["text"], row["choices"]["label"].index(row["answerKey"])


# file below the hub, template, fields of a row, choices and the number of the right one
DATASETS = {
    "arc_easy": (
        "allenai/ai2_arc/ARC-Easy",
        "Question: {question}\nAnswer: ",
        by_letter,
    ),
    "openbookqa": ("allenai/openbookqa/main", "{question_stem}", by_letter),
    "hellaswag": (
        "Rowan/hellaswag/default",
        "{ctx}",
        lambda row: (row["endings"], int(row["label"])),
    ),
    "piqa": (
        "ybisk/piqa/plain_text",
        "Question: {goal}\nAnswer: ",
        lambda row: ([row["sol1"], row["sol2"]], row["label"]),
    ),
    "boolq": (
        "google/boolq/default",
        "{passage}\nQuestion: {question}?\nAnswer: ",
        lambda row: (["no", "yes"], int(row["answer"])),
    ),
    "sciq": (
        "allenai/sciq/default",
        "{support}\nQuestion: {question}\nAnswer: ",
        lambda row: (
            [row["distractor1"], row["distractor2"], row["distractor3"], row["correct_answer"]],
            3,
        ),
    ),
}


@pytest.fixture(scope="module")
def loaded(shared):
    """A random model whose likelihoods differ clearly between texts."""
    import torch
    from transformers import AutoTokenizer, OlmoConfig, OlmoForCausalLM

    from ptft.evaluation.model import wrap_model

    torch.manual_seed(0)
    config = OlmoConfig(
        vocab_size=50304,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=50279,
        pad_token_id=1,
        tie_word_embeddings=True,
        initializer_range=0.2,
    )
    folder = shared / "hub" / "models" / "allenai" / "OLMo-1B-hf"
    return wrap_model(OlmoForCausalLM(config), AutoTokenizer.from_pretrained(folder))


def read_rows(shared, name):
    """Prepared examples of a dataset, those to be scored and those to be shown."""
    import pyarrow.parquet as pq

    folder, _, answers = DATASETS[name]
    file = shared / "hub" / "datasets" / folder / "validation-00000-of-00001.parquet"
    examples = []
    for number, row in enumerate(pq.read_table(file).slice(0, ROWS + SHOTS).to_pylist()):
        choices, gold = answers(row)
        fields = {key: value for key, value in row.items() if isinstance(value, str)}
        examples.append(
            {
                "example_id": f"{name}-{number}",
                "fields": fields,
                "choices": list(choices),
                "gold": gold,
            }
        )
    return examples[:ROWS], examples[ROWS:]


def run_harness(loaded, prompts):
    """Results of the harness for {name: [{"prompt", "choices", "gold"}]}, a task a name."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"
    import datasets
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    metrics = ["acc", "acc_norm", "acc_bytes", "acc_mutual_info"]
    tasks = {}
    for name, rows in prompts.items():
        table = datasets.DatasetDict({"test": datasets.Dataset.from_list(rows)})
        tasks[name] = ConfigurableTask(
            config={
                "task": name,
                "custom_dataset": lambda table=table: table,
                "test_split": "test",
                "output_type": "multiple_choice",
                "doc_to_text": lambda doc: doc["prompt"],
                "doc_to_choice": lambda doc: doc["choices"],
                "doc_to_target": lambda doc: doc["gold"],
                "metric_list": [{"metric": metric} for metric in metrics],
            }
        )
    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=4)
    return evaluate(
        model, {"tasks": tasks, "groups": {}, "group_map": {}}, bootstrap_iters=0, log_samples=True
    )


def test_agrees_with_the_harness(loaded, shared):
    from ptft.evaluation.cells import Cell
    from ptft.evaluation.engine import Engine
    from ptft.evaluation.scoring import evaluate_cell
    from ptft.metrics import example_scores
    from ptft.prompts import few_shot_prompt, select_shots

    engine = Engine(loaded)
    ours, prompts = {}, {}
    for name, (_, template, _) in DATASETS.items():
        examples, pool = read_rows(shared, name)
        for count in (0, SHOTS):
            cell = Cell(name, "default", count, "multiple_choice", template, also=("pmi",))
            ours[cell.name.replace(".", "_")] = evaluate_cell(engine, cell, examples, pool)
            shots = select_shots(pool, count, cell.shots_seed, balanced=True)
            prompts[cell.name.replace(".", "_")] = [
                {
                    "prompt": few_shot_prompt(template, shots, row),
                    "choices": row["choices"],
                    "gold": row["gold"],
                }
                for row in examples
            ]
    theirs = run_harness(loaded, prompts)
    for name, results in ours.items():
        samples = sorted(theirs["samples"][name], key=lambda sample: sample["doc_id"])
        assert len(samples) == ROWS
        right = example_scores(
            "multiple_choice", list(map(str, results.predicted)), list(map(str, results.gold))
        )
        for row, sample in enumerate(samples):
            expected = [response[0] for response in sample["filtered_resps"]]
            choices = len(results.logprobs[row])
            np.testing.assert_allclose(results.logprobs[row], expected[:choices], atol=1e-4)
            assert right["score"][row] == sample["acc_norm"]
            assert results.extra["acc"][row] == sample["acc"]
            assert results.extra["acc_bytes"][row] == sample["acc_bytes"]
            assert results.extra["acc_pmi"][row] == sample["acc_mutual_info"]
        assert np.mean(right["score"]) == theirs["results"][name]["acc_norm,none"]
        assert np.mean(results.extra["acc"]) == theirs["results"][name]["acc,none"]
    spread = np.std([value for result in ours.values() for row in result.logprobs for value in row])
    assert spread > 1  # the model does tell choices apart
