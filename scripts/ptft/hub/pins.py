"""Pins: the exact files behind a name, so that the next run reads the same bytes."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SUFFIX = ".pin.json"
BLOCK = 1 << 20


@dataclass(frozen=True)
class PinnedFile:
    """A file of a repository.

    Attributes:
        path: in the repository.
        size: bytes.
        algorithm: as the Hub publishes it: ``sha256`` for large files, ``git`` (the SHA-1 of a
            git blob) for others.
        digest: hexadecimal.
    """

    path: str
    size: int
    algorithm: Literal["sha256", "git"]
    digest: str

    def mismatch(self, file: Path) -> str | None:
        """How a file on disk differs from this one; None if it is the same."""
        size = file.stat().st_size
        if size != self.size:
            return f"found {size} bytes, expected {self.size}"
        found = _digest(file, self.algorithm)
        if found != self.digest:
            return f"found {self.algorithm} {found}, expected {self.digest}"
        return None


@dataclass(frozen=True)
class Pin:
    """A commit of a repository and the files to fetch.

    Attributes:
        repository: ``owner/name``.
        kind: ``model`` or ``dataset``.
        revision: the branch that the name was resolved to.
        commit: its commit at that time.
        files: what is fetched.
        step, tokens: a checkpoint's place in pre-training, if its name contains it.
    """

    repository: str
    kind: Literal["model", "dataset"]
    revision: str
    commit: str
    files: tuple[PinnedFile, ...]
    step: int | None = None
    tokens: int | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def places(self) -> dict[str, PinnedFile]:
        """Path in the fetched folder -> file; paths start below the files' common folder."""
        common = os.path.commonpath([os.path.dirname(file.path) for file in self.files])
        return {os.path.relpath(file.path, common or "."): file for file in self.files}

    def write(self, path: Path) -> None:
        """Write the pin as JSON."""
        path.write_text(json.dumps(dataclasses.asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Pin":
        """Read a pin."""
        content = json.loads(path.read_text())
        return cls(**{**content, "files": tuple(PinnedFile(**file) for file in content["files"])})


def pinned_folder(pin: Path) -> Path:
    """The folder beside a pin file: ``x`` for ``x.pin.json``."""
    return pin.with_name(pin.name.removesuffix(SUFFIX))


def missing_bytes(pins: Iterable[Path]) -> int:
    """Bytes of all pins whose folder is not there yet."""
    return sum(Pin.read(pin).size for pin in pins if not pinned_folder(pin).exists())


def fill_in(checkpoints: dict[str, dict], pins: Iterable[Path]) -> None:
    """Fill in what a study does not say of its checkpoints from their pins."""
    for path in pins:
        pin, info = Pin.read(path), checkpoints[pinned_folder(path).name]
        for key, found in (("step", pin.step), ("tokens", pin.tokens)):
            if info.get(key) is None:
                info[key] = found


def _digest(file: Path, algorithm: str) -> str:
    if algorithm == "sha256":
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    with file.open("rb") as content:
        while block := content.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
