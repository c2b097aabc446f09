"""Look up on the Hub what is not pinned, refuse what does not fit together, write the pins.

Args:
    plan: the study's slice, JSON file
    again: look up what is pinned, too
"""

from pathlib import Path

from ptft.runtime.programs import program


@program
def main(plan: Path, again: bool = False) -> None:
    from ptft.files import read_slice
    from ptft.hub.resolve import PinsSlice, resolve_pins

    for line in resolve_pins(read_slice(plan, PinsSlice), again):
        print(line)
