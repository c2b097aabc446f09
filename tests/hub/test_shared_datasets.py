"""Every dataset of the paper, real rows, read through its family file."""

import golden
import pytest
from slice_files import slice_file

pytestmark = pytest.mark.shared

# dataset, use: rows, dropped, gold answers (none for generation), duplicates, empty fields
EXPECTED = {
    ("mnli_matched", "train"): (6000, 0, (2038, 2010, 1952), 0, 0),
    ("mnli_matched", "test"): (500, 8, (165, 167, 160), 0, 0),
    ("mnli_mismatched", "shots"): (6000, 0, (2038, 2010, 1952), 0, 0),
    ("mnli_mismatched", "test"): (500, 16, (167, 170, 147), 0, 0),
    ("rte", "shots"): (500, 0, (265, 235), 0, 0),
    ("rte", "test"): (277, 0, (146, 131), 0, 0),
    ("gpt3_nli", "shots"): (64, 0, (22, 27, 15), 0, 0),
    ("gpt3_nli", "test"): (436, 0, (144, 147, 145), 1, 6),
    ("paws", "train"): (5986, 0, (3369, 2617), 0, 0),
    ("paws", "test"): (500, 0, (267, 233), 0, 0),
    ("qqp", "shots"): (64, 0, (37, 27), 0, 0),
    ("qqp", "test"): (436, 0, (247, 189), 0, 0),
    ("stsb", "shots"): (64, 0, (43, 21), 0, 0),
    ("stsb", "test"): (436, 0, (270, 166), 0, 0),
    ("socialiqa", "test"): (1954, 0, (), 19, 0),
    ("socialiqa_released", "train"): (6000, 0, (), 0, 0),
    ("socialiqa_released", "test"): (500, 0, (), 0, 0),
    ("sciq_question", "shots"): (64, 0, (), 0, 12),
    ("sciq_question", "test"): (936, 0, (), 2, 101),
    ("tweetqa", "shots"): (64, 0, (), 0, 1),
    ("tweetqa", "test"): (436, 0, (), 0, 19),
    ("xsum", "train"): (2000, 0, (), 0, 1),
    ("xsum", "test"): (500, 0, (), 0, 0),
    ("xsum_lead", "test"): (500, 0, (), 0, 0),
    ("xlsum", "shots"): (64, 0, (), 0, 0),
    ("xlsum", "test"): (436, 0, (), 0, 0),
    ("cnn_dailymail", "shots"): (64, 0, (), 0, 0),
    ("cnn_dailymail", "test"): (318, 0, (), 0, 0),
    ("arc_easy", "test"): (570, 0, (158, 152, 142, 118), 0, 0),
    ("arc_challenge", "test"): (299, 0, (64, 73, 78, 83, 1), 0, 0),
    ("piqa", "test"): (1838, 0, (910, 928), 0, 0),
    ("openbookqa", "test"): (500, 0, (126, 138, 110, 126), 0, 0),
    ("sciq", "test"): (1000, 0, (1000,), 0, 113),
    ("boolq", "test"): (3270, 0, (1237, 2033), 0, 0),
    ("hellaswag", "test"): (1002, 0, (256, 269, 241, 236), 0, 0),
    ("socialiqa_choice", "test"): (1954, 0, (643, 654, 657), 24, 0),
    ("copa", "test"): (100, 0, (55, 45), 0, 0),
    ("winogrande", "test"): (1267, 0, (628, 639), 0, 0),
    ("llmbar_natural", "shots"): (16, 0, (11, 5), 0, 0),
    ("llmbar_natural", "test"): (84, 0, (31, 53), 0, 0),
    ("llmbar_neighbor", "test"): (134, 0, (75, 59), 0, 0),
    ("llmbar_gptinst", "test"): (92, 0, (45, 47), 0, 0),
    ("llmbar_gptout", "test"): (47, 0, (22, 25), 0, 0),
    ("llmbar_manual", "test"): (46, 0, (22, 24), 0, 0),
}
FAMILIES = {dataset: family for _, family, dataset in golden.datasets()}
SCORED = [dataset for dataset, family in FAMILIES.items() if family.kind != "chat"]


@pytest.mark.parametrize(("dataset", "use"), EXPECTED)
def test_audit_of_a_split(shared, dataset, use):
    examples, audit = golden.split(shared / "hub", FAMILIES[dataset], dataset, use)
    rows, dropped, gold, duplicates, empty = EXPECTED[dataset, use]
    assert len(examples) == audit["kept"] == audit["drawn"] == rows - dropped
    assert audit["rows"] == rows
    assert audit["dropped"] == ({"no gold label": dropped} if dropped else {})
    assert tuple(audit["gold"].values()) == gold
    assert (audit["duplicates"], audit["empty_fields"]) == (duplicates, empty)


def test_every_dataset_has_its_test_split_asserted():
    assert {dataset for dataset, use in EXPECTED if use == "test"} == set(SCORED)


@pytest.mark.parametrize("dataset", SCORED)
def test_golden_prompts(shared, dataset):
    expected = (golden.FOLDER / f"{dataset}.txt").read_text()
    assert golden.rendered(shared / "hub", FAMILIES[dataset], dataset) == expected


def test_no_golden_text_is_left_over():
    assert {path.stem for path in golden.FOLDER.iterdir()} == set(SCORED)


@pytest.mark.parametrize("dataset", ["qqp", "stsb", "xlsum", "gpt3_nli", "llmbar_natural"])
def test_shots_and_test_rows_do_not_meet(shared, dataset):
    from ptft.data.prepare import content_key

    splits = [
        golden.split(shared / "hub", FAMILIES[dataset], dataset, u)[0] for u in ("shots", "test")
    ]
    shots, test = ({content_key(example) for example in split} for split in splits)
    assert not shots & test


@pytest.mark.parametrize("dataset", [d for d in SCORED if FAMILIES[d].kind == "generation"])
def test_gold_answers_are_whole_under_stop_and_length(shared, dataset):
    from transformers import AutoTokenizer

    from ptft.audit.checks import gold_score

    tokenizer = AutoTokenizer.from_pretrained(shared / "hub/models/allenai/OLMo-1B-hf")
    family = FAMILIES[dataset]
    examples, _ = golden.split(shared / "hub", family, dataset, "test")
    own = {
        "stop": family.stops(dataset),
        "max_new_tokens": family.datasets[dataset].max_new_tokens or family.max_new_tokens,
    }
    assert gold_score(tokenizer, own, examples) > 0.999
    if dataset == "cnn_dailymail":  # its summaries have several lines
        others = {"stop": family.stop, "max_new_tokens": family.max_new_tokens}
        assert gold_score(tokenizer, others, examples) == pytest.approx(0.457, abs=0.001)


def test_the_hidden_labels_of_qqp_are_refused(shared, tmp_path, capsys):
    """The defect behind the paper's 0.9999: a test split whose labels are all -1."""

    import prepare_split
    from ptft.study.load import dump

    spec = {
        "kind": "classification",
        "dataset": dump(FAMILIES["qqp"].datasets["qqp"]),
        "split": "test",
        "limit": None,
        "seed": 42,
    }
    argv = ["--root", str(shared / "hub"), "--name", "qqp-test"]
    argv += ["--spec", slice_file(tmp_path / "slice.json", spec)]
    argv += ["--output", str(tmp_path / "x"), "--audit", str(tmp_path / "y")]
    assert prepare_split.main(argv) == 1
    assert "200 rows: 200 with no gold label" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()
