"""From what a study names to a pin: a step to a branch, a split to its files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from huggingface_hub.hf_api import RepoFile
from typing_extensions import TypedDict

from ptft.hub.client import HubError, api, listed
from ptft.hub.pins import Pin, PinnedFile
from ptft.models.folder import CONFIG, CONFIGURATION, PICKLES, TOKENIZER, weights_among

NEAREST = 4
CONVERTED = "refs/convert/parquet"


class Reference(TypedDict, total=False):
    """What a pin is for: a checkpoint or a dataset's split (arguments of its function)."""

    __pydantic_config__ = {"extra": "forbid"}

    checkpoint: dict[str, Any]
    split: dict[str, Any]


def resolve(reference: Reference) -> Pin:
    """Find the pin of a reference; raises what the two functions below raise."""
    if "checkpoint" in reference:
        return resolve_checkpoint(reference["checkpoint"])
    return resolve_split(**reference["split"])


def resolve_checkpoint(source: Mapping) -> Pin:
    """Find a checkpoint's branch, its commit and its files.

    Args:
        source: ``repository``; ``branch``, or ``step`` with ``branches`` (a pattern of branch
            names with a group ``step``); ``allow_pickle``.

    Raises:
        HubError: there is no such step (the message lists the nearest) or branch, or the branch
            has no weights of an allowed kind.
    """
    repository = source["repository"]
    refs = listed(lambda: api().list_repo_refs(repository), f"listing the branches of {repository}")
    branch = source.get("branch") or _branch_of_step(
        repository, source["branches"], source["step"], [ref.name for ref in refs.branches]
    )
    heads = {ref.name: ref.target_commit for ref in [*refs.branches, *refs.tags]}
    if branch not in heads and not re.fullmatch("[0-9a-f]{40}", branch):
        raise HubError(
            f"{repository} has no branch {branch!r}; it has {_some(sorted(heads))}. Name one of "
            "them as the checkpoint's `branch`"
        )
    commit = heads.get(branch, branch)
    files = _list_files(repository, "model", commit)
    chosen = _model_files(repository, branch, files, source.get("allow_pickle", False))
    found = re.fullmatch(source.get("branches") or "", branch)
    numbers = found.groupdict() if found else {}
    return Pin(
        repository,
        "model",
        branch,
        commit,
        chosen,
        step=int(numbers["step"]) if numbers.get("step") else source.get("step"),
        tokens=int(numbers["tokens"]) * 10**9 if numbers.get("tokens") else source.get("tokens"),
    )


def resolve_split(repository: str, config: str, split: str, revision: str | None) -> Pin:
    """Find the parquet files of a dataset's split.

    They are in the repository itself (``CONFIG/SPLIT-…``, or ``data/SPLIT-…`` for the default
    config) or, if it has scripts or other formats, on the Hub's branch of converted data.

    Raises:
        HubError: neither has the split; the message lists the existing ones.
    """
    revision = revision or "main"
    seen: dict[str, list[str]] = {}
    for branch in dict.fromkeys([revision, CONVERTED]):
        try:
            commit = listed(
                lambda branch=branch: api().dataset_info(repository, revision=branch).sha,
                f"looking up {branch} of the dataset {repository}",
            )
        except HubError:
            if branch == CONVERTED:
                break
            raise
        files = _list_files(repository, "dataset", commit)
        seen[branch] = [file.path for file in files if file.path.endswith(".parquet")]
        chosen = [file for file in files if _is_of_split(file.path, config, split)]
        if chosen:
            return Pin(repository, "dataset", branch, commit, tuple(map(_pinned, chosen)))
    places = "; ".join(f"on {branch}: {_some(paths)}" for branch, paths in seen.items())
    raise HubError(
        f"the dataset {repository} has no parquet files of config {config!r}, split {split!r}. It "
        f"has {places}. Correct `config` or `splits` in the family's file"
    )


def _branch_of_step(repository: str, pattern: str, step: int, branches: Iterable[str]) -> str:
    """The branch of a step, looked up because token counts in names follow no rule."""
    steps: dict[int, list[str]] = {}
    for branch in branches:
        if found := re.fullmatch(pattern, branch):
            steps.setdefault(int(found["step"]), []).append(branch)
    if not steps:
        raise HubError(f"no branch of {repository} matches the pattern {pattern!r}")
    if step not in steps:
        nearest = sorted(sorted(steps, key=lambda other: abs(other - step))[:NEAREST])
        raise HubError(
            f"{repository} has no checkpoint of step {step}; the nearest are "
            f"{', '.join(f'step{other}' for other in nearest)} (of {len(steps)})"
        )
    if len(steps[step]) > 1:
        raise HubError(
            f"{repository} has several branches of step {step}: {', '.join(steps[step])}. Name one "
            f"in the model's file: checkpoints: {{step{step}: {{step: {step}, branch: …}}}}"
        )
    return steps[step][0]


def _list_files(repository: str, kind: str, commit: str) -> list[RepoFile]:
    def tree() -> list[RepoFile]:
        entries = api().list_repo_tree(repository, repo_type=kind, revision=commit, recursive=True)
        return [entry for entry in entries if isinstance(entry, RepoFile)]

    return listed(tree, f"listing the files of {repository}")


def _model_files(
    repository: str, branch: str, files: Sequence[RepoFile], allow_pickle: bool
) -> tuple[PinnedFile, ...]:
    names = [file.path for file in files]
    weights = weights_among(names)
    if weights and PICKLES.fullmatch(weights[0]) and not allow_pickle:
        raise HubError(
            f"{repository} ({branch}) has its weights as {weights[0]} only: reading a pickle "
            "can run foreign code. If you trust its makers, set `allow_pickle: true` in the "
            "model's file; else look for a branch with safetensors"
        )
    if not weights or CONFIG not in names:
        raise HubError(
            f"{repository} ({branch}) is not a model in the Hub's layout: config.json and "
            f"model.safetensors are expected, found {_some(names)}"
        )
    sharded = [name for name in weights if "-of-" in name or name.endswith(".json")]
    wanted = {*CONFIGURATION, *TOKENIZER, *(sharded or weights)}
    return tuple(_pinned(file) for file in files if file.path in wanted)


def _is_of_split(path: str, config: str, split: str) -> bool:
    """Whether a path is a parquet file of a split, in any of the Hub's layouts."""
    folders = [f"{config}/"] if config != "default" else ["default/", "data/", ""]
    shard = r"(-\d{5}-of-\d{5}(-[0-9a-f]+)?)?\.parquet"
    return any(
        re.fullmatch(re.escape(folder + split) + pattern, path)
        for folder in folders
        for pattern in (shard, r"/[^/]+\.parquet")
    )


def _pinned(file: RepoFile) -> PinnedFile:
    if file.lfs is not None:
        return PinnedFile(file.path, file.size, "sha256", file.lfs.sha256)
    return PinnedFile(file.path, file.size, "git", file.blob_id)


def _some(names: Sequence[str], most: int = 8) -> str:
    """The first of many names."""
    shown = ", ".join(names[:most]) or "nothing"
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
