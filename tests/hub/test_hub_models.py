"""A fetched folder must be a model that loads: refused with a reason before any job needs it."""

import json

import pytest
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny import save_tiny_checkpoint

from ptft.hub.check import check_checkpoint
from ptft.hub.client import HubError


@pytest.fixture
def checkpoint(tmp_path):
    return save_tiny_checkpoint(tmp_path / "checkpoint")


def edit_weights(folder, edit) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def edit_config(folder, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda w: w.pop("model.layers.1.mlp.up_proj.weight"),
            "missing_keys.*layers.1.mlp.up_proj",
        ),
        (lambda w: w.update(extra=torch.zeros(2)), "unexpected_keys: .'extra'"),
        (
            lambda w: w.update({"model.layers.0.mlp.up_proj.weight": torch.zeros(3, 5)}),
            "mismatched_keys.*layers.0.mlp.up_proj",
        ),
    ],
    ids=["missing", "left over", "other shape"],
)
def test_weights_that_do_not_fit_are_refused(checkpoint, edit, message):
    edit_weights(checkpoint, edit)
    with pytest.raises(HubError, match=message):
        check_checkpoint(checkpoint)


def huge_header(weights: bytes) -> bytes:
    return (2**60).to_bytes(8, "little") + weights[8:]


def lying_header(weights: bytes) -> bytes:
    """Says of the last weight that it ends far behind the file."""
    size = int.from_bytes(weights[:8], "little")
    header = json.loads(weights[8 : 8 + size])
    next(reversed(header.values()))["data_offsets"][1] = 2**40
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + weights[8 + size :]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", huge_header, "cut short or no file of safetensors"),
        ("model.safetensors", lying_header, "cut short or no file of safetensors"),
        ("pytorch_model.bin", b"<html>", "a .bin file is not one of PyTorch's, or holds more than"),
        ("pytorch_model.bin", b"", r"can't be loaded \(EOFError"),
        ("pytorch_model.bin", b"PK\3\4" + bytes(99), r"can't be loaded \(RuntimeError"),
        ("config.json", b"[]", "config.json holds a list, expected a JSON object"),
        ("config.json", b"<html>", "config.json is no JSON"),
        ("model.safetensors.index.json", b"{}", "index.json has no `weight_map`"),
    ],
)
def test_a_file_that_is_not_what_it_is_called_is_named(checkpoint, name, content, message):
    weights = checkpoint / "model.safetensors"
    text = content(weights.read_bytes()) if callable(content) else content
    if name.endswith(".bin"):
        weights.unlink()
    (checkpoint / name).write_bytes(text)
    with pytest.raises(HubError, match=message) as error:
        check_checkpoint(checkpoint)
    assert str(checkpoint) in str(error.value) and len(str(error.value).splitlines()) == 1


def test_code_of_a_repository_is_never_run(checkpoint):
    edit_config(checkpoint, model_type="hf_olmo", auto_map={"AutoModel": "modeling.Model"})
    with pytest.raises(HubError, match="'hf_olmo' is not known to transformers and brings code of"):
        check_checkpoint(checkpoint)


def test_a_model_that_does_not_write_text_is_refused(checkpoint):
    edit_config(checkpoint, model_type="vit")
    with pytest.raises(HubError, match="'vit' is not a causal language model"):
        check_checkpoint(checkpoint)


def test_a_checkpoint_without_tokenizer_is_refused(checkpoint):
    for path in checkpoint.glob("token*"):
        path.unlink()
    with pytest.raises(HubError, match="has no tokenizer: expected tokenizer.json or"):
        check_checkpoint(checkpoint)


def split_digits(folder) -> dict:
    """A tokenizer of bytes whose file splits digits apart, though it knows the token 12."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate(["<eos>", *letters, "12"])}
    inner = Tokenizer(models.BPE(vocabulary, [("1", "2")]))
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.save(str(folder / "tokenizer.json"))
    return {"eos_token": "<eos>"}


def test_a_tokenizer_that_is_read_as_another_is_refused(tmp_path):
    """As OLMo-2's under a generic class: transformers makes GPT-2's rules of its vocabulary."""
    checkpoint = save_tiny_checkpoint(tmp_path / "checkpoint", vocab_size=258)
    settings = split_digits(checkpoint)
    written = checkpoint / "tokenizer_config.json"
    written.write_text(json.dumps({**settings, "tokenizer_class": "PreTrainedTokenizerFast"}))
    assert check_checkpoint(checkpoint) is None
    written.write_text(json.dumps({**settings, "tokenizer_class": "GPT2Tokenizer"}))
    with pytest.raises(HubError) as refusal:
        check_checkpoint(checkpoint)
    assert "the tokens from 2 on are ['12', 'Ġ', '3', '4'], not ['1', '2', 'Ġ', '3']" in str(
        refusal.value
    )
    for package in (tokenizers, transformers):
        assert f"{package.__name__} {package.__version__}" in str(refusal.value)
