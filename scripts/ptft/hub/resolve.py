"""From what a study names to a pin: a step to a branch, a split to its files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from huggingface_hub import RepoFile, get_session, hf_hub_url
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status
from typing_extensions import TypedDict

from ptft.files import read_slice
from ptft.hub.client import HubError, api, listed
from ptft.hub.fetch import check_disk
from ptft.hub.pins import (
    Pin,
    PinnedFile,
    pinned_folder,
    place_in_name,
    refuse_other_architectures,
    refuse_twins,
    unresolved,
)
from ptft.models.folder import (
    ADAPTER,
    CONFIG,
    CONFIGURATION,
    PICKLES,
    TOKENIZER,
    VOCABULARIES,
    weights_among,
)

NEAREST = 4
CONVERTED = "refs/convert/parquet"
SIZES = (
    *("model_type", "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size"),
    *("num_attention_heads", "num_key_value_heads", "head_dim", "tie_word_embeddings"),
    *("n_layer", "n_embd", "n_head", "n_inner", "d_model"),
)
"""keys of a config.json that say how large the weights are, in the words of several families"""


class Reference(TypedDict, total=False):
    """A pin's purpose: a checkpoint, a split or a metric (arguments of its function)."""

    __pydantic_config__ = {"extra": "forbid"}

    checkpoint: dict[str, Any]
    split: dict[str, Any]
    metric: dict[str, Any]


class PinsSlice(TypedDict):
    """All that a study names on the Hub."""

    __pydantic_config__ = {"extra": "forbid"}

    references: list[tuple[str, Reference]]
    """path of each pin, and what it is for, in the order of the study"""
    same_weights: list[str]
    """checkpoints that may equal another one"""


def resolve_pins(plan: Path, again: bool = False) -> None:
    """Look up on the Hub what is not pinned, compare all checkpoints, and only then write the pins.

    So a name that does not exist, checkpoints that do not belong together, or a disk too small
    stop the study before any download. A line for each pin that moved is printed.

    Args:
        plan: the study's slice, JSON file
        again: look up what is pinned, too; pins that did not move are not touched

    Raises:
        HubError: the Hub does not have something; one line for each.
        TwinsError, ArchitectureError: of two checkpoints.
    """
    asked_for = read_slice(plan, PinsSlice)
    references = dict(asked_for["references"])
    asked = list(references) if again else unresolved(references)
    found: dict[str, Pin] = {}
    refusals = []
    for path in asked:
        try:
            found[path] = resolve(references[path])
        except HubError as error:
            refusals.append(str(error))
    if refusals:
        raise HubError("\n".join(refusals))
    known = {path: found.get(path) or Pin.read(Path(path)) for path in references}
    refuse_twins(_models(known), asked_for["same_weights"])
    for path in found:
        if known[path].kind == "model" and CONFIG in known[path].places():
            known[path] = replace(known[path], sizes=_sizes(known[path]))
    refuse_other_architectures(_models(known))
    moved = []
    for path in asked:
        place = Path(path)
        before = Pin.read(place) if place.exists() else None
        if known[path] != before:
            place.parent.mkdir(parents=True, exist_ok=True)
            known[path].write(place)
            moved.append(f"{path}: {before.commit if before else 'new'} -> {known[path].commit}")
    check_disk([Path(path) for path in references], Path("."))
    print(*moved, sep="\n", end="\n" if moved else "")


def _models(pins: Mapping[str, Pin]) -> dict[str, Pin]:
    """Checkpoints by their names, without what others tuned."""
    return {
        pinned_folder(Path(path)).name: pin
        for path, pin in pins.items()
        if pin.kind == "model" and not (pin.reference or {})["checkpoint"].get("adapter")
    }


def _sizes(pin: Pin) -> dict:
    """Sizes of a model's parts, from its config.json at the pin's commit."""
    place = pin.places()[CONFIG].path
    url = hf_hub_url(pin.repository, place, repo_type="model", revision=pin.commit)

    def ask() -> dict:
        response = get_session().get(url, headers=build_hf_headers())
        hf_raise_for_status(response)
        return response.json()

    config = listed(ask, f"reading {CONFIG} of {pin.repository}")
    return {key: config[key] for key in SIZES if config.get(key) is not None}


def resolve(reference: Reference) -> Pin:
    """Find the pin of a reference; raises what the functions below raise."""
    if "checkpoint" in reference:
        pin = resolve_checkpoint(reference["checkpoint"])
    elif "metric" in reference:
        pin = resolve_metric(**reference["metric"])
    else:
        pin = resolve_split(**reference["split"])
    return replace(pin, reference=dict(reference))


def resolve_checkpoint(source: Mapping) -> Pin:
    """Find a checkpoint's branch or folder, its commit and its files.

    Args:
        source: ``repository``; ``branch``, or ``named_step`` with ``branches``, a pattern of
            branch names (see ``ptft.hub.pins.place_in_name``); ``subfolder`` of the branch, or
            ``named_step`` with ``subfolders``, such a pattern of its folders; ``step`` and
            ``tokens`` where names do not say them; ``after`` (``step`` and ``tokens`` at which
            its stage begins, added to what the names say); ``tokenizer`` (``repository`` and
            ``revision`` that hold it, if not the checkpoint's); ``allow_pickle``; ``adapter``:
            whether an adapter without whole weights will do.

    Raises:
        HubError: there is no such step (the message lists the nearest), branch or folder, or it
            has no weights of an allowed kind.
    """
    repository = source["repository"]
    branch, commit = _head(repository, source, source.get("branch"))
    files, folder = _list_files(repository, "model", commit), source.get("subfolder")
    if source.get("subfolders") and folder is None:
        folders = sorted({file.path.split("/")[0] for file in files if "/" in file.path})
        folder = _of_step(f"{repository} ({branch})", "subfolder", source, folders)
    place = f"{repository} ({branch}{f', {folder}' if folder else ''})"
    tokenizer = source.get("tokenizer")
    own = _inside(files, folder)
    if source.get("adapter") and set(ADAPTER) <= own.keys() and not weights_among(own):
        chosen = tuple(_pinned(file) for name, file in own.items() if name in ADAPTER)
        return Pin(repository, "model", branch, commit, chosen)
    chosen = _model_files(place, own, source.get("allow_pickle", False), tokenizer is None)
    if tokenizer is not None:
        chosen += _tokenizer_files(tokenizer["repository"], tokenizer["revision"])
    said = place_in_name(source.get("subfolders") or source.get("branches"), folder or branch)
    step, tokens, _ = said or (None, None, None)
    after = source.get("after") or {}
    return Pin(
        repository,
        "model",
        branch,
        commit,
        chosen,
        step=source.get("step") if step is None else step + (after.get("step") or 0),
        tokens=source.get("tokens") if tokens is None else tokens + (after.get("tokens") or 0),
    )


def _head(repository: str, source: Mapping, branch: str | None) -> tuple[str, str]:
    """Branch and commit of a checkpoint or tokenizer."""
    refs = listed(lambda: api().list_repo_refs(repository), f"listing the branches of {repository}")
    if branch is None and source.get("branches"):
        branch = _of_step(repository, "branch", source, [ref.name for ref in refs.branches])
    branch = branch or "main"
    heads = {ref.name: ref.target_commit for ref in [*refs.branches, *refs.tags]}
    if branch not in heads and not re.fullmatch("[0-9a-f]{40}", branch):
        raise HubError(
            f"{repository} has no branch {branch!r}; it has {_some(sorted(heads))}. Name one of "
            "them as the checkpoint's `branch`"
        )
    return branch, heads.get(branch, branch)


def _inside(files: Iterable[RepoFile], folder: str | None) -> dict[str, RepoFile]:
    """Name -> file of those that lie in a folder itself."""
    start = f"{folder}/" if folder else ""
    inside = {file.path.removeprefix(start): file for file in files if file.path.startswith(start)}
    return {name: file for name, file in inside.items() if "/" not in name}


def _tokenizer_files(repository: str, revision: str) -> tuple[PinnedFile, ...]:
    """The tokenizer of another repository or branch."""
    branch, commit = _head(repository, {}, revision)
    files = _inside(_list_files(repository, "model", commit), None)
    if not set(VOCABULARIES) & set(files):
        raise HubError(
            f"{repository} ({branch}) has no tokenizer: found {_some(sorted(files))}, expected "
            f"{' or '.join(VOCABULARIES)}; correct `tokenizer` in the model's file"
        )
    return tuple(
        replace(_pinned(file), repository=repository, commit=commit)
        for name, file in files.items()
        if name in TOKENIZER
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
        known = {file.path.split("/")[0] for file in files if file.path.endswith(".parquet")}
        # Without a name, the only one is meant, whatever it is called.
        for name in [config, *(known if config == "default" and len(known) == 1 else ())]:
            chosen = [file for file in files if _is_of_split(file.path, name, split)]
            if chosen:
                break
        if chosen:
            return Pin(repository, "dataset", branch, commit, tuple(map(_pinned, chosen)))
    places = "; ".join(f"on {branch}: {_some(paths)}" for branch, paths in seen.items())
    raise HubError(
        f"the dataset {repository} has no parquet files of config {config!r}, split {split!r}. It "
        f"has {places}. Correct `config` or `splits` in the family's file"
    )


def resolve_metric(name: str, repository: str, revision: str) -> Pin:
    """Find the code of a metric of ``evaluate`` in a Space, without the page that shows it.

    Raises:
        HubError: there is no such Space or revision, or no such metric in it.
    """
    what = f"looking up {revision} of the metric {repository}"
    commit = listed(lambda: api().space_info(repository, revision=revision).sha, what)
    files = _inside(_list_files(repository, "space", commit), None)
    code = [file for path, file in files.items() if path.endswith(".py") and path != "app.py"]
    if f"{name}.py" not in files:
        raise HubError(
            f"{repository} ({revision}) has no {name}.py; it has {_some(sorted(files))}. Name "
            "another `repository` of the metric in the family's file"
        )
    return Pin(repository, "space", revision, commit, tuple(map(_pinned, code)))


def _of_step(place: str, kind: str, source: Mapping, names: Iterable[str]) -> str:
    """The branch or folder of a step, looked up since token counts in names follow no rule."""
    pattern = source["branches" if kind == "branch" else "subfolders"]
    named = source.get("named_step")
    step = source["step"] if named is None else named
    steps: dict[int, list[str]] = {}
    for name in names:
        said = place_in_name(pattern, name)
        if said and said[0] is not None:
            steps.setdefault(said[0], []).append(name)
    if not steps:
        raise HubError(f"no {kind} of {place} matches the pattern {pattern!r}")
    if step not in steps:
        nearest = sorted(sorted(steps, key=lambda other: abs(other - step))[:NEAREST])
        raise HubError(
            f"{place} has no checkpoint of step {step}; the nearest are "
            f"{', '.join(f'step{other}' for other in nearest)} (of {len(steps)})"
        )
    if len(steps[step]) > 1:
        raise HubError(
            f"{place} has more than one {kind} of step {step}: {', '.join(steps[step])}. Name one "
            f"in the model's file: checkpoints: {{step{step}: {{step: {step}, {kind}: …}}}}"
        )
    return steps[step][0]


def _list_files(repository: str, kind: str, commit: str) -> list[RepoFile]:
    def tree() -> list[RepoFile]:
        entries = api().list_repo_tree(repository, repo_type=kind, revision=commit, recursive=True)
        return [entry for entry in entries if isinstance(entry, RepoFile)]

    return listed(tree, f"listing the files of {repository}")


def _model_files(
    place: str, files: Mapping[str, RepoFile], allow_pickle: bool, tokenizer: bool
) -> tuple[PinnedFile, ...]:
    """The files to fetch of a model, with its tokenizer or without."""
    weights = weights_among(files)
    if weights and PICKLES.fullmatch(weights[0]) and not allow_pickle:
        raise HubError(
            f"{place} has its weights as {weights[0]} only: reading a pickle can run foreign code. "
            "If you trust its makers, set `allow_pickle: true` in the model's file; else look for "
            "a branch with safetensors"
        )
    if not weights or CONFIG not in files:
        raise HubError(
            f"{place} is not a model in the Hub's layout: config.json and model.safetensors are "
            f"expected, found {_some(sorted(files))}"
        )
    sharded = [name for name in weights if "-of-" in name or name.endswith(".json")]
    wanted = {*CONFIGURATION, *(TOKENIZER if tokenizer else ()), *(sharded or weights)}
    return tuple(_pinned(file) for name, file in files.items() if name in wanted)


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
