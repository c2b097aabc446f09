"""Resumable state: one file, replaced atomically; and how a run ends without a model.

Nothing here decides when to save. A fingerprint of all that determines the result goes with the
state; state of another run is set aside, never resumed.
"""

import contextlib
import hashlib
import json
import logging
import os
import shutil
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ptft.paths import replacing

log = logging.getLogger(__name__)


class Interrupted(Exception):
    """SIGTERM came and the state is saved: the job may be started again."""


class Diverged(Exception):
    """Training cannot go on: the loss is not finite, or worse than knowing nothing."""


class OutOfMemory(Exception):
    """Not even one example fits into memory, or several devices must start again with less."""


class StopRequest:
    """Turns SIGTERM into a flag to be looked at between two updates."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "StopRequest":
        self._before = signal.signal(signal.SIGTERM, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGTERM, self._before)

    def _note(self, *_: object) -> None:
        self.requested = True


def fingerprint(parts: Mapping[str, Any], files: list[Path]) -> str:
    """Digest of plain values (key order does not matter) and of the contents of files."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for path in files:
        with path.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


class StateFolder:
    """Keeps the latest state of one run in ``folder``/state.pt, and a limit for its next start."""

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.identity = identity
        self.file = folder / "state.pt"
        self._limit = folder / f"token_limit-{identity[:16]}"  # another run has another

    def load(self) -> dict[str, Any] | None:
        """The state saved last by a run of the same identity, or None."""
        import torch

        if not self.file.exists():
            return None
        # Mapped, so that each of several processes reads its own share of the tensors only.
        saved = torch.load(self.file, map_location="cpu", weights_only=True, mmap=True)
        if saved["identity"] != self.identity:
            log.warning("%s is of other settings or data: it is not resumed", self.file)
            return None
        return saved

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state; a failure at any moment leaves the former one whole.

        Raises:
            OSError: the state could not be written (a full disk), naming the file.
        """
        self._write(self.file, {**state, "identity": self.identity})

    def _write(self, file: Path, content: dict[str, Any]) -> None:
        import torch

        try:
            with replacing(file) as draft, draft.open("wb") as handle:
                torch.save(content, handle)
                handle.flush()
                os.fsync(handle.fileno())
        except (OSError, RuntimeError) as error:  # torch's writer wraps a full disk so
            raise OSError(f"could not save the training state to {file}: {error}") from error

    def save_best(self, step: int, weights: dict[str, Any]) -> None:
        """Keep the weights of a step beside the state, which names the best step.

        Raises:
            OSError: as :meth:`save`.
        """
        self._write(self._best(step), {"parameters": weights})

    def load_best(self, step: int) -> dict[str, Any]:
        """The weights that were kept of a step."""
        import torch

        return torch.load(self._best(step), map_location="cpu", weights_only=True, mmap=True)[
            "parameters"
        ]

    def forget_best(self, but: int | None) -> None:
        """Delete weights that were kept of other steps: no saved state asks for them."""
        for file in self.folder.glob("best-*.pt"):
            if but is None or file != self._best(but):
                file.unlink()

    def _best(self, step: int) -> Path:
        return self.folder / f"best-{step}.pt"

    def limit_tokens(self, tokens: int) -> None:
        """Limit the micro-batches of later starts of the run to this many tokens."""
        with replacing(self._limit) as draft:
            draft.write_text(str(tokens))

    def token_limit(self) -> int | None:
        """The limit that an earlier start left, or None."""
        return int(self._limit.read_text()) if self._limit.exists() else None


@contextlib.contextmanager
def finished_folder(output: Path) -> Iterator[Path]:
    """A new folder to fill; it becomes ``output`` by one rename if the block ends well."""
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(output, ignore_errors=True)
        partial.rename(output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def link_folder(source: Path, target: Path) -> None:
    """Make ``target`` a folder of hard links to the files of ``source``, by one rename.

    Files are copied where the file system has no hard links.
    """
    with finished_folder(target) as folder:
        shutil.copytree(source, folder, copy_function=_link_or_copy, dirs_exist_ok=True)


@contextlib.contextmanager
def link_files(files: Iterable[Path], target: Path) -> Iterator[Path]:
    """A folder of links to files, to add to; it becomes ``target`` if the block ends well."""
    with finished_folder(target) as folder:
        for file in files:
            _link_or_copy(str(file), str(folder / file.name))
        yield folder


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
