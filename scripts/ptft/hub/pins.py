"""Pins: the exact files behind a name, so that the next run reads the same bytes."""

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Literal

from ptft.models.folder import hash_files, weight_files, weights_among

SUFFIX = ".pin.json"
CONVERTED = "converted.json"
"""in a model's folder, what its files were converted from"""
BLOCK = 1 << 20
SAMPLE = 1 << 16  # bytes of a file
SAMPLES = 16


GROUPS = ("step", "tokens", "unit", "index")
"""of patterns of names: an optimizer step, tokens and their unit, a count of checkpoints"""
UNITS = {"": 10**9, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


def place_in_name(
    pattern: str | None, name: str
) -> tuple[int | None, int | None, int | None] | None:
    """Step, tokens and index that the name of a branch or folder says.

    Args:
        pattern: with some of ``GROUPS``; tokens without a unit are billions.

    Returns:
        None if the name does not match the pattern.
    """
    found = re.fullmatch(pattern, name) if pattern else None
    if found is None:
        return None
    said = {key: text for key, text in found.groupdict().items() if text}
    try:
        step, index = (int(said[key]) if key in said else None for key in ("step", "index"))
        unit = UNITS[said.get("unit", "").upper()[:1]]
        tokens = int(Decimal(said["tokens"]) * unit) if "tokens" in said else None
    except (ArithmeticError, KeyError, ValueError):  # a group of other things than numbers
        return None
    return step, tokens, index


@dataclass(frozen=True)
class PinnedFile:
    """A file of a repository.

    Attributes:
        path: in the repository.
        size: bytes.
        algorithm: as the Hub publishes it: ``sha256`` for large files, ``git`` (the SHA-1 of a
            git blob) for others.
        digest: hexadecimal.
        repository, commit: where it is, if not where the pin's other files are (a tokenizer).
    """

    path: str
    size: int
    algorithm: Literal["sha256", "git"]
    digest: str
    repository: str | None = None
    commit: str | None = None

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
        kind: ``model``, ``dataset``, or ``space``, which holds a metric.
        revision: the branch that the name was resolved to.
        commit: its commit at that time.
        files: what is fetched.
        step, tokens: a checkpoint's place in pre-training, if its name contains it.
        reference: what the study's files say of it; a pin of another one is looked up again.
        sizes: of a model's parts, as its config.json names them.
    """

    repository: str
    kind: Literal["model", "dataset", "space"]
    revision: str
    commit: str
    files: tuple[PinnedFile, ...]
    step: int | None = None
    tokens: int | None = None
    reference: dict | None = None
    sizes: dict | None = None

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def places(self) -> dict[str, PinnedFile]:
        """Path in the fetched folder -> file; a dataset's paths start below the common folder."""
        if self.kind == "model":
            return {os.path.basename(file.path): file for file in self.files}
        common = os.path.commonpath([os.path.dirname(file.path) for file in self.files])
        return {os.path.relpath(file.path, common or "."): file for file in self.files}

    def expected(self, folder: Path) -> dict[str, PinnedFile]:
        """Path in a fetched folder -> what should be there.

        Of a model that was converted after it was fetched, these are the converted files.
        """
        places, note = self.places(), folder / CONVERTED
        if not note.exists():
            return places
        made = json.loads(note.read_text())
        if made["from"] != {place: file.digest for place, file in places.items()}:
            return places
        return {name: PinnedFile(name, **file) for name, file in made["files"].items()}

    def differences(self, folder: Path) -> dict[str, str]:
        """Path in a fetched folder -> how the file there differs; empty if all are as expected."""
        found = {
            place: file.mismatch(folder / place) if (folder / place).is_file() else "is not there"
            for place, file in self.expected(folder).items()
        }
        return {place: wrong for place, wrong in found.items() if wrong}

    def note_conversion(self, folder: Path) -> None:
        """Note beside a model's files what they were converted from (see ``expected``)."""
        files = {
            path.name: {
                "size": path.stat().st_size,
                "algorithm": "sha256",
                "digest": _digest(path, "sha256"),
            }
            for path in sorted(folder.iterdir())
        }
        made_of = {place: file.digest for place, file in self.places().items()}
        note = json.dumps({"from": made_of, "files": files}, indent=2)
        (folder / CONVERTED).write_text(note + "\n")

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


# Equal weights ------------------------------------------------------------------------------------


class TwinsError(ValueError):
    """Checkpoints have the same weights, byte for byte; the message names them.

    It happens on the Hub (allenai/OLMo#915): a branch was uploaded twice, so that each curve would
    have one point twice, under two names.
    """


class ArchitectureError(ValueError):
    """Checkpoints of one study are of different architectures; the message names them."""


def refuse_twins(checkpoints: Mapping[str, Pin | Path], allowed: Collection[str]) -> None:
    """Refuse checkpoints with equal weights.

    Args:
        checkpoints: name -> pin, whose hashes are compared, or model folder, which is read:
            completely only if a sample is equal.
        allowed: names of checkpoints that may equal another.

    Raises:
        TwinsError: two that are not in ``allowed`` are equal.
    """
    pins = {name: found for name, found in checkpoints.items() if isinstance(found, Pin)}
    folders = {name: found for name, found in checkpoints.items() if isinstance(found, Path)}
    twins = _equal(pins, lambda name: _pinned_weights(pins[name]))
    for alike in _equal(folders, lambda name: _sample(folders[name])):
        twins += _equal(alike, lambda name: hash_files(weight_files(folders[name])))
    for names in twins:
        if sum(name not in allowed for name in names) > 1:
            raise TwinsError(
                f"checkpoints {' and '.join(names)} hold the same weights, byte for byte: expected "
                f"a different point of pre-training each. Leave one out, or correct its `branch` "
                "in the model's file; if it is meant, set `same_weights: "
                f"[{names[-1]}]` in the study"
            )


def refuse_other_architectures(checkpoints: Mapping[str, Pin]) -> None:
    """Refuse checkpoints whose sizes differ from those of the first: curves would compare models.

    Args:
        checkpoints: name -> pin.

    Raises:
        ArchitectureError: naming both, and the size.
    """
    told = {name: pin.sizes for name, pin in checkpoints.items() if pin.sizes}
    first = next(iter(told), "")
    for name, sizes in told.items():
        for key in sorted(told[first].keys() & sizes.keys()):
            if sizes[key] != told[first][key]:
                raise ArchitectureError(
                    f"checkpoint {name} is of another architecture than {first}: its config.json "
                    f"has {key}: {sizes[key]}, not {told[first][key]}; leave it out, or correct "
                    "its `branch` or `repository` in the model's file"
                )


def unresolved(references: Mapping[str, dict]) -> list[str]:
    """Pins that are not there, or of something else than the study's files name now.

    Args:
        references: path of a pin -> what it is for (``ptft.hub.resolve.Reference``).
    """

    def known(path: Path, reference: dict) -> bool:
        return path.exists() and json.loads(path.read_text()).get("reference") == reference

    return [path for path, reference in references.items() if not known(Path(path), reference)]


def _equal(names: Iterable[str], key: Callable[[str], Hashable]) -> list[list[str]]:
    """Groups of two or more names with the same key."""
    groups: dict[Hashable, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _pinned_weights(pin: Pin) -> Hashable:
    files = {file.path: file.digest for file in pin.files}
    return tuple(files[name] for name in weights_among(files) if not name.endswith(".json"))


def _sample(folder: Path) -> Hashable:
    """Sizes of a folder's weights and pieces of their contents, spread evenly."""
    return tuple(_pieces(file) for file in weight_files(folder))


def _pieces(file: Path) -> tuple[int, bytes]:
    size = file.stat().st_size
    with file.open("rb") as content:
        pieces = []
        for number in range(SAMPLES):
            content.seek(number * size // SAMPLES)
            pieces.append(content.read(SAMPLE // SAMPLES))
    return size, b"".join(pieces)
