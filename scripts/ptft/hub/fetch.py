"""From a pin to a folder: resumed, verified, moved into place in one rename.

Files are collected in a folder beside the target, which survives a failure. ``http_get`` of
huggingface_hub does not resume after its process was killed, and accepts wrong bytes of the right
length. Here a part is continued where it ends, and every file is compared with its published hash.
"""

import functools
import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub import get_session, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from ptft.hub.check import CHECKS, is_native
from ptft.hub.client import HubError, NoAnswerError, patiently
from ptft.hub.pins import Pin, PinnedFile, missing_bytes, pinned_folder
from ptft.runtime.bars import progress
from ptft.runtime.locks import exclusive

log = logging.getLogger(__name__)

# Room that is left free besides what is fetched.
SPARE = 1 << 28


def staging_folder(target: Path) -> Path:
    """Where the files of a target are collected."""
    return target.with_name(f"{target.name}.part")


def fetch_pin(pin: Path) -> None:
    """Fetch the files of a pin into the folder beside it, if they fit on the disk.

    Args:
        pin: what is fetched
    """
    check_disk([pin], pin.parent)
    fetched = Pin.read(pin)
    fetch(fetched, pinned_folder(pin), CHECKS.get(fetched.kind))


def fetch(pin: Pin, target: Path, check: Callable[[Path], None] | None = None) -> None:
    """Fetch all files of a pin into a folder, continuing partial files.

    Args:
        check: refuses a complete but useless folder before it counts as fetched.

    Raises:
        HubError: the Hub refuses or fails, or sends bytes that do not match their hashes.
    """
    staging = staging_folder(target)
    # A job that a dead main process left behind may be at the same work.
    with exclusive(staging):
        places = pin.places()
        if target.exists() and not pin.differences(target):
            log.info("%s is already there", target)
            return
        for place, file in places.items():
            if not (staging / place).exists() or file.mismatch(staging / place):
                (staging / place).parent.mkdir(parents=True, exist_ok=True)
                _fetch_file(pin, file, staging / place)
        for leftover in [path for path in staging.rglob("*") if not path.is_dir()]:
            if str(leftover.relative_to(staging)) not in places:
                leftover.unlink()
        ready = _converted(pin, staging) if pin.kind == "model" else staging
        if check:
            check(ready)
        if target.exists():
            shutil.rmtree(target)
        ready.rename(target)
        shutil.rmtree(staging, ignore_errors=True)
    log.info("%s: %d files of %s at %s", target, len(pin.files), pin.repository, pin.commit)


def _converted(pin: Pin, staging: Path) -> Path:
    """The folder of a model, in transformers' format where its own is OLMo's."""
    if not is_native(staging):
        return staging
    from ptft.hub.native import convert  # imports torch

    ready = staging.with_name(f"{staging.name}.converted")
    shutil.rmtree(ready, ignore_errors=True)
    convert(staging, staging, ready)
    pin.note_conversion(ready)
    return ready


def check_disk(pins: Sequence[Path], folder: Path) -> None:
    """Refuse to fetch what does not fit on the disk.

    Args:
        pins: of everything that the study needs.
        folder: on the disk.

    Raises:
        HubError: naming the bytes needed and free.
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
    """Fetch one file, continuing its part; try once more if the bytes are wrong."""
    part = whole.with_name(f"{whole.name}.{file.digest[:12]}.part")
    for attempt in ("first", "second"):
        patiently(
            functools.partial(_continue_part, pin, file, part),
            f"fetching {file.path} of {pin.repository}",
            lambda: _size(part),
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
    """Fetch what is missing of a part."""
    have = _size(part)
    if have == file.size and part.exists():
        return
    repository, commit = file.repository or pin.repository, file.commit or pin.commit
    url = hf_hub_url(repository, file.path, repo_type=pin.kind, revision=commit)
    # Without compression, so that a position in the body is a position in the file.
    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    if 0 < have < file.size:
        headers["Range"] = f"bytes={have}-"
    with get_session().stream("GET", url, headers=headers) as response:
        hf_raise_for_status(response)
        continued = response.status_code == 206
        name = f"{pin.repository}/{file.path}"[-40:]
        with (
            part.open("ab" if continued else "wb", buffering=0) as target,
            progress(name, file.size, "B", target.tell()) as bar,
        ):
            for chunk in response.iter_bytes():
                target.write(chunk)
                bar.update(len(chunk))
                if target.tell() > file.size:
                    return  # whatever else comes, it is not the file
    if _size(part) < file.size:
        raise NoAnswerError(f"the answer ended after {_size(part)} of {file.size} bytes")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
