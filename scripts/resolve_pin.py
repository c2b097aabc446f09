"""Look up a checkpoint or a data set's split on the Hub and pin its commit and files."""

from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(references: Path, output: Path) -> None:
    """Look up a checkpoint or a data set's split on the Hub and pin its commit and files.

    Args:
        references: what each pin stands for, JSON file
        output: the pin, one of them
    """
    from ptft.files.slice_files import read_slice
    from ptft.hub.client import HubError
    from ptft.hub.resolve import Reference, resolve

    known = read_slice(references, dict[str, Reference])
    if str(output) not in known:
        raise HubError(f"{references} has no {output}")
    resolve(known[str(output)]).write(output)


if __name__ == "__main__":
    raise SystemExit(main())
