"""Checkpoints of a study with the same weights, byte for byte.

It happens on the Hub (allenai/OLMo#915): a branch was uploaded twice, so that each curve would have
one point twice, under two names.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from pathlib import Path

from ptft.hub.pins import SUFFIX, Pin, pinned_folder
from ptft.models.folder import hash_files, weight_files, weights_among

SAMPLE = 1 << 16  # bytes of a file
SAMPLES = 16


class TwinsError(ValueError):
    """Checkpoints have the same weights; the message names them and says what to do."""


def refuse_twins(checkpoints: Sequence[Path], allowed: Collection[str]) -> None:
    """Refuse checkpoints with equal weights.

    Args:
        checkpoints: pins, whose hashes are compared, or model folders, which are read: completely
            only if a sample is equal.
        allowed: names of checkpoints that may equal another.

    Raises:
        TwinsError: two that are not in ``allowed`` are equal.
    """
    pins = [path for path in checkpoints if path.name.endswith(SUFFIX)]
    folders = [path for path in checkpoints if path not in pins]
    twins = _equal(pins, _pinned_weights)
    for alike in _equal(folders, _sample):
        twins += _equal(alike, lambda folder: hash_files(weight_files(folder)))
    for group in twins:
        names = [_name(path) for path in group]
        if sum(name not in allowed for name in names) > 1:
            raise TwinsError(
                f"checkpoints {' and '.join(names)} hold the same weights, byte for byte: expected "
                f"a different point of pre-training each. Leave one out, or correct its `branch` "
                "in the model's file; if it is meant, set `same_weights: "
                f"[{names[-1]}]` in the study"
            )


def _name(path: Path) -> str:
    return pinned_folder(path).name if path.name.endswith(SUFFIX) else path.name


def _equal(paths: Iterable[Path], key: Callable[[Path], Hashable]) -> list[list[Path]]:
    """Groups of two or more paths with the same key."""
    groups: dict[Hashable, list[Path]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return [group for group in groups.values() if len(group) > 1]


def _pinned_weights(path: Path) -> Hashable:
    files = {file.path: file.digest for file in Pin.read(path).files}
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
