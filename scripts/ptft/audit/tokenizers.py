"""The tokenizer that a study's data is checked with: a copy of a checkpoint's.

The checks hang on the copy's hash and not on a checkpoint, so that a study may drop or add one
without checking all of its data again, and training again what hangs on the checks.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from ptft.models.folder import CONFIG, TOKENIZER, copy_tokenizer, hash_files
from ptft.paths import Results


@dataclass(frozen=True)
class TokenizerNote:
    """Facts of the tokenizer that the checks need.

    Attributes:
        sha256: of the tokenizer's files.
        context_length: tokens that the model reads at most.
    """

    sha256: str
    context_length: int


def tokenizer_hash(folder: Path) -> str:
    """SHA-256 of a model folder's tokenizer."""
    return hash_files(folder / name for name in TOKENIZER if (folder / name).exists())


def take_tokenizer(checkpoint: Path, note: Path) -> None:
    """Copy a checkpoint's tokenizer into the folder beside its note, and write that.

    Raises:
        ValueError: the checkpoint can't be loaded or scored; its weights are not read.
    """
    from ptft.models.loading import load_model, load_tokenizer, wrap_model

    model = wrap_model(load_model(checkpoint, device="meta"), load_tokenizer(checkpoint))
    folder = note.with_suffix("")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    copy_tokenizer(checkpoint, folder)
    # It names the tokenizer's class.
    shutil.copyfile(checkpoint / CONFIG, folder / CONFIG)
    found = TokenizerNote(tokenizer_hash(folder), model.max_length)
    note.write_text(json.dumps({**asdict(found), "checkpoint": str(checkpoint)}, indent=1) + "\n")


def tokenizer_wanted(results: Results) -> bool:
    """Whether there is no copy, or the checkpoint that it was taken from has another one now."""
    note = Path(results.tokenizer)
    if not note.exists():
        return True
    known = json.loads(note.read_text())
    checkpoint = Path(known["checkpoint"])
    return checkpoint.is_dir() and tokenizer_hash(checkpoint) != known["sha256"]
