"""The tokenizer that data is checked with: that of the models, read without torch."""

import json
import subprocess
import sys

import pytest
from tiny_models import sentences, tiny_olmo, tiny_tokenizer
from transformers import AutoTokenizer

from ptft.audit.tokenizers import read_tokenizer, take_tokenizer


@pytest.mark.parametrize("kind", [None, "GPT2Tokenizer", "GPTNeoXTokenizer", "LlamaTokenizer"])
def test_texts_are_checked_as_the_tokens_that_models_read(kind, tmp_path):
    checkpoint, note = tmp_path / "model", tmp_path / "checks/tokenizer.json"
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(checkpoint)
    tiny_olmo(len(tokenizer), context=64).save_pretrained(checkpoint)
    settings = checkpoint / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"tokenizer_class": kind}))

    take_tokenizer(checkpoint, note)
    known, length = read_tokenizer(note)
    expected = AutoTokenizer.from_pretrained(checkpoint)
    texts = [*sentences(20, 8), "", " yes", "\n no", "<|endoftext|> maybe"]
    assert type(known) is type(expected)
    assert known(texts)["input_ids"] == expected(texts)["input_ids"]
    assert length == 64


def test_checks_import_no_torch(tmp_path, repository):
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    note = {"sha256": "", "kind": "PreTrainedTokenizerFast", "context_length": 64, "checkpoint": ""}
    (tmp_path / "tokenizer.json").write_text(json.dumps(note))
    asked = (
        "import sys; from pathlib import Path; import ptft.audit.tables;"
        f"ptft.audit.tables.read_tokenizer(Path({str(tmp_path / 'tokenizer.json')!r}));"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", asked]
    done = subprocess.run(command, cwd=repository / "scripts", capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
