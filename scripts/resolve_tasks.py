"""Look up tasks of lm-evaluation-harness by name, for the parse of a study.

Args:
    tasks: names of tasks, groups and tags
    output: what they stand for, JSON
    include: folder with more files of tasks
"""

import json
from pathlib import Path

from ptft.paths import replacing
from ptft.runtime.programs import program


@program
def main(tasks: tuple[str, ...], output: Path, include: str | None = None) -> None:
    from ptft.hub.harness import resolve_tasks

    with replacing(output) as draft:
        found = resolve_tasks(list(tasks), include)
        draft.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
