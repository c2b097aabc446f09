"""The audit, on prepared splits small enough to count by hand."""

import json

import polars as pl
import pytest
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ptft.audit.checks import AuditError, check_scored, check_trained
from ptft.audit.tables import audit_tables

TEMPLATE = "{a} {b} ="


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Every word, with the space before it, is one token; so is a line break."""
    words = [f"{space}{word}" for word in "abcdefgh=" for space in ("", " ")]
    vocabulary = {word: number for number, word in enumerate(["<unk>", "<eos>", "\n", *words])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(" ?[a-h=]|\n"), behavior="isolated")
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>", unk_token="<unk>")


def example(number: int, a: str, b: str, gold: str) -> dict:
    return {"example_id": f"x-{number}", "fields": {"a": a, "b": b}, "gold": gold}


TRAIN = [example(0, "a", "b", "g"), example(1, "a", "c", "h")]
SHOTS = [example(2, "a", "d", "g"), example(3, "a", "e", "h")]
TEST = [
    example(4, "a", "b", "h"),  # a training row, whatever its label
    example(5, "a", "d", "g"),  # a row of the shots
    example(6, "a a a", "f", "g"),
]


@pytest.fixture
def data(tmp_path):
    """Prepared splits of a dataset, with the audits that preparing leaves."""
    for split, examples in {"train": TRAIN, "shots": SHOTS, "test": TEST}.items():
        folder = tmp_path / "pairs"
        folder.mkdir(exist_ok=True)
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, examples)) + "\n")
        golds = [row["gold"] for row in examples]
        audit = {
            "split": split,
            "rows": len(examples) + 1,
            "kept": len(examples),
            "drawn": len(examples),
            "dropped": {"no gold label": 1},
            "gold": {gold: golds.count(gold) for gold in sorted(set(golds))},
            "duplicates": 0,
            "empty_fields": 0,
            "warnings": [f"said of {split}"] if split == "shots" else [],
        }
        (folder / f"{split}.audit.json").write_text(json.dumps(audit))
    return tmp_path


def plan(trained=None, **changes) -> dict:
    """The check of the pairs: how they are scored, and an arm that is trained on them."""
    scoring = {
        "kind": "classification",
        "labels": ["g", "h"],
        "formats": {"default": TEMPLATE},
        "shots": [0, 2],
        "max_new_tokens": 4,
        "stop": ["\n"],
        **changes,
    }
    scored = {"dataset": "pairs", "template": TEMPLATE, "shots_seed": 0, "scoring": scoring}
    return {"scored": [scored], "trained": tuning() if trained is None else trained}


def tuning(**settings) -> dict:
    """An arm that is trained on the pairs."""
    settings = {"batch_size": 2, "max_length": 2048, "validation_examples": 0, **settings}
    spec = {"method": "full", "task": "pairs", "dataset": "pairs", "template": TEMPLATE}
    return {"full.pairs": {**spec, "settings": settings, "limits": {}}}


def audit(plan, data, tokenizer, context_length) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Run all checks; their tables."""
    place = (data, tokenizer, context_length)
    checks = [check_scored(spec, *place) for spec in plan["scored"]]
    checks += [check_trained(spec, *place) for spec in plan["trained"].values()]
    rows = [row for check in checks for row in check["splits"]]
    splits = list(dict.fromkeys((row["dataset"], row["split"]) for row in rows))
    sources = {dataset: f"someone/{dataset} (default)" for dataset, _ in splits}
    return audit_tables(checks, splits, sources, data)


def row(table: pl.DataFrame, **where) -> dict:
    [found] = table.filter(**where).to_dicts()
    return found


def test_splits_are_counted(data, tokenizer):
    splits, _ = audit(plan(), data, tokenizer, 100)
    test = row(splits, split="test")
    assert test["source"] == "someone/pairs (default), test"
    assert (test["rows"], test["kept"], test["used"]) == (4, 3, 3)
    assert (test["dropped"], test["gold"]) == ("no gold label 1", "g 2, h 1")
    assert test["largest_share"] == pytest.approx(2 / 3)
    # "a b = g" has 4 tokens, "a a a f = g" has 6
    assert (test["tokens_median"], test["tokens_max"]) == (4, 6)
    assert test["tokens_mean"] == pytest.approx(14 / 3)


def test_rows_seen_otherwise_are_found_and_warned_of(data, tokenizer, caplog):
    splits, _ = audit(plan(), data, tokenizer, 100)
    test = row(splits, split="test")
    assert (test["also_in_train"], test["also_in_shots"]) == (1, 1)
    assert "1 evaluated rows are also training rows; 1 evaluated rows are" in caplog.text
    assert row(splits, split="train")["warning"] == ""
    assert row(splits, split="shots")["warning"] == "said of shots"  # by its preparation


def test_prompts_are_measured_and_what_is_cut_is_counted(data, tokenizer):
    _, prompts = audit(plan(), data, tokenizer, 14)
    bare = row(prompts, shots=0)
    assert (bare["prompts"], bare["tokens_median"], bare["tokens_max"]) == (3, 3, 5)
    assert bare["truncated"] == 0
    # two shots of 4 tokens, two line breaks behind each, and the context: 15 or 17 tokens.
    # In 14 there is room for one shot: 4 + 2 + 3 = 9 or 11.
    cut = row(prompts, shots=2)
    assert (cut["tokens_median"], cut["tokens_max"], cut["truncated"]) == (9, 11, 3)
    assert cut["context_length"] == 14


def test_room_for_free_answers_is_measured_as_scoring_leaves_it(data, tokenizer):
    """A context that holds every prompt alone has no room for four tokens behind it."""

    def cut(**changes):
        _, prompts = audit(plan(**changes), data, tokenizer, 17)
        return row(prompts, shots=2)["truncated"]

    assert (cut(), cut(also=["free"])) == (0, 3)


def test_training_rows_that_are_cut_are_counted(data, tokenizer):
    """With its answer and EOS an example has 5 tokens; it is cut to the context if not before."""

    def counted(context, **settings):
        arms = tuning() | {"lora.pairs": tuning(**settings)["full.pairs"]}
        splits, _ = audit(plan(arms, shots=[0]), data, tokenizer, context)
        assert row(splits, split="test")["cut"] is None
        train = row(splits, split="train")
        assert train["warning"] == ""
        return train["cut"], train["unlearned"]

    assert counted(100) == (0, 0)
    assert counted(100, max_length=4) == (2, 0)
    assert counted(5) == (0, 0)
    assert counted(4) == (2, 0)


def test_a_few_rows_without_an_answer_are_warned_of(data, tokenizer, caplog):
    rows = [example(number, "a", "b", "g") for number in range(199)]
    rows.append(example(199, "a", "b b b b b b", "g"))
    for item in rows:
        item["fields"]["question"] = item["fields"].pop("b")  # which is never cut
    (data / "pairs/train.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    arm = tuning(max_length=5)
    arm["full.pairs"]["template"] = "{a}{question} ="
    splits, _ = audit({"scored": [], "trained": arm}, data, tokenizer, 100)
    train = row(splits, split="train")
    assert (train["cut"], train["unlearned"]) == (1, 1)
    assert "1 training examples keep nothing to learn and are left out" in caplog.text


def test_gold_answers_have_to_earn_their_score(data, tokenizer, caplog):
    golds = ("g h", "a\nb", "a b c d")
    rows = [{**row, "gold": gold} for row, gold in zip(TEST, golds, strict=True)]
    (data / "pairs/test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    generation = {"kind": "generation", "labels": None, "shots": [0]}

    def audited(**scoring):
        caplog.clear()
        splits, _ = audit(plan(**generation, **scoring), data, tokenizer, 100)
        return row(splits, split="test")["gold_score"], caplog.text

    earned, text = audited(stop=["\n\n"], max_new_tokens=4)
    assert earned == 1.0 and "would earn" not in text
    # "a" for "a b": recall 1/2, precision 1, F 2/3.
    earned, text = audited(stop=["\n"], max_new_tokens=4)
    assert earned == pytest.approx((1 + 2 / 3 + 1) / 3)
    assert "would earn 0.889 with stop ['\\n'] and max_new_tokens 4" in text
    # "a b c" for "a b c d": recall 3/4, F 6/7.
    earned, text = audited(stop=["\n\n"], max_new_tokens=3)
    assert earned == pytest.approx((1 + 1 + 6 / 7) / 3)
    assert "would earn" not in text  # .952
    # A gold answer without a word earns nothing, whoever says it.
    rows[1]["gold"] = "="
    (data / "pairs/test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    earned, text = audited(stop=["\n\n"], max_new_tokens=4)
    assert earned == pytest.approx(2 / 3) and "would earn 0.667" in text
    assert row(audit(plan(), data, tokenizer, 100)[0], split="test")["gold_score"] is None


@pytest.mark.parametrize(
    ("settings", "context", "sentence"),
    [
        ({"batch_size": 3}, 100, "2 training examples are fewer than batch_size=3: give more"),
        ({"validation_examples": 2}, 100, "validation_examples=2 leaves none of 2 to train on"),
        # Without its longest field "a b = g" and EOS are 4 tokens.
        ({}, 3, "2 of 2 training examples keep no completion token within max_length=3 (first:"),
    ],
)
def test_a_training_set_that_the_job_would_refuse(data, tokenizer, settings, context, sentence):
    with pytest.raises(AuditError) as refusal:
        audit({"scored": [], "trained": tuning(**settings)}, data, tokenizer, context)
    assert str(refusal.value).startswith(f"finetune.full.tasks.pairs (dataset pairs): {sentence}")


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (None, "replay_template: these rows need one, found none"),
        ("{c} =", "the template names the field 'c', which the training rows do not have: they"),
    ],
)  # fmt: skip
def test_what_can_not_be_replayed_is_refused(data, tokenizer, template, sentence):
    arm = tuning()
    arm["full.pairs"]["replay"] = {"dataset": "pairs", "template": template}
    with pytest.raises(AuditError) as refusal:
        audit(plan(arm), data, tokenizer, 100)
    assert str(refusal.value).startswith(f"finetune.full.tasks.pairs (replay of pairs): {sentence}")


def test_more_training_rows_than_there_are(data, tokenizer):
    arm = tuning()
    arm["full.pairs"]["limits"] = {"pairs": 4}
    with pytest.raises(AuditError, match="data.train: .* pairs has 3, not 4; .*: {pairs: 3}"):
        audit(plan(arm), data, tokenizer, 100)


def test_more_shots_than_rows_to_draw_them_from(data, tokenizer):
    with pytest.raises(AuditError, match="pairs, format default: 3 shots asked for, but only"):
        audit(plan(shots=[0, 3]), data, tokenizer, 100)


def test_prompts_that_are_all_the_same(data, tokenizer):
    """Whether the template names no field or its column holds the same in every row."""
    rows = [example(number, "a", "b c"[number % 2], "g") for number in range(4)]
    (data / "pairs" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    formats = {"default": "{a} ="}
    with pytest.raises(AuditError, match="pairs, format default: all 4 prompts are the same"):
        audit(plan(formats=formats), data, tokenizer, 100)
    audit(plan(formats={"default": "{b} ="}), data, tokenizer, 100)


def test_labels_that_begin_alike_are_refused(data, tokenizer):
    with pytest.raises(AuditError, match="dataset pairs: labels 'g' and 'g h' begin with the same"):
        audit(plan(labels=["g", "g h"]), data, tokenizer, 100)


def test_a_prompt_that_never_fits_is_refused(data, tokenizer):
    with pytest.raises(AuditError, match="dataset pairs, format default: example 'x-4' does not"):
        audit(plan(), data, tokenizer, 1)


def chats(folder, *questions: str) -> dict:
    """Conversations of two questions and answers each, and the plan of an arm tuned on them."""
    rows = [
        {
            "example_id": f"c-{number}",
            "messages": [
                {"role": role, "content": content}
                for role, content in [("user", question), ("assistant", "g h")] * 2
            ],
        }
        for number, question in enumerate(questions)
    ]
    (folder / "chat").mkdir()
    (folder / "chat/train.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    audit = json.loads((folder / "pairs/train.audit.json").read_text())
    (folder / "chat/train.audit.json").write_text(json.dumps({**audit, "gold": {}}))
    arm = tuning()["full.pairs"]
    arm |= {"method": "instruct", "task": "chat", "dataset": "chat", "template": None}
    return {"scored": [], "trained": {"instruct.chat": arm}}


def test_a_long_conversation_is_cut_at_its_end(data, tokenizer):
    """It learns from the turns that are left."""
    splits, _ = audit(chats(data, "a", "a b"), data, tokenizer, 33)
    found = row(splits, split="train")
    # A turn is 15 tokens and the question: twice 16, and twice 17.
    assert found["tokens_max"] == 34
    assert (found["cut"], found["unlearned"], found["warning"]) == (1, 0, "")


@pytest.fixture
def news(data):
    """A dataset of text beside the pairs: 12 tokens and 2."""
    folder = data / "news"
    folder.mkdir()
    rows = [
        {"example_id": "n-0", "text": "a b c d e f g h a b c d"},
        {"example_id": "n-1", "text": "a b"},
    ]
    (folder / "test.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    counts = {"rows": 4, "kept": 2, "drawn": 2, "dropped": {"no text": 2}, "gold": {}}
    audit = {"split": "test", **counts, "duplicates": 0, "empty_fields": 0, "warnings": []}
    (folder / "test.audit.json").write_text(json.dumps(audit))
    return data


def with_news(window=8, stride=4, file="families/news.yaml"):
    study = plan({})
    scoring = {"kind": "text", "formats": {"default": ""}, "shots": [0], "metric": "bits_per_byte"}
    scoring |= {"window": window, "stride": stride}
    news = {"dataset": "news", "template": "", "shots_seed": 0, "scoring": scoring}
    study["scored"].append(news | {"window_key": [[str(file)], ["window"]]})
    return study


def test_text_is_counted_in_documents_and_windows(news, tokenizer):
    splits, prompts = audit(with_news(), news, tokenizer, 100)
    found = row(splits, dataset="news")
    assert (found["rows"], found["used"], found["dropped"]) == (4, 2, "no text 2")
    assert (found["tokens_mean"], found["tokens_max"]) == (7, 12)
    assert (found["gold"], found["largest_share"], found["warning"]) == ("", None, "")
    # 12 tokens: 8, then 4 behind as much context as fits; 2 tokens behind an end token.
    windows = row(prompts, dataset="news")
    assert (windows["prompts"], windows["tokens_max"], windows["truncated"]) == (3, 8, 0)
    assert (windows["format"], windows["shots"], windows["tokens_median"]) == ("default", 0, 8)


def test_a_window_beyond_the_context_is_refused(news, tokenizer):
    file = news / "news.yaml"
    file.write_text("kind: text\nwindow: 101\n")
    with pytest.raises(AuditError, match=f"{file}:2: window: found a window of 101 tokens for dat"):
        audit(with_news(window=101, file=file), news, tokenizer, 100)
