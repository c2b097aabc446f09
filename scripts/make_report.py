"""Let Snakemake make its report of a study; the Snakefile keeps the study's texts texts."""

import subprocess
import sys
from pathlib import Path

from ptft.runtime.programs import command_line


@command_line
def main(snakefile: Path, configfiles: tuple[Path, ...], stylesheet: Path, output: Path) -> int:
    """Let Snakemake make its report of a study; ends with Snakemake's exit status.

    Args:
        snakefile: of the workflow
        configfiles: of the study
        stylesheet: added to Snakemake's own
        output: the report, HTML
    """
    draft = output.with_name(f".{output.name}")  # Snakemake wants the suffix
    # On the same study as the run that needs the report: no lock is taken for it.
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile), "--nolock"),
        *("--configfiles", *map(str, configfiles), "--report", str(draft)),
        *("--report-stylesheet", str(stylesheet), "--quiet", "--", "report_contents"),
    ]
    try:
        status = subprocess.run(command, check=False).returncode
        if status == 0:
            draft.replace(output)
    finally:
        draft.unlink(missing_ok=True)
    return status


if __name__ == "__main__":
    raise SystemExit(main())
