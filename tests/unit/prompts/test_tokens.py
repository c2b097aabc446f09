"""Tokens: a word-level tokenizer for exact ids, OLMo's own where real data is at hand."""

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from ptft.prompts.tokens import (
    Window,
    encode,
    encode_pairs,
    first_tokens,
    label_tokens,
    rolling_windows,
)

WORDS = ["<unk>", "<eos>", "a", "b", "c", " a", " b", " c", " ", "\n"]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """Letters are tokens, with a space before them other tokens."""
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(" ?[abc\n]"), behavior="isolated")
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<eos>", unk_token="<unk>")


def test_pairs_are_cut_from_the_whole(tokenizer):
    assert encode_pairs(tokenizer, ["a b", "c"], [" c", " a b"]) == [([2, 6], [7]), ([4], [5, 6])]


def test_an_empty_context_begins_from_bos_or_else_eos(tokenizer):
    assert encode(tokenizer, ["", "a"]) == [[1], [2]]
    assert encode_pairs(tokenizer, [""], [" a b"]) == [([1], [5, 6])]
    other = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, eos_token="<eos>", bos_token="<unk>"
    )
    assert encode(other, [""]) == [[0]]
    neither = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer)
    assert encode(neither, ["a"]) == [[2]]
    with pytest.raises(ValueError, match="no BOS or EOS token for an empty context"):
        encode_pairs(neither, [""], [" a"])


def test_a_completion_without_tokens_is_refused(tokenizer):
    with pytest.raises(ValueError, match="adds no token to the context 'a b'"):
        encode_pairs(tokenizer, ["a b"], [""])


def test_first_tokens_with_and_without_space(tokenizer):
    assert first_tokens(tokenizer, "b c") == (6, 3)
    assert label_tokens(tokenizer, ["a", "b"]) == {"a": (5, 2), "b": (6, 3)}


def test_labels_that_begin_alike_are_refused(tokenizer):
    with pytest.raises(ValueError, match="'ab' and 'ac' begin with the same sub-token"):
        label_tokens(tokenizer, ["ab", "ac"])


def test_labels_of_a_tokenizer_that_puts_a_space_before_each_text():
    """Llama 2's form: "▁" stands for a space, and for the beginning of a text."""
    vocabulary = [
        "<unk>",
        "</s>",
        "▁",
        "n",
        "o",
        "y",
        "e",
        "s",
        "no",
        "yes",
        "▁no",
        "▁yes",
        "<0x0A>",
    ]
    merges = [("n", "o"), ("y", "e"), ("ye", "s"), ("▁", "no"), ("▁", "yes")]
    words = {word: number for number, word in enumerate([*vocabulary, "ye"])}
    inner = Tokenizer(models.BPE(words, merges, unk_token="<unk>", byte_fallback=True))
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    llama = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>", unk_token="<unk>")
    assert llama.convert_ids_to_tokens(llama(" no")["input_ids"]) == ["▁", "▁no"]
    tokens = label_tokens(llama, ["no", "yes"])
    names = {label: llama.convert_ids_to_tokens(list(ids)) for label, ids in tokens.items()}
    assert names == {"no": ["▁no", "no"], "yes": ["▁yes", "yes"]}


@pytest.fixture(scope="module")
def olmo(shared):
    return AutoTokenizer.from_pretrained(shared / "hub/models/allenai/OLMo-1B-hf")


@pytest.mark.shared
def test_olmo_labels(olmo):
    """The first sub-tokens that the paper's labels have under OLMo's tokenizer."""
    tokens = label_tokens(olmo, ["entailment", "neutral", "contradiction"])
    names = {label: olmo.convert_ids_to_tokens(list(ids)) for label, ids in tokens.items()}
    assert names["entailment"] == ["Ġentail", "ent"]
    assert names["neutral"][0] == "Ġneutral"
    assert names["contradiction"][0] == "Ġcontradiction"
    assert olmo.convert_ids_to_tokens([label_tokens(olmo, ["no", "yes"])["yes"][0]]) == ["Ġyes"]


def test_windows_by_hand():
    """tests/parity/test_text_harness.py has the harness's."""
    ids = [11, 12, 13, 14, 15, 16, 17]
    assert list(rolling_windows(ids, 0, 4, 4)) == [
        Window([0, 11, 12, 13], [11, 12, 13, 14]),
        Window([13, 14, 15, 16], [15, 16, 17]),  # the last one reaches back for a full window
    ]
    assert list(rolling_windows(ids, 0, 4, 2)) == [
        Window([0, 11, 12, 13], [11, 12, 13, 14]),
        Window([12, 13, 14, 15], [15, 16]),
        Window([13, 14, 15, 16], [17]),
    ]
    assert list(rolling_windows([5], 0, 4, 2)) == [Window([0], [5])]
    assert list(rolling_windows([], 0, 4, 2)) == []
