"""Tasks of lm-evaluation-harness in a study: each becomes a dataset of a family of its own.

What their names stand for is looked up once, by a program (``ptft.hub.harness``), since importing
the harness takes longer than a parse may; what it found is kept and read from then on.
"""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from ptft import paths
from ptft.errors import refusal, require_known
from ptft.evaluation.cells import HarnessTask, scored_split
from ptft.models.folder import hash_files
from ptft.study.families import Dataset, Family, Splits
from ptft.study.types import Part

FAMILY = "harness"
PLACE = ("evaluate", "harness")
LONGEST_TITLE = 40
KINDS = {
    "multiple_choice": "multiple_choice",
    "loglikelihood": "multiple_choice",
    "generate_until": "generation",
    "loglikelihood_rolling": "text",
}
"""of a task's output, the kind of datasets that analyses take it for"""


class HarnessDataset(Dataset):
    """A task, or a group of tasks; made here and not read from a file, so nothing is checked."""

    splits: Splits = Splits(test="test")
    task: HarnessTask
    asked: bool = True
    """whether analyses take it; members of a group that is taken stand in the tables alone"""

    @property
    def source(self) -> str:
        """Where its rows come from, in words."""
        listed = [file for files in self.task.get("files", {}).values() for file in files]
        own = f"{self.task.get('repository')} ({self.task.get('config')})"
        return f"members of {self.title}" if self.members else ", ".join(listed) or own

    @property
    def members(self) -> list[str]:
        """Datasets that a group is made of."""
        return [dataset for dataset, _ in self.task.get("members", [])]

    @property
    def wanted(self) -> list[str]:
        """Splits of its repository that are read."""
        if "repository" not in self.task:
            return []
        every = self.task["splits"].values()
        return list(dict.fromkeys(every if self.task["shots"] else [scored_split(self.task)]))


class HarnessFamily(Family):
    """All tasks of a study."""

    kind: Literal["harness"] = "harness"  # type: ignore[assignment]
    formats: dict[Part, str] = {"default": "{prompt}"}
    datasets: dict[Part, HarnessDataset]  # type: ignore[assignment]

    def kind_of(self, dataset: str) -> str:
        """The kind that analyses take a task for; a group for that of its members."""
        spec = self.datasets[dataset]
        return self.kind_of(spec.members[0]) if spec.members else KINDS[spec.task["output"]]

    def metric(self, dataset: str) -> str:
        """The main metric of a task."""
        return self.datasets[dataset].task["main"]


def harness_family(asked: Any, root: str | None, files: Sequence[Path], scripts: Path) -> Family:
    """The family of a study's tasks.

    Args:
        asked: what the study says under ``evaluate.harness``.
        root: the study's folder of datasets.
        files: of the study, for messages.
        scripts: folder of the workflow's programs.

    Raises:
        StudyError: lm-eval is missing, a task is unknown or can't be scored.
    """
    found = _looked_up(asked, files, scripts)
    for position, name in enumerate(asked.tasks):
        if name in found["refused"]:
            raise refusal(files, (*PLACE, "tasks", position), found["refused"][name])
    tasks, groups = found["tasks"], found["groups"]
    shots = _shots(asked.shots, found, files)
    names = {name: dataset_name(name) for name in [*tasks, *groups]}
    datasets = {}
    for name, task in tasks.items():
        count = shots.get(name, task["shots"] or 0)
        where = {"root": root or paths.HUB} if "repository" in task else {}
        full = {**task, **where, "shots": count, "limit": asked.limit}
        datasets[names[name]] = _dataset(name, full, name in _alone(asked.tasks, found))
    for name, group in groups.items():
        members = [names[member] for member in group["members"]]
        specs = [datasets[member].task for member in members]
        parts = json.dumps([spec["digest"] for spec in specs])
        full = {
            "task": name,
            "lm_eval": specs[0]["lm_eval"],
            "digest": hashlib.sha256(parts.encode()).hexdigest(),
            "main": group["main"],
            "shots": max(spec["shots"] or 0 for spec in specs),
            "members": [(m, spec["shots"]) for m, spec in zip(members, specs, strict=True)],
            "aggregated": group["aggregated"],
            "limit": asked.limit,
        }
        datasets[names[name]] = _dataset(name, full, name in asked.tasks)
    return HarnessFamily.model_construct(title="lm-evaluation-harness", datasets=datasets)


def dataset_name(task: str) -> str:
    """Name of a task's dataset; families have datasets of the same names as some tasks."""
    return f"{FAMILY}_{re.sub('[^A-Za-z0-9_-]+', '_', task)}"


def _dataset(name: str, task: dict, asked: bool) -> HarnessDataset:
    title = name if len(name) <= LONGEST_TITLE else None
    return HarnessDataset.model_construct(title=title, task=HarnessTask(**task), asked=asked)


def _alone(asked: Sequence[str], found: Mapping[str, Any]) -> set[str]:
    """Tasks that are in no group which stands for them."""
    grouped = [name for name in asked if name in found["groups"]]
    return {task for name in asked if name not in grouped for task in found["asked"].get(name, ())}


def _shots(
    asked: Mapping[str, int], found: Mapping[str, Any], files: Sequence[Path]
) -> dict[str, int]:
    """Task -> examples in its prompt, where a study says so for it or for what it belongs to.

    Raises:
        StudyError: a name is unknown, or a task is without examples by its own file.
    """
    tasks = found["tasks"]
    known = {name: group["members"] for name, group in found["groups"].items()}
    known |= found["asked"] | {name: [name] for name in tasks}
    shots: dict[str, int] = {}
    for name in sorted(asked, key=lambda name: -len(known.get(name, ()))):
        place = (*PLACE, "shots", name)
        require_known(files, place, [name], known)
        for task in known[name]:
            if asked[name] and tasks[task]["shots"] == 0:
                message = f"{task} has num_fewshot: 0 in its own file; leave the key out"
                raise refusal(files, place, message)
            if asked[name] and tasks[task]["output"] == "loglikelihood_rolling":
                raise refusal(files, place, f"{task} has no prompts to show examples in")
            shots[task] = asked[name]
    return shots


def _looked_up(asked: Any, files: Sequence[Path], scripts: Path) -> dict[str, Any]:
    """Meanings of the names of tasks (``ptft.hub.harness.resolve_tasks``).

    Raises:
        StudyError: lm-eval is not installed, or a folder is not there.
    """
    try:
        installed = version("lm_eval")
    except PackageNotFoundError:
        message = "needs lm-eval, which is not installed here: pip install -e '.[harness]'"
        raise refusal(files, PLACE, message) from None
    own: list[Path] = []
    if asked.include is not None:
        folder = Path(asked.include)
        if not folder.is_dir():
            message = f"{folder} is no folder in {Path.cwd()}, where paths begin; correct the path"
            raise refusal(files, (*PLACE, "include"), message)
        own = sorted(f for f in folder.rglob("*") if f.suffix in (".yaml", ".py"))
    parts = [installed, asked.tasks, asked.include, hash_files(own) if own else ""]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    kept = Path(paths.harness_tasks(digest))
    if not kept.exists():
        print("Look up tasks of lm-evaluation-harness (once)", file=sys.stderr)
        command = [sys.executable, str(scripts / "resolve_tasks.py"), "--output", str(kept)]
        command += ["--include", asked.include] if asked.include else []
        done = subprocess.run(
            [*command, "--tasks", *asked.tasks], capture_output=True, text=True, check=False
        )
        if done.returncode:
            told = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise refusal(files, PLACE, f"lm-eval {installed} can't look its tasks up: {told}")
    return json.loads(kept.read_text(encoding="utf-8"))
