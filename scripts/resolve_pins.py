"""Look up checkpoints and splits of data sets on the Hub; pin their commits and files."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(plan: Path, again: bool = False) -> None:
    """Look up what is not pinned, refuse what does not fit together, write and name the pins.

    Args:
        plan: the study's slice, JSON file
        again: look up what is pinned, too
    """
    from ptft.files import read_slice
    from ptft.hub.resolve import PinsSlice, resolve_pins

    for line in resolve_pins(read_slice(plan, PinsSlice), again):
        print(line)


if __name__ == "__main__":
    raise SystemExit(main())
