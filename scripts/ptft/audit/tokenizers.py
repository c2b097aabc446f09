"""The tokenizer that a study's data is checked with: a copy of a checkpoint's.

The checks hang on the copy's hash and not on a checkpoint, so that a study may drop or add one
without checking all of its data again, and training again what hangs on the checks.
"""

import json
import shutil
from pathlib import Path
from typing import Any, TypedDict

from ptft.models.folder import CONFIG, TOKENIZER, copy_tokenizer, hash_files
from ptft.paths import Results


class TokenizerNote(TypedDict):
    """Facts of the tokenizer that the checks need; the tokenizer is in the folder beside them."""

    sha256: str
    """of the tokenizer's files"""
    kind: str
    """transformers' class of it"""
    context_length: int
    """tokens that the model reads at most"""
    checkpoint: str
    """folder that it was taken from"""


def tokenizer_hash(folder: Path) -> str:
    """SHA-256 of a model folder's tokenizer."""
    return hash_files(folder / name for name in TOKENIZER if (folder / name).exists())


def take_tokenizer(checkpoint: Path, output: Path) -> None:
    """Copy the tokenizer of a checkpoint, for the checks of data; a refusal ends in an error.

    Args:
        checkpoint: model folder
        output: note to write, JSON; the tokenizer goes into a folder beside it

    Raises:
        ValueError: the checkpoint can't be loaded or scored; its weights are not read.
    """
    from ptft.models.loading import load_model, load_tokenizer, wrap_model

    tokenizer = load_tokenizer(checkpoint)
    model = wrap_model(load_model(checkpoint, device="meta"), tokenizer)
    folder = output.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy_tokenizer(checkpoint, folder)
    # It names the tokenizer's class where the tokenizer does not.
    shutil.copyfile(checkpoint / CONFIG, folder / CONFIG)
    found: TokenizerNote = {
        "sha256": tokenizer_hash(folder),
        "kind": type(tokenizer).__name__,
        "context_length": model.max_length,
        "checkpoint": str(checkpoint),
    }
    output.write_text(json.dumps(found, indent=1) + "\n")


def read_tokenizer(note: Path) -> tuple[Any, int]:
    """The tokenizer beside a note, and the context length of its model.

    Its class is named, not found: the search (AutoTokenizer) imports torch, two seconds of each
    check.
    """
    import transformers

    known: TokenizerNote = json.loads(note.read_text())
    kind = getattr(transformers, known["kind"])
    tokenizer = kind.from_pretrained(note.with_suffix(""), local_files_only=True)
    return tokenizer, known["context_length"]


def tokenizer_wanted(results: Results) -> bool:
    """Whether there is no copy, or the checkpoint that it was taken from has another one now."""
    note = Path(results.tokenizer)
    if not note.exists():
        return True
    known = json.loads(note.read_text())
    checkpoint = Path(known["checkpoint"])
    return checkpoint.is_dir() and tokenizer_hash(checkpoint) != known["sha256"]
