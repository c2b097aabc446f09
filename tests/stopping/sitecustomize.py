"""Python reads this at its start where a test puts the folder on PYTHONPATH (``tests/waiting.py``).

A program that has put one of the named files in place, by a rename, stops itself; what would pause
for long pauses for as long as is named.
"""

import asyncio
import contextlib
import fnmatch
import hashlib
import os
import signal
from pathlib import Path

if "PTFT_TEST_STOP" in os.environ:
    folder, nth, times, pattern = os.environ["PTFT_TEST_STOP"].split(":", 3)
    replace = Path.replace
    seen = 0

    def replace_and_stop(self: Path, target: Path) -> Path:
        """``Path.replace``, and a stop if it was the one."""
        global seen
        moved = replace(self, target)
        path = os.path.abspath(target)
        if fnmatch.fnmatch(path, pattern):
            seen += 1
            if seen == int(nth) and _may_stop(path):
                os.kill(os.getpid(), signal.SIGSTOP)
        return moved

    def _may_stop(path: str) -> bool:
        """Note who stops after which file, no more often than asked for.

        A link is there whole or not at all, and once.
        """
        note = os.path.join(folder, hashlib.sha256(path.encode()).hexdigest())
        for number in range(int(times)):
            with contextlib.suppress(FileExistsError):
                os.symlink(f"{os.getpid()}:{path}", f"{note}-{number}")
                return True
        return False

    Path.replace = replace_and_stop

if "PTFT_TEST_PAUSE" in os.environ:
    longest, sleep = float(os.environ["PTFT_TEST_PAUSE"]), asyncio.sleep
    asyncio.sleep = lambda delay, result=None: sleep(min(delay, longest), result)
