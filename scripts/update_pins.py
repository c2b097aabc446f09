"""Look up pinned checkpoints and data sets again; rewrite the pins of those that moved."""

from pathlib import Path

from ptft.files.slice_files import read_slice
from ptft.hub.pins import Pin
from ptft.hub.resolve import Reference, resolve
from ptft.runtime.programs import command_line


@command_line
def main(references: Path) -> None:
    """Look up every pin again; write and name those that moved.

    Args:
        references: what each pin stands for, JSON file
    """
    for path, reference in read_slice(references, dict[Path, Reference]).items():
        pin = resolve(reference)
        before = Pin.read(path) if path.exists() else None
        if pin != before:
            path.parent.mkdir(parents=True, exist_ok=True)
            pin.write(path)
            print(f"{path}: {before.commit if before else 'new'} -> {pin.commit}")


if __name__ == "__main__":
    raise SystemExit(main())
