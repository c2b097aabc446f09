"""Parity with lm-evaluation-harness on text: windows, log-likelihoods and its task ``wikitext``."""

from pathlib import Path

import golden
import pytest
from lm_eval.utils import get_rolling_token_windows
from tiny_models import sentences, tiny_olmo, tiny_tokenizer

from ptft.data.prepare import prepare
from ptft.evaluation.cells import CellRequest
from ptft.evaluation.results import to_frame
from ptft.evaluation.scoring import evaluate_cell
from ptft.inference.engine import Engine
from ptft.models.loading import wrap_model
from ptft.prompts.tokens import rolling_windows

CONTEXT = 64
# What the harness's detokenizer rewrites, in pages as WikiText has them.
MARKS = (
    " \n = Some page = \n \n = = Part = = \n It was , in the 1 @,@ 000 @.@ 5 @-@ day 's way , "
    "\" good \" ( so ) [ it ] ; and : { no } ! or ? N men ' said ' the boys ' dog . At 20 ° . \n"
)


@pytest.mark.parametrize("length", [1, 3, 8, 9, 16, 17, 40])
@pytest.mark.parametrize(("window", "stride"), [(2, 1), (8, 8), (8, 3), (9, 1), (64, 64)])
def test_windows_are_the_harness_ones(length, window, stride):
    ids = list(range(100, 100 + length))
    theirs = get_rolling_token_windows(ids, 7, window, window - stride + 1)
    ours = list(rolling_windows(ids, 7, window, stride))
    assert [(found.read, found.scored) for found in ours] == list(theirs)
    assert [token for found in ours for token in found.scored] == ids


def wikitext_task(pages):
    """The harness's own task over given pages."""
    import datasets
    import lm_eval.tasks
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    config = load_yaml(Path(lm_eval.tasks.__file__).parent / "wikitext/wikitext.yaml")
    del config["task"]
    rows = datasets.Dataset.from_list([{"page": page} for page in pages])
    return ConfigurableTask(
        config=config
        | {
            "task": "wikitext",
            "custom_dataset": lambda **_: datasets.DatasetDict({"test": rows}),
            "training_split": None,
            "validation_split": None,
        }
    )


def test_bits_per_byte_are_those_of_the_harness_wikitext():
    """Ours count the bytes of what is scored, the harness's those of the page before a rewrite."""
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    pages = [MARKS + text for text in sentences(4, 200, seed=6)] + sentences(2, 30, seed=7)
    tokenizer = tiny_tokenizer()
    loaded = wrap_model(tiny_olmo(len(tokenizer), CONTEXT), tokenizer)
    task = wikitext_task(pages)
    model = HFLM(pretrained=loaded.model, tokenizer=tokenizer, batch_size=2, max_length=CONTEXT)
    group = {"tasks": {"wikitext": task}, "groups": {}, "group_map": {}}
    theirs = evaluate(model, group, bootstrap_iters=0, log_samples=True)
    expected = theirs["results"]["wikitext"]["bits_per_byte,none"]

    dataset = golden.families()["text"].datasets["wikitext_103"]
    spec = {"kind": "text", "split": "test", "limit": None, "seed": 0}
    described = dataset.model_dump(exclude_none=True)
    rows, _ = prepare([{"page": page} for page in pages], spec | {"dataset": described}, "w-test")
    samples = sorted(theirs["samples"]["wikitext"], key=lambda sample: sample["doc_id"])
    assert [row["text"] for row in rows] == [sample["target"] for sample in samples]
    assert rows[0]["text"] != pages[0]

    cell = CellRequest("w", "default", 0, "text", "", window=CONTEXT, stride=CONTEXT)
    frame = to_frame(cell, evaluate_cell(Engine(loaded), cell, rows, []))
    nats = [-sample["bits_per_byte"][0] for sample in samples]
    assert frame["nats"].to_list() == pytest.approx(nats, rel=1e-5)
    rewritten = frame["bytes"].sum() / sum(len(page.encode()) for page in pages)
    assert rewritten < 0.999
    assert frame["score"].mean() * rewritten == pytest.approx(expected, rel=1e-5)


def test_a_tokenizer_with_a_bos_begins_with_one():
    """One BOS in front, none scored: the harness scores one as well if it is not told."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
    from tokenizers.processors import TemplateProcessing

    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<|padding|>"})
    tokenizer._tokenizer.post_processor = TemplateProcessing(
        single="<|padding|> $A", special_tokens=[("<|padding|>", tokenizer.bos_token_id)]
    )
    assert tokenizer("bada")["input_ids"][0] == tokenizer.bos_token_id
    loaded = wrap_model(tiny_olmo(len(tokenizer), CONTEXT), tokenizer)
    texts = sentences(5, 100, seed=8)
    model = HFLM(
        pretrained=loaded.model,
        tokenizer=tokenizer,
        batch_size=2,
        max_length=CONTEXT,
        add_bos_token=False,
    )
    requests = [Instance("loglikelihood_rolling", {}, (text,), 0) for text in texts]
    expected = model.loglikelihood_rolling(requests, disable_tqdm=True)
    cell = CellRequest("w", "default", 0, "text", "", window=CONTEXT, stride=CONTEXT)
    rows = [{"example_id": text, "text": text} for text in texts]
    found = evaluate_cell(Engine(loaded), cell, rows, []).extra["nats"]
    assert found == pytest.approx([-value for value in expected], rel=1e-5)
