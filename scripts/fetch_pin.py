"""Fetch the files of a pin from the Hub: continued where they ended, verified, checked."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(pin: Path, all_pins: Path | None = None, same_weights: tuple[str, ...] = ()) -> None:
    """Fetch the files of a pin from the Hub, if all that the study needs fits on the disk.

    Args:
        pin: what is fetched
        all_pins: JSON file: list of the pins of all that the study needs
        same_weights: checkpoints that may equal another one
    """
    from ptft.audit.checkpoints import refuse_other_architectures
    from ptft.files.slice_files import read_slice
    from ptft.hub.check import check_checkpoint
    from ptft.hub.fetch import check_disk, fetch
    from ptft.hub.pins import Pin, pinned_folder, refuse_twins

    pins = read_slice(all_pins, list[Path]) if all_pins else [pin]
    check_disk(pins, pin.parent)
    models = [path for path in pins if Pin.read(path).kind == "model"]
    refuse_twins(models, list(same_weights))

    def check(folder: Path) -> None:
        check_checkpoint(folder)
        refuse_other_architectures([*models, folder])

    fetched = Pin.read(pin)
    fetch(fetched, pinned_folder(pin), check if fetched.kind == "model" else None)


if __name__ == "__main__":
    raise SystemExit(main())
