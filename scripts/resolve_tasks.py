"""Look up tasks of lm-evaluation-harness by name, for the parse of a study.

Args:
    tasks: names of tasks, groups and tags
    output: what they stand for, JSON
    include: folder with more files of tasks
"""

import json
import os
from pathlib import Path

from ptft.runtime.programs import program


@program
def main(tasks: tuple[str, ...], output: Path, include: str | None = None) -> None:
    from ptft.hub.harness import resolve_tasks

    found = resolve_tasks(list(tasks), include)
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = output.with_name(f".{output.name}.{os.getpid()}")
    draft.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    draft.replace(output)
