"""Tasks of lm-evaluation-harness by name: their members, data and metrics, and what is refused.

The harness's index of thousands of files takes seconds to read, so a program of its own looks
names up once; what it finds is kept in a file that the parse of a study reads
(``ptft.study.harness``). Nothing is fetched here, and no code of a task runs.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ptft.errors import NAME, REPOSITORY, suggest
from ptft.evaluation.cells import HarnessTask, metric_name

BUILDERS = ("json", "csv", "parquet", "text")
"""of `datasets`, for a task whose rows are in files"""
LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
"""names of the longest answer, the first of which counts"""
USUAL_LENGTH = 256
"""of the harness, in tokens"""
GREEDY = {"until", "do_sample", "temperature", "top_p", "top_k", *LENGTHS}
"""settings of a generation, which decide nothing more where nothing is drawn"""
OF_GROUPS = {"group", "group_alias", "task", "aggregate_metric_list", "metadata", "tag"}
"""keys of a group's file that are no settings of its members"""
FUNCTION = re.compile(r"/.+\.\w+")
"""what stands for `!function utils.name` where no code is loaded"""


class TaskError(ValueError):
    """A task that this workflow can't score as the harness would; the message says why."""


def resolve_tasks(names: list[str], include: str | None) -> dict[str, Any]:
    """Meanings of the names of tasks, groups and tags.

    Args:
        include: folder with more files of tasks.

    Returns:
        ``asked``: name -> its tasks; ``tasks``: name -> a ``HarnessTask`` without what a study
        says of it; ``groups``: name -> members and aggregated metrics; ``refused``: name -> why.
    """
    from lm_eval.tasks import TaskManager

    found = _Found(TaskManager(include_path=include).task_index, include)
    asked, refused = {}, {}
    for name in names:
        try:
            asked[name] = list(dict.fromkeys(found.members(name, {})))
        except TaskError as error:
            refused[name] = str(error)
    return {"asked": asked, "tasks": found.tasks, "groups": found.groups, "refused": refused}


class _Found:
    """Tasks and groups, as they are met on the way from a name to its members."""

    def __init__(self, index: Mapping[str, Any], include: str | None):
        import lm_eval.tasks

        self.index, self.include = index, include
        self.own = Path(lm_eval.tasks.__file__).parent
        self.tasks: dict[str, HarnessTask] = {}
        self.metrics: dict[str, list[str]] = {}
        self.groups: dict[str, dict] = {}

    def members(self, name: str, changes: Mapping[str, Any]) -> Iterator[str]:
        """Names of the tasks that a name stands for.

        Args:
            changes: settings that a group gives its members.

        Raises:
            TaskError: there is none of that name, or one can't be scored.
        """
        entry = self.index.get(name)
        if entry is None:
            raise TaskError(f"unknown task {name!r}; {suggest(name, self.index)}")
        if entry.kind.name == "TAG":
            for member in sorted(entry.tags):
                yield from self.members(member, changes)
        elif entry.kind.name == "GROUP":
            yield from self._of_group(name, entry.cfg, changes)
        else:
            task = self._task(name, entry, changes)
            if self.tasks.setdefault(name, task) != task:
                raise TaskError(f"{name} is asked for twice, with other settings by a group")
            yield name

    def _of_group(self, name: str, config: Mapping, changes: Mapping) -> Iterator[str]:
        own = {key: value for key, value in config.items() if key not in OF_GROUPS}
        listed = config.get("task") or []
        members: list[str] = []
        for item in [listed] if isinstance(listed, str) else listed:
            if isinstance(item, str):
                members += self.members(item, {**own, **changes})
                continue
            rest = {key: value for key, value in item.items() if key not in ("task", "group")}
            inner, outer = item.get("group", item.get("task")), {**own, **changes}
            if inner in self.index:
                members += self.members(inner, {**outer, **rest})
            elif "group" in item:
                members += self._of_group(f"{name}::{inner}", item, outer)
            else:
                raise TaskError(f"its member {inner!r} has no file of its own")
        aggregated = config.get("aggregate_metric_list") or []
        aggregated = [aggregated] if isinstance(aggregated, Mapping) else aggregated
        if aggregated:
            self.groups[name] = self._group(name, list(dict.fromkeys(members)), aggregated)
        yield from members

    def _group(self, name: str, members: list[str], aggregated: list[Mapping]) -> dict[str, Any]:
        """Members, metrics that are aggregated, and the main one: that of a member, if one is.

        Raises:
            TaskError: members have none of the metrics in common.
        """
        found = {}
        for each in aggregated:
            filters = each.get("filter_list")
            filters = [filters] if isinstance(filters, str) else filters
            for column in self.metrics[members[0]]:
                base, _, filtered = column.partition(",")
                wanted = filters is None or (filtered or "none") in filters
                if base == each["metric"] and wanted:
                    found[column] = each.get("weight_by_size", True)
        found = {k: v for k, v in found.items() if all(k in self.metrics[m] for m in members)}
        if not found:
            raise TaskError(f"{name} aggregates no metric that all of its members have")
        mains = {self.tasks[member]["main"] for member in members}
        main = next((column for column in found if column in mains), next(iter(found)))
        return {"members": members, "aggregated": found, "main": main}

    def _task(self, name: str, entry: Any, changes: Mapping) -> HarnessTask:
        config = {**entry.cfg, **changes}
        path = entry.yaml_path.resolve()
        built_in = path.is_relative_to(self.own)
        _refuse_foreign(name, config)
        output = config.get("output_type", "generate_until")
        metrics = list(_metrics(name, config, output))
        self.metrics[name] = [metric for metric, _ in metrics]
        task: HarnessTask = {
            "task": name,
            "lm_eval": version("lm_eval"),
            "version": str((config.get("metadata") or {}).get("version", "")),
            "digest": _digest(config, [self.own, Path.cwd()]),
            "built_in": built_in,
            "folder": str(path.parent.relative_to(self.own)) if built_in else self.include or "",
            "changes": {key: value for key, value in changes.items() if key not in OF_GROUPS},
            "output": output,
            "main": _main_metric(name, metrics, output),
            "shots": config.get("num_fewshot"),
            **_data(name, config),
        }
        if output == "generate_until":
            task["max_new_tokens"] = _generation(name, config.get("generation_kwargs") or {})
        return task


def _refuse_foreign(name: str, config: Mapping) -> None:
    """Refuse what would run unknown code, or needs more than text.

    Raises:
        TaskError: naming the task.
    """
    for key, reason in {
        "class": "is a class in Python, which alone knows what data it needs",
        "custom_dataset": "makes its data by code of its own, which can't be pinned",
        "doc_to_image": "shows images, which the engine can't read",
        "doc_to_audio": "plays sounds, which the engine can't read",
        "unsafe_code": "runs the code that a model writes, which needs a sandbox",
    }.items():
        if config.get(key):
            raise TaskError(f"{name} {reason}; leave it out")


def _metrics(name: str, config: Mapping, output: str) -> Iterator[tuple[str, bool]]:
    """Names of a task's metrics, of each filter the first comes first, and whether more is better.

    Raises:
        TaskError: one is code of the Hub.
    """
    from lm_eval.api.registry import DEFAULT_METRIC_REGISTRY, is_higher_better

    listed = config.get("metric_list") or [{"metric": m} for m in DEFAULT_METRIC_REGISTRY[output]]
    filters = [each["name"] for each in config.get("filter_list") or [{"name": "none"}]]
    for one in filters:
        for metric in listed:
            if metric.get("hf_evaluate"):
                raise TaskError(f"{name} has code of the Hub as its metric; leave it out")
            known = metric["metric"]
            known = known.rpartition(".")[2] if FUNCTION.fullmatch(known) else known
            higher = metric.get("higher_is_better", is_higher_better(known))
            yield metric_name(known, one), bool(higher)


def _main_metric(name: str, metrics: list[tuple[str, bool]], output: str) -> str:
    """The metric that analyses take: acc_norm, or the first that rises as models get better.

    That of text is bits per byte, which all analyses of text know to fall.
    """
    better = [metric for metric, higher in metrics if higher]
    if output == "loglikelihood_rolling":
        better = [metric for metric, _ in metrics if metric.startswith("bits_per_byte")]
    if not better:
        listed = ", ".join(metric for metric, _ in metrics)
        expected = "bits_per_byte" if output == "loglikelihood_rolling" else "one that rises"
        raise TaskError(f"{name} has the metrics {listed}, expected {expected}; leave it out")
    return next((metric for metric in better if metric.startswith("acc_norm")), better[0])


def _generation(name: str, settings: Mapping) -> int:
    """Longest answer in tokens, of a generation that draws nothing.

    Raises:
        TaskError: it draws, or searches.
    """
    draws = settings.get("do_sample")
    drawn = float(settings.get("temperature") or 0) > 0 if draws is None else draws
    unknown = sorted(settings.keys() - GREEDY)
    if drawn or unknown:
        found = "do_sample" if drawn else ", ".join(unknown)
        raise TaskError(
            f"{name} asks for {found} in its generation_kwargs; answers are greedy here: write a "
            "task of your own that includes its file and has do_sample: false"
        )
    return int(next((settings[key] for key in LENGTHS if key in settings), USUAL_LENGTH))


def _data(name: str, config: Mapping) -> dict[str, Any]:
    """Where a task's rows are, and its splits by use.

    Raises:
        TaskError: they can't be pinned.
    """
    path, options = config.get("dataset_path"), dict(config.get("dataset_kwargs") or {})
    options.pop("trust_remote_code", None)
    uses = {"train": "training_split", "validation": "validation_split", "test": "test_split"}
    splits = {use: config[key] for use, key in uses.items() if config.get(key)}
    own = (config.get("fewshot_config") or {}).get("split", config.get("fewshot_split"))
    splits |= {"shots": own} if own else {}
    if not {"test", "validation"} & splits.keys():
        raise TaskError(f"{name} names no split to be scored on; leave it out")
    if path in BUILDERS:
        files = options.pop("data_files", None)
        files = files if isinstance(files, Mapping) else {"train": files}
        files = {use: [own] if isinstance(own, str) else own for use, own in files.items()}
        remote = [file for own in files.values() for file in own or [""] if "://" in file]
        if not options and all(files.values()) and not remote:
            return {"splits": splits, "files": files, "builder": path}
    elif re.fullmatch(f"{REPOSITORY}|{NAME}", str(path)) and not options:
        data = {"repository": path, "config": config.get("dataset_name") or "default"}
        return {"splits": splits, **data}
    raise TaskError(
        f"{name} reads {path} with {json.dumps(config.get('dataset_kwargs'), default=str)}, "
        "expected splits of a dataset on the Hub, or data_files on this disk; leave it out"
    )


def _digest(config: Mapping, places: list[Path]) -> str:
    """SHA-256 of a task's configuration and of the code beside it, wherever they are."""
    text = json.dumps(config, sort_keys=True, default=str)
    digest = hashlib.sha256()
    folders = {Path(one.rpartition(".")[0]).parent for one in _functions(config)}
    for place in places:
        text = text.replace(os.path.join(place.resolve(), ""), "")
    digest.update(text.encode())
    for file in sorted(file for folder in folders for file in folder.glob("*.py")):
        digest.update(file.name.encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _functions(value: object) -> Iterator[str]:
    """Functions in a configuration: file without its ending, and name."""
    if isinstance(value, str):
        found = Path(value.rpartition(".")[0]).with_suffix(".py") if value[:1] == "/" else None
        if found and FUNCTION.fullmatch(value) and found.exists():
            yield value
    elif isinstance(value, Mapping | list):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from _functions(part)
