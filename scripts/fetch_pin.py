"""Fetch the files of a pin into the folder beside it, if they fit on the disk.

Args:
    pin: what is fetched
"""

from pathlib import Path

from ptft.runtime.programs import program


@program
def main(pin: Path) -> None:
    from ptft.hub.check import CHECKS
    from ptft.hub.fetch import check_disk, fetch
    from ptft.hub.pins import Pin, pinned_folder

    check_disk([pin], pin.parent)
    fetched = Pin.read(pin)
    fetch(fetched, pinned_folder(pin), CHECKS.get(fetched.kind))
