"""Metrics of `evaluate` that a study names: values of sacrebleu itself, and the sentences else."""

import numpy as np
import pytest
import sacrebleu

from ptft.evaluation.metrics import MetricError, load_metric, metric_hash, named_scores

SAID = ["the cat sat on the mat", "東京は首都です。", "it rains", "猫が窓のそばで眠る"] * 3
GOLD = ["the cat is on the mat", "東京は日本の首都です。", "it is raining", "猫は眠っている"] * 3
# In the form of the metrics of evaluate on the Hub.
CODE = """
import datasets
import evaluate
{imports}

class Named(evaluate.Metric):
    def _info(self):
        text = datasets.Value("string")
        references = {references}
        features = datasets.Features({{"predictions": text, "references": references}})
        return evaluate.MetricInfo(description="", citation="", features=features)

    def _compute(self, predictions, references, **options):
        {body}
"""


@pytest.fixture
def metric(tmp_path):
    def write(name, body, imports="", references="text", **changes):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        code = CODE.format(imports=imports, references=references, body=body)
        (folder / f"{name}.py").write_text(code)
        return {"name": name, "folder": str(folder), "options": {}, "per": "example", **changes}

    return write


CHRF = """golds = [[one for [one] in references]]
        found = sacrebleu.CHRF(**options).corpus_score(predictions, golds)
        return {"score": found.score, "beta": found.beta}"""
BLEU = """found = sacrebleu.BLEU(**options).corpus_score(predictions, [references])
        return {"score": found.score, "precisions": found.precisions}"""


def test_chrf_of_each_example_is_that_of_sacrebleu(metric):
    """Its references are lists, as are those of many metrics."""
    listed = "datasets.Sequence(text)"
    named = metric("chrf", CHRF, "import sacrebleu", listed, options={"word_order": 2})
    found = named_scores([named], SAID[:8], GOLD[:8])
    assert found == {
        "chrf": [
            sacrebleu.sentence_chrf(said, [gold], word_order=2).score
            for said, gold in zip(SAID[:8], GOLD[:8], strict=True)
        ]
    }


@pytest.mark.parametrize("count", [1, 2, 12])
def test_bleu_of_a_corpus_is_that_of_sacrebleu(metric, count):
    options = {"tokenize": "char"}
    named = metric("bleu", BLEU, "import sacrebleu", per="corpus", options=options)
    values = named_scores([named], SAID[:count], GOLD[:count])["bleu"]
    expected = sacrebleu.corpus_bleu(SAID[:count], [GOLD[:count]], **options).score
    assert np.mean(values) == pytest.approx(expected, rel=1e-12) and len(values) == count


def test_the_spread_of_a_corpus_metric_is_that_of_a_bootstrap(metric, monkeypatch):
    """Also where examples are left out in groups."""
    body = "return {'score': sum(map(len, predictions)) / sum(map(len, references)), 'n': 1}"
    named = metric("ratio", body, per="corpus")
    draw = np.random.default_rng(0)
    said = ["a" * size for size in draw.integers(1, 40, 100)]
    gold = ["b" * size for size in draw.integers(20, 40, 100)]
    over, under = np.array([*map(len, said)]), np.array([*map(len, gold)])
    rows = draw.integers(0, 100, (4000, 100))
    expected = (over[rows].sum(1) / under[rows].sum(1)).std()
    for groups in (50, 100):
        monkeypatch.setattr("ptft.evaluation.metrics.GROUPS", groups)
        values = np.array(named_scores([named], said, gold)["ratio"])
        assert values.mean() == pytest.approx(over.sum() / under.sum())
        assert values.std(ddof=1) / 10 == pytest.approx(expected, rel=0.15)


def test_values_that_a_metric_gives_by_itself_are_taken(metric):
    body = "return {'f1': [float(len(one)) for one in predictions], 'hash': 'v1'}"
    assert named_scores([metric("bert", body)], ["a", "bcd"], ["", ""]) == {"bert": [1.0, 3.0]}


def test_modules_of_a_metric_import_one_another(metric, tmp_path):
    named = metric("whole", "return {'whole': answer()}", "from .part import answer")
    (tmp_path / "whole/part.py").write_text("def answer():\n    return 42\n")
    assert named_scores([named], ["a"], ["b"]) == {"whole": [42.0]}
    before = metric_hash(named)
    (tmp_path / "whole/part.py").write_text("def answer():\n    return 43\n")
    assert metric_hash(named) != before


@pytest.mark.parametrize(
    ("body", "changes", "sentence"),
    [
        ("return {'a': 1, 'b': 2}", {}, "metric bad: its results are a, b; say which one counts"),
        ("return {'a': 'x'}", {"score": "a"}, "metric bad: found 'x', expected a number"),
        ("return {'a': float('nan')}", {}, "metric bad: found nan, expected a finite number"),
        ("return 1 / 0", {}, "metric bad: ZeroDivisionError: division by zero"),
        ("return {}", {"imports": "import none_such"}, "metric bad needs a package that is not"),
        ("return {}", {"imports": "1 / 0"}, "metric bad: ZeroDivisionError"),
    ],
)
def test_a_metric_that_can_not_be_used_is_named(metric, body, changes, sentence):
    with pytest.raises(MetricError, match=sentence):
        named_scores([metric("bad", body, **changes)], ["a"], ["b"])


def test_a_folder_without_the_metric_is_named(tmp_path):
    with pytest.raises(MetricError, match="bad.py does not exist; a metric NAME is in NAME.py"):
        load_metric("bad", tmp_path)
    (tmp_path / "bad.py").write_text("x = 1\n")
    with pytest.raises(MetricError, match="bad.py defines no evaluate.Metric"):
        load_metric("bad", tmp_path)
