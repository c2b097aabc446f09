"""Check driver, torch build and memory, and do one update and one scored batch.

Args:
    gpus: that jobs of the study ask for; 0: they run on the CPU
    driver: look at the driver and torch's build alone
"""

from ptft.runtime.programs import program


@program
def main(gpus: int = 0, driver: bool = False) -> None:
    from ptft.tools.check_gpu import check, driver_and_build

    for line in driver_and_build() if driver else check(gpus):
        print(line, flush=True)
