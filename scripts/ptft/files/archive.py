"""One file with all that a study's tables, figures and pages are made from, and with them.

Its members lie as in `results/{study}`. The first, ``archive.json``, says what the archive is: its
format, the versions of the stages that computed the results, the SHA-256 of every other member.
The second is the resolved study.
"""

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ptft import versions

FORMAT = 1
"""raise it when what is in an archive, or how it is read, changes"""
MANIFEST, STUDY = "archive.json", "study.yaml"


class ArchiveError(ValueError):
    """A file is no archive of a study, or not one that this workflow can read."""


@dataclass(frozen=True)
class Manifest:
    """What an archive says of itself."""

    format: int
    study: str
    versions: dict[str, int]
    """stage -> version that computed the results"""
    members: dict[str, str]
    """path -> SHA-256"""


def stage_versions() -> dict[str, int]:
    """Stage -> version of the code as it is."""
    return {
        "data": versions.DATA_VERSION,
        "training": versions.TRAINING_VERSION,
        "scoring": versions.SCORING_VERSION,
        "pocket": versions.POCKET_VERSION,
    }


def write_archive(study: str, files: Mapping[str, Path], output: Path) -> None:
    """Write the archive of a study; the same files give the same bytes.

    Args:
        study: its name.
        files: path in the archive -> file; ``STUDY`` must be among them.
        output: the archive, `.tar.gz`.
    """
    contents = {name: file.read_bytes() for name, file in sorted(files.items())}
    digests = {name: _digest(content) for name, content in contents.items()}
    manifest = Manifest(FORMAT, study, stage_versions(), digests)
    first = {
        MANIFEST: json.dumps(asdict(manifest), indent=1).encode(),
        STUDY: contents.pop(STUDY),
    }
    draft = output.with_name(f".{output.name}")
    with (
        draft.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for name, content in {**first, **contents}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    draft.replace(output)


def read_head(archive: Path) -> tuple[Manifest, bytes]:
    """What an archive says of itself, and the resolved study; the rest is not read.

    Raises:
        ArchiveError: naming the archive, what was found and what was expected.
    """

    def head(tar: tarfile.TarFile) -> tuple[Manifest, bytes]:
        manifest = _manifest(archive, _next(archive, tar, MANIFEST))
        study = _next(archive, tar, STUDY)
        _check(archive, manifest, STUDY, study)
        return manifest, study

    return _opened(archive, head)


def unpack(archive: Path, wanted: Callable[[str], bool], folder: Path) -> None:
    """Write members of an archive into a folder, each checked against its SHA-256.

    Nothing is written outside the folder: links and paths that lead elsewhere are refused.

    Raises:
        ArchiveError: naming the archive and the member.
    """
    manifest, _ = read_head(archive)

    def members(tar: tarfile.TarFile) -> None:
        missing = {name for name in manifest.members if wanted(name)}
        for member in tar:
            if not wanted(member.name):
                continue
            if not member.isfile() or member.name not in missing or not _inside(member.name):
                raise ArchiveError(f"{archive}: member {member.name!r} does not belong there")
            content = _content(tar, member)
            _check(archive, manifest, member.name, content)
            missing.discard(member.name)
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        if missing:
            raise ArchiveError(f"{archive}: no member {min(missing)!r}, which {MANIFEST} lists")

    _opened(archive, members)


def _opened(archive: Path, read: Callable[[tarfile.TarFile], Any]) -> Any:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            return read(tar)
    except (tarfile.TarError, EOFError, OSError) as error:
        why = getattr(error, "strerror", None) or f"not a whole .tar.gz file ({error})"
        raise ArchiveError(f"{archive}: {why}; `snakemake export` writes one") from None


def _next(archive: Path, tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.next()
    if member is None or member.name != name or not member.isfile():
        found = "nothing" if member is None else repr(member.name)
        raise ArchiveError(
            f"{archive}: found {found}, expected {name!r} as one of the first two members: this is "
            "no archive that `snakemake export` wrote"
        )
    return _content(tar, member)


def _manifest(archive: Path, content: bytes) -> Manifest:
    try:
        found = json.loads(content)
        if found["format"] == FORMAT:
            return Manifest(**found)
        told = f"format {found['format']!r}"
    except (ValueError, TypeError, KeyError):
        told = "something else"
    raise ArchiveError(
        f"{archive}: {MANIFEST}: found {told}, expected format {FORMAT}; read it with the version "
        "of the workflow that wrote it"
    )


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # a regular file
    return file.read()


def _check(archive: Path, manifest: Manifest, name: str, content: bytes) -> None:
    found, expected = _digest(content), manifest.members.get(name)
    if found != expected:
        raise ArchiveError(
            f"{archive}: member {name!r}: found SHA-256 {found}, expected {expected}; the file is "
            "damaged or was changed: get it again"
        )


def _inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
