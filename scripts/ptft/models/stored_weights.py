"""The weights in a model folder's files, read one at a time."""

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from ptft.models.folder import weight_files


class StoredWeights(Mapping[str, torch.Tensor]):
    """Name -> weight, on the CPU in the files' precision; each look-up reads the file again.

    Raises:
        KeyError: the files have no weight of the name (a tied one is stored once).
    """

    def __init__(self, folder: Path) -> None:
        self._files = {name: file for file in weight_files(folder) for name in _names(file)}

    def __getitem__(self, name: str) -> torch.Tensor:
        file = self._files[name]
        if file.suffix != ".safetensors":
            return _pickled(file)[name]
        with safe_open(file, framework="pt") as weights:
            return weights.get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _names(file: Path) -> list[str]:
    if file.suffix != ".safetensors":
        return list(_pickled(file))
    with safe_open(file, framework="pt") as weights:
        return list(weights.keys())


def _pickled(file: Path) -> dict[str, torch.Tensor]:
    mapped = zipfile.is_zipfile(file)  # files of before torch 1.6 are none, and read whole
    return torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
