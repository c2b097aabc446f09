"""Contents of files when jobs read them: content decides what runs again, not a date.

Snakemake compares an input's time with the output's. Another file that is put in its place with an
older time (`mv`, `cp -p`, `rsync -a`) goes unnoticed, and so does any within a folder that a job
made. So a job notes what it read: a hash, and of each file its size and times. The next call looks
at sizes and times first, and hashes files only where these differ. Of another content a parameter
of the job is the new hash; the job notes that as well, so that the parameter stays what it was.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ptft.paths import replacing

MADE = ".snakemake_timestamp"
"""in a folder that is a job's output, a file with the time at which it was made"""
Looks = dict[str, list[int]]
"""path -> size, time of change, time of the inode's change, inode"""


@dataclass(frozen=True)
class Note:
    """The files that a job read.

    Attributes:
        looks: of its files.
        sha256: of their contents.
        told: the job's parameter: empty, or the hash of what was put in the place of other files.
    """

    looks: Looks
    sha256: str
    told: str = ""

    def write(self, path: Path) -> None:
        """Write it as JSON, whole or not at all."""
        with replacing(path) as draft:
            draft.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Note | None":
        """Read one; None where there is none."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            return None


def looks(files: Sequence[Path]) -> Looks:
    """Sizes and times, which tell at a glance that files may be others."""
    found = {}
    for file in files:
        stat = file.stat()
        found[str(file)] = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    return found


class Contents:
    """Files that the jobs of a study read, compared with those that are there."""

    def __init__(self, hash_files: Callable[[Sequence[Path]], str]) -> None:
        self._hash = hash_files
        self._same: dict[Path, Note] = {}

    def told(self, note: Path, files: Sequence[Path], made: Path | None = None) -> str:
        """The parameter of the job that wrote the note: it changes when the content has.

        Args:
            note: of the job; where it has not run yet, the parameter is empty.
            files: that it would read now; none where they are not there.
            made: what has the time at which the workflow made the files. Made again since the
                note, they are Snakemake's to see.
        """
        known = Note.read(note)
        if known is None or not files:
            return known.told if known else ""
        now = looks(files)
        again = made is not None and made.exists() and made.stat().st_mtime > note.stat().st_mtime
        if now == known.looks or again:
            return known.told
        found = self._hash(files)
        if found == known.sha256:
            self._same[note] = replace(known, looks=now)
            return known.told
        return found

    def write(self) -> None:
        """Note the new looks of files that hold the same, so that they are not hashed again."""
        for path, note in self._same.items():
            before = path.stat()
            note.write(path)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
