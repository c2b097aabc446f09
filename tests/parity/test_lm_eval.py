"""Parity with lm-evaluation-harness: the same texts, log-likelihoods, acc and acc_norm.

Both start from the same raw rows, in the Hub's layout. The harness runs its own tasks, as its
YAML files have them, its own loop and metrics; both score a small random model of OLMo's
architecture with OLMo's real tokenizer.
"""

import numpy as np
import pytest
from harness_tasks import (
    FAMILY,
    NORMALISED,
    TASKS,
    harness_samples,
    harness_task,
    harness_texts,
    odd_first,
    prepared,
    raw_rows,
    task_config,
)

pytestmark = pytest.mark.shared

TEXTS = 300  # rows a dataset whose texts are compared
ROWS = 4  # scored a dataset; the next rows serve as shots
SHOTS = 2


@pytest.mark.parametrize("name", TASKS)
def test_raw_rows_make_the_harness_texts(shared, name):
    from ptft.prompts.templates import alternatives

    rows = odd_first(raw_rows(shared, name))[:TEXTS]
    template = FAMILY.templates(name)["default"]
    ours = [alternatives(template, row, row["choices"]) for row in prepared(name, rows)]
    assert ours == harness_texts(harness_task(name, rows), 0)


def test_every_dataset_of_the_family_is_held_to_the_harness():
    assert set(TASKS) == set(FAMILY.datasets)


@pytest.mark.parametrize("name", TASKS)
def test_the_main_metric_is_the_harness_one(name):
    listed = [metric["metric"] for metric in task_config(name)["metric_list"]]
    assert listed == (["acc", "acc_norm"] if name in NORMALISED else ["acc"])
    assert FAMILY.metric(name) == listed[-1]


@pytest.fixture(scope="module", autouse=True)
def offline():
    """The harness asks the Hub for nothing; tests that ask one of their own come to no harm."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("huggingface_hub.constants", "datasets.config"):
            patch.setattr(f"{module}.HF_HUB_OFFLINE", True)
        yield


@pytest.fixture(scope="module")
def loaded(shared):
    """A random model whose likelihoods differ clearly between texts."""
    import torch
    from transformers import AutoTokenizer, OlmoConfig, OlmoForCausalLM

    from ptft.models.loading import wrap_model

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


def test_scores_agree_with_the_harness(loaded, shared):
    from lm_eval.models.huggingface import HFLM

    from ptft.evaluation.cells import CellRequest
    from ptft.evaluation.results import to_frame
    from ptft.evaluation.scoring import evaluate_cell
    from ptft.inference.engine import Engine
    from ptft.prompts.templates import select_shots

    engine, ours, tasks = Engine(loaded), {}, {}
    for name in TASKS:
        rows = odd_first(raw_rows(shared, name))[: ROWS + 2 * SHOTS]
        examples = prepared(name, rows)
        raw = dict(zip([row["example_id"] for row in examples], rows, strict=True))
        test, pool = examples[:ROWS], examples[ROWS:]
        template, metric = FAMILY.templates(name)["default"], FAMILY.metric(name)
        partial_scoring = "continuation" in examples[0]
        also = () if partial_scoring else ("pmi",)
        for count in (0, SHOTS):
            cell = CellRequest(
                name, "default", count, FAMILY.kind, template, metric=metric, also=also
            )
            shots = select_shots(pool, count, cell.shots_seed, balanced=True)
            metrics = ["acc", "acc_norm", "acc_bytes", *(["acc_mutual_info"] if also else [])]
            shown = [raw[shot["example_id"]] for shot in shots]
            task = harness_task(name, rows[:ROWS], shown, metrics)
            tasks[task.config.task] = task
            results = evaluate_cell(engine, cell, test, pool)
            ours[task.config.task] = results, to_frame(cell, results), metric
    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=4)
    theirs = harness_samples(model, tasks)
    for name, (results, frame, metric) in ours.items():
        samples = theirs[name]
        assert len(samples) == ROWS
        for row, sample in enumerate(samples):
            expected = [response[0] for response in sample["filtered_resps"]]
            choices = len(results.logprobs[row])
            np.testing.assert_allclose(results.logprobs[row], expected[:choices], atol=1e-4)
        assert frame["score"].to_list() == [sample[metric] for sample in samples]
        if "acc_pmi" not in frame.columns:
            continue  # of partial scoring the harness has but the one metric
        columns = {"acc", "acc_norm", "acc_bytes", "acc_pmi"} - {metric}
        assert columns < set(frame.columns)
        for column in columns:
            named = column.replace("pmi", "mutual_info")
            assert frame[column].to_list() == [sample[named] for sample in samples], name
    scores = [value for results, *_ in ours.values() for row in results.logprobs for value in row]
    assert np.std(scores) > 1  # the model does tell choices apart


def test_an_empty_context_is_scored_as_the_harness_does(loaded):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from ptft.inference.engine import Engine
    from ptft.prompts.encoding import encode_examples

    rows = [{"fields": {"text": text}, "choices": ["an answer", "none"]} for text in ("", "Some")]
    ours = encode_examples(loaded.tokenizer, "{text}", [], rows, lambda row: row["choices"], 2048)
    model = HFLM(pretrained=loaded.model, tokenizer=loaded.tokenizer, batch_size=4)
    requests = [
        Instance("loglikelihood", {}, (row["fields"]["text"], " " + text), 0)
        for row in rows
        for text in row["choices"]
    ]
    expected = [score for score, _ in model.loglikelihood(requests, disable_tqdm=True)]
    np.testing.assert_allclose(np.ravel(Engine(loaded).score(ours)), expected, atol=1e-4)
