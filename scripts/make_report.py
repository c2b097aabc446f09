"""Let Snakemake make its report of a study; the Snakefile keeps the study's texts texts."""

import argparse
import subprocess
import sys
from pathlib import Path

from ptft.runtime.programs import run_program


def main(argv: list[str] | None = None) -> int:
    """Parse the command line, call Snakemake; its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snakefile", required=True)
    parser.add_argument("--configfiles", nargs="+", required=True, help="of the study")
    parser.add_argument("--stylesheet", required=True, help="added to Snakemake's own")
    parser.add_argument("--output", type=Path, required=True, help="the report, HTML")
    args = parser.parse_args(argv)
    draft = args.output.with_name(f".{args.output.name}")  # Snakemake wants the suffix
    # On the same study as the run that needs the report: no lock is taken for it.
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", args.snakefile, "--nolock"),
        *("--configfiles", *args.configfiles, "--report", str(draft)),
        *("--report-stylesheet", args.stylesheet, "--quiet", "--", "report_contents"),
    ]
    try:
        status = subprocess.run(command, check=False).returncode
        if status == 0:
            draft.replace(args.output)
    finally:
        draft.unlink(missing_ok=True)
    return status


if __name__ == "__main__":
    run_program(main)
