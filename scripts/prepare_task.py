"""Prepare a task of lm-evaluation-harness: its documents, each with the requests that it makes.

Args:
    name: of the dataset
    spec: the study's slice, JSON file
    output: documents, JSON Lines
    audit: what was found, JSON
    members: of a group: prepared documents of its members
"""

from pathlib import Path

from ptft.runtime.programs import program


@program
def main(name: str, spec: Path, output: Path, audit: Path, members: tuple[Path, ...] = ()) -> None:
    from ptft.evaluation.harness import TaskSlice, prepare_group, prepare_task
    from ptft.files import read_slice

    if members:
        prepare_group(members, output, audit)
    else:
        prepare_task(read_slice(spec, TaskSlice)["task"], name, output, audit)
