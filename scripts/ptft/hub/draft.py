"""A first draft of a model's file, from how a repository of the Hub names its checkpoints."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from huggingface_hub import RepoFile

from ptft.hub.client import HubError, api, listed
from ptft.hub.pins import place_in_name
from ptft.models.folder import CONFIG, weights_among

# What stands in front of a number says what it counts; or the unit behind it does.
STEP = re.compile(r"(step|iter|iteration|update)s?[-_]?$", re.IGNORECASE)
INDEX = re.compile(r"(ckpt|checkpoint|revision)s?[-_]?$", re.IGNORECASE)
TOKENS = re.compile(r"tokens?[-_]?$", re.IGNORECASE)
UNIT = re.compile(r"([KMBT])(?=$|[-_]|tokens?|T)", re.IGNORECASE)
NUMBER = re.compile(r"(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Naming:
    """Names of one pattern.

    Attributes:
        pattern: regular expression with the groups of ``ptft.hub.pins.place_in_name``.
        names: those that it matches, in the order of pre-training.
    """

    pattern: str
    names: list[str]

    @property
    def stage(self) -> str:
        """Text in front of the first number that counts, as a name of a stage."""
        begin = re.split(r"\(\?P<", self.pattern)[0].replace("\\", "")
        return (
            re.sub(r"[^A-Za-z0-9]*(step|iter|ckpt|checkpoint)?[^A-Za-z0-9]*$", "", begin) or "main"
        )


def pattern_of(name: str) -> str | None:
    """A regular expression for names like this one; None if no number in it counts anything."""
    parts, pattern, counted = NUMBER.split(name), "", set()
    for number in range(0, len(parts) - 1, 2):
        before, digits, behind = parts[number : number + 3]
        pattern += re.escape(before).replace(r"\-", "-")
        unit = UNIT.match(behind)
        group = None
        if STEP.search(before):
            group = "step"
        elif TOKENS.search(before) or unit:
            group = "tokens"
        elif INDEX.search(before):
            group = "index"
        if group is None or group in counted:
            pattern += re.escape(digits)
            continue
        counted.add(group)
        digit = r"[\d.]+" if "." in digits else r"\d+"
        pattern += f"(?P<{group}>{digit})"
        if group == "tokens" and unit and unit[1].upper() != "B":  # billions need no word
            pattern += f"(?P<unit>{unit[1]})"
            parts[number + 2] = behind[1:]
    if not counted:
        return None
    return pattern + re.escape(parts[-1]).replace(r"\-", "-")


def namings(names: Iterable[str]) -> list[Naming]:
    """Patterns of names, that of the most names first."""
    found: dict[str, list[str]] = {}
    for name in names:
        if pattern := pattern_of(name):
            found.setdefault(pattern, []).append(name)
    ordered = [
        Naming(pattern, sorted(alike, key=lambda name: _place(pattern, name)))
        for pattern, alike in found.items()
    ]
    return sorted(ordered, key=lambda naming: (-len(naming.names), naming.pattern))


def _place(pattern: str, name: str) -> tuple[int, ...]:
    said = place_in_name(pattern, name) or ()
    return tuple(-1 if number is None else number for number in said)


def draft_model(repository: str) -> None:
    """Print how a repository of the Hub names its checkpoints, as a first draft of a model's file.

    Args:
        repository: OWNER/NAME on the Hub

    Raises:
        HubError: there is no such repository.
    """
    refs = listed(lambda: api().list_repo_refs(repository), f"listing the branches of {repository}")
    branches = [ref.name for ref in refs.branches]
    files = _files(repository, "main") if "main" in branches else []
    key, found = "branches", namings(branches)
    if not found:
        key, found = "subfolders", namings(_model_folders(files))
    others = [name for name in branches if not any(name in each.names for each in found)]
    lines = [
        f"# {repository}: {len(branches)} branches" + _told(found, key),
        *([f"# other branches: {', '.join(others[:20])}"] if others else []),
        "description: …  # of the model and its checkpoints",
        f"parameters: {_parameters(repository)}",
        "source:",
        "  kind: hub",
        f"  repository: {repository}",
        *_source(key, found),
    ]
    if _is_model(files):
        lines += ["  checkpoints:", "    main: {}  # {step: …, tokens: …}"]
    print("\n".join(lines))


def _told(found: Sequence[Naming], kind: str) -> str:
    return "".join(
        f"\n#   {len(each.names)} {kind} from {each.names[0]} to {each.names[-1]}" for each in found
    )


def _source(key: str, found: Sequence[Naming]) -> list[str]:
    if not found:
        return []
    if len(found) == 1:
        return _naming("  ", key, found[0])
    lines = ["  stages:  # in their order"]
    stages: dict[str, Naming] = {}
    for naming in sorted(found, key=lambda each: each.names[0]):
        name, number = naming.stage, 2
        while name in stages:
            name, number = f"{naming.stage}_{number}", number + 1
        stages[name] = naming
    for name, naming in stages.items():
        lines += [f"    {name}:", *_naming("      ", key, naming)]
        lines += ["      # after: {step: …, tokens: …}  # if its names count from there"]
    return lines


def _naming(space: str, key: str, naming: Naming) -> list[str]:
    lines = [f"{space}{key}: {naming.pattern}"]
    if "<tokens>" not in naming.pattern:
        per = "step" if "<step>" in naming.pattern else "index"
        lines.append(f"{space}# tokens_per_{per}: …")
    return lines


def _files(repository: str, revision: str) -> list[str]:
    def tree() -> list[str]:
        entries = api().list_repo_tree(repository, revision=revision, recursive=True)
        return [entry.path for entry in entries if isinstance(entry, RepoFile)]

    return listed(tree, f"listing the files of {repository}")


def _model_folders(files: Sequence[str]) -> list[str]:
    folders: dict[str, list[str]] = {}
    for file in files:
        folder, _, name = file.partition("/")
        folders.setdefault(folder, []).append(name)
    return [folder for folder, names in folders.items() if _is_model(names)]


def _is_model(names: Sequence[str]) -> bool:
    return CONFIG in names and bool(weights_among(names))


def _parameters(repository: str) -> str:
    """How many, where the Hub has counted them."""
    try:
        info = listed(
            lambda: api().model_info(repository, expand=["safetensors"]), f"looking up {repository}"
        )
    except HubError:
        return "…"
    counted = info.safetensors.total if info.safetensors else None
    return f"{counted:_}" if counted else "…"
