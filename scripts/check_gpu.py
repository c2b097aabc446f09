"""Check what jobs of a study meet on this machine: driver, torch, an update, a scored batch."""

from ptft.runtime.programs import command_line


@command_line
def main(gpus: int = 0, driver: bool = False) -> None:
    """Check driver, torch build and memory, and do one update and one scored batch.

    Args:
        gpus: that jobs of the study ask for; 0: they run on the CPU
        driver: look at the driver and torch's build alone
    """
    from ptft.tools.check_gpu import check, driver_and_build

    for line in driver_and_build() if driver else check(gpus):
        print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
