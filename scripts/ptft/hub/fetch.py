"""From a pin to a folder: resumed, verified, moved into place in one rename.

Files come into a folder beside the target that survives a failure. ``http_get`` of
huggingface_hub resumes within a process but not after it was killed, and takes wrong bytes of
the right length for good: here a part is continued where it ends, and every file is compared
with its published hash before it counts.
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub import hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

from ptft.hub.client import HubError, patiently
from ptft.hub.pins import Pin, PinnedFile, missing_bytes

log = logging.getLogger(__name__)

# Room that is left free besides what is fetched.
SPARE = 1 << 28


def staging_folder(target: Path) -> Path:
    """Where the files of a target are gathered."""
    return target.with_name(f"{target.name}.part")


def fetch(pin: Pin, target: Path, check: Callable[[Path], None] | None = None) -> None:
    """Bring all files of a pin into a folder; what is already there in part is continued.

    Args:
        check: refuses a folder that is whole but of no use, before it counts as fetched.

    Raises:
        HubError: the Hub refuses or fails, or sends other bytes than it published hashes of.
    """
    staging = staging_folder(target)
    staging.mkdir(parents=True, exist_ok=True)
    wanted = {_flat_name(file) for file in pin.files}
    for file in pin.files:
        whole = staging / _flat_name(file)
        if whole.exists() and file.mismatch(whole) is None:
            log.info("%s is already there", file.path)
            continue
        _fetch_file(pin, file, whole)
    for leftover in staging.iterdir():
        if leftover.name not in wanted:
            leftover.unlink()
    if check:
        check(staging)
    if target.exists():
        shutil.rmtree(target)
    staging.rename(target)
    log.info("%s: %d files of %s at %s", target, len(wanted), pin.repository, pin.commit)


def check_disk(pins: Sequence[Path], folder: Path) -> None:
    """Refuse to begin what would not fit.

    Args:
        pins: of everything that the study needs.
        folder: on the disk that takes it.

    Raises:
        HubError: naming what is needed and what is free.
    """
    needed = missing_bytes(pins)
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise HubError(
            f"{needed / 1e9:.1f} GB are to be fetched in all (and {SPARE / 1e9:.1f} GB should stay "
            f"free), but the disk of {folder.resolve()} has {free / 1e9:.1f} GB left: free some "
            "space, link `resources` to a larger disk, or ask for fewer checkpoints"
        )


def _fetch_file(pin: Pin, file: PinnedFile, whole: Path) -> None:
    """One file, continued from its part; a second attempt if the bytes are wrong."""
    part = whole.with_name(f"{whole.name}.{file.digest[:12]}.part")
    for attempt in ("first", "second"):
        patiently(
            lambda: _continue_part(pin, file, part), f"fetching {file.path} of {pin.repository}"
        )
        wrong = file.mismatch(part)
        if wrong is None:
            part.rename(whole)
            return
        part.unlink()
        log.warning("%s of %s: %s (%s attempt)", file.path, pin.repository, wrong, attempt)
    raise HubError(
        f"{file.path} of {pin.repository} at {pin.commit} came damaged twice: {wrong}. Nothing of "
        "it is kept; try again, or another network"
    )


def _continue_part(pin: Pin, file: PinnedFile, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        part.unlink()
        have = 0
    url = hf_hub_url(pin.repository, file.path, repo_type=pin.kind, revision=pin.commit)
    # Without compression, so that a position in the body is a position in the file.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    with part.open("ab") as target:
        http_get(
            url,
            target,
            resume_size=have,
            headers=headers,
            expected_size=file.size,
            displayed_filename=f"{pin.repository}/{file.path}",
        )


def _flat_name(file: PinnedFile) -> str:
    """Name in the target folder: nothing that is fetched stands in subfolders."""
    return Path(file.path).name
