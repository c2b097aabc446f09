"""The pocket world: the same for the same seed, its splits apart, its classes and cues balanced."""

import re
from collections import Counter

import pytest

from ptft.pocket.corpus import SPLITS, held_out_documents, write_documents
from ptft.pocket.tasks import CHOICES, DATASETS, TEST_ROWS, draw_dataset, write_datasets
from ptft.pocket.tokenizer import LABELS
from ptft.pocket.world import SCALES, build_world

NAMES = (*DATASETS, *CHOICES)
PAIRS = {
    "nli": ("premise", "hypothesis"),
    "nli_ood": ("premise", "hypothesis"),
    "paraphrase": ("sentence1", "sentence2"),
    "paraphrase_ood": ("sentence1", "sentence2"),
}


@pytest.fixture(scope="module")
def world():
    return build_world(0)


@pytest.fixture(scope="module")
def rows(world):
    return {name: draw_dataset(world, name) for name in NAMES}


def words_of(row) -> set[str]:
    text = " ".join(str(value) for value in row.values())
    return set(re.findall(r"[A-Za-z]+", text))


def scale_words(scales) -> set[str]:
    return {word for number in scales for end in SCALES[number].ends for word in end}


def test_same_seed_same_bytes(tmp_path):
    for folder in ("one", "two"):
        world = build_world(3)
        write_datasets(world, tmp_path / folder)
    files = sorted(path.relative_to(tmp_path / "one") for path in tmp_path.glob("one/**/*.parquet"))
    assert len(files) == 2 * len(NAMES)
    assert str(files[0]) == "datasets/pocket/facts/default/test-00000-of-00001.parquet"
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    assert write_documents(build_world(3), 300) == write_documents(build_world(3), 300)
    assert write_documents(build_world(3), 300) != write_documents(build_world(4), 300)


@pytest.mark.parametrize("name", NAMES)
def test_no_row_comes_twice_nor_in_both_splits(rows, name):
    train = [repr(row) for row in rows[name]["train"]]
    test = [repr(row) for row in rows[name]["test"]]
    assert len(test) == TEST_ROWS
    assert len(train) >= 50
    assert len(set(train + test)) == len(train) + len(test)


@pytest.mark.parametrize("name", CHOICES)
def test_multiple_choice_contexts_are_apart_and_have_one_right_choice(rows, name):
    contexts = [row["context"] for split in rows[name].values() for row in split]
    assert len(contexts) == len(set(contexts))
    for row in rows[name]["test"]:
        assert len(set(row["choices"])) == 4
        assert 0 <= row["answer"] < 4
    places = Counter(row["answer"] for row in rows[name]["test"])
    assert max(places.values()) < 0.45 * TEST_ROWS


@pytest.mark.parametrize("name", DATASETS)
def test_knowledge_is_held_out(world, rows, name):
    """No adjective of a test row occurs in any row of the train split, nor the other way."""
    seen = set().union(*(words_of(row) for row in rows[name]["train"]))
    asked = set().union(*(words_of(row) for row in rows[name]["test"]))
    assert not asked & scale_words(world.train_scales)
    assert not seen & scale_words(world.test_scales)
    assert asked & scale_words(world.test_scales)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_and_cues_are_balanced(rows, name, split):
    found = rows[name][split]
    labels = Counter(row["label"] for row in found)
    assert len(labels) == (3 if name.startswith("nli") else 2)
    assert len(set(labels.values())) == 1
    first, second = PAIRS[name]
    # Every first sentence, and every second sentence but for its adjective, comes as often under
    # each label: neither they, nor their lengths, nor the words shared tell the label.
    adjectives = "|".join(sorted(scale_words(range(len(SCALES)))))
    for column, pattern in ((first, None), (second, rf"\ban? ({adjectives})\b|\b({adjectives})\b")):
        by_label = {
            label: Counter(
                re.sub(pattern, "*", row[column]) if pattern else row[column]
                for row in found
                if row["label"] == label
            )
            for label in labels
        }
        assert len({frozenset(counts.items()) for counts in by_label.values()}) == 1


def test_nli_labels_mean_what_they_say(rows):
    for row in rows["nli"]["test"]:
        ends = {word: (i, e) for i, s in enumerate(SCALES) for e in (0, 1) for word in s.ends[e]}
        (one,) = words_of({"text": row["premise"]}) & set(ends)
        (other,) = words_of({"text": row["hypothesis"]}) & set(ends)
        relation = {
            (True, True): 0,  # the same end of a scale: entailment
            (True, False): 2,  # its two ends: contradiction
            (False, False): 1,  # two scales: neutral
        }
        alike = (ends[one][0] == ends[other][0], ends[one] == ends[other])
        assert row["label"] == relation[alike]
        assert one != other


def test_label_words_never_occur_in_the_corpus(world):
    said = set(re.findall(r"\w+", " ".join(write_documents(world, 20_000)).lower()))
    assert not said & {*LABELS, "summary", "question", "input", "inference", "paraphrase"}


def test_held_out_text_is_of_the_corpus_make_and_not_in_it(world):
    corpus = write_documents(world, 5000)
    splits = held_out_documents(world, corpus)
    assert {split: len(documents) for split, documents in splits.items()} == SPLITS
    documents = [document for split in splits.values() for document in split]
    assert len(set(documents)) == len(documents) and not set(documents) & set(corpus)
    assert splits == held_out_documents(world, corpus)
    words = {word for text in corpus for word in text.split()}
    new = [word for text in documents for word in text.split() if word not in words]
    assert len(new) < 0.01 * len(documents)
