"""Reading a study: the study's own file, its model's and its families', into checked types."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ptft.errors import StudyError, checked, locate, read_mapping, require_keys_once, suggest
from ptft.paths import Results
from ptft.study.families import Extension, Family
from ptft.study.harness import FAMILY, harness_family
from ptft.study.models import Model
from ptft.study.schema import Study

LIBRARY = Path(__file__).resolve().parents[3] / "config"
"""the workflow's own models, families and studies"""
POCKET = LIBRARY / "pocket.yaml"
"""the study that is run where none is named"""


@dataclass(frozen=True)
class Loaded:
    """A study and everything it names, each checked on its own."""

    study: Study
    model: Model
    families: dict[str, Family]
    files: Sequence[Path]
    """the study's own files, for messages"""
    model_file: Path
    family_files: dict[str, list[Path]]
    """family -> its file, and those that extend it"""


def load(config: Mapping, files: Sequence[Path], library: Path) -> Loaded:
    """Check a study and read what it names.

    Model and family files are looked up beside the study's file first, then in ``library``,
    so that someone's own models and families need not live inside the workflow.

    Args:
        config: the merged content of ``files`` (Snakemake's ``config``).
        files: where ``config`` came from, for messages and look-ups; ``ConfigFiles`` where
            some of it may be from the command line.
        library: the workflow's config folder.

    Raises:
        StudyError: naming file, line, key, what was found and what was expected.
    """
    require_keys_once(files)
    study = checked(Study, dict(config), files)
    folders = list(dict.fromkeys([*(path.parent for path in files), library]))
    model, model_file = _model(study.model, folders, files)
    families, family_files = read_families(folders)
    if study.evaluate.harness is not None:
        asked = study.evaluate.harness
        own = harness_family(asked, study.root, files, LIBRARY.parent / "scripts")
        families, family_files = families | {FAMILY: own}, family_files | {FAMILY: list(files)}
    return Loaded(study, model, families, files, model_file, family_files)


def _model(name: str, folders: Sequence[Path], files: Sequence[Path]) -> tuple[Model, Path]:
    """The model of a name, by its own file or as a variant in another's, and the file."""
    found = {path.stem: path for path in reversed(_yaml_files(folders, "models"))}
    if name in found:
        return checked(Model, read_mapping(found[name]), [found[name]]), found[name]
    variants: dict[str, Path] = {}
    for path in found.values():
        if isinstance(listed := read_mapping(path).get("variants"), Mapping):
            variants |= dict.fromkeys(listed, path)
    if name in variants:
        file = variants[name]
        return checked(Model, read_mapping(file), [file]).variant(name), file
    raise StudyError(
        f"{locate(('model',), files)}: unknown model {name!r}; "
        f"{suggest(name, sorted({**found, **variants}))} (looked for models/{name}.yaml, and for "
        f"`variants`, in {', '.join(map(str, folders))})"
    )


def read_families(folders: Sequence[Path]) -> tuple[dict[str, Family], dict[str, list[Path]]]:
    """The families of config folders, by name, and the files that each is from.

    Raises:
        StudyError: a file is no family, or two families have a dataset of the same name.
    """
    family_files, contents = _families(_yaml_files(folders, "families"))
    families = {
        name: checked(Family, contents[name], family_files[name]) for name in sorted(contents)
    }
    _require_own_names(families, family_files)
    return families, family_files


def titles(families: Mapping[str, Family]) -> dict[str, dict[str, str]]:
    """Names as people write them: `datasets`, `families` and `tasks` -> name -> title.

    A name without one is left out; a task without a title has that of the dataset it is trained
    on. They decide no result.
    """
    found: dict[str, dict[str, str]] = {"datasets": {}, "families": {}, "tasks": {}}
    for family_name, family in families.items():
        datasets = {name: dataset.title for name, dataset in family.datasets.items()}
        tasks = {name: task.title or datasets[task.dataset] for name, task in family.tasks.items()}
        for kind, named in (
            ("datasets", datasets),
            ("families", {family_name: family.title}),
            ("tasks", tasks),
        ):
            found[kind] |= {name: title for name, title in named.items() if title}
    return found


def require_own_results(results: Results, files: Sequence[Path]) -> None:
    """Refuse a study whose results folder another study file of the same name has written.

    A file that was moved, renamed or rewritten owns nothing any more.

    Raises:
        StudyError: naming both files.
    """
    file, record = _naming_file(files, results.study), Path(results.study_file)
    owner = Path(record.read_text()) if record.is_file() else None
    if file is None or owner is None or _naming_file([owner], results.study) is None:
        return
    if not owner.samefile(file):
        raise StudyError(
            f"{locate(('study',), [file])}: study: results of the name {results.study!r} belong to "
            f"{owner}; rename one of the two studies, or remove that file if this one "
            "takes its place"
        )


def note_owner(results: Results, files: Sequence[Path]) -> None:
    """Remember which file the results come from, relative to the working directory."""
    file = _naming_file(files, results.study)
    if file is not None:
        Path(results.study_file).parent.mkdir(parents=True, exist_ok=True)
        Path(results.study_file).write_text(os.path.relpath(file))


def _naming_file(files: Sequence[Path], study: str) -> Path | None:
    """The file that gives the study its name; None where the command line does."""
    for file in reversed(files):
        try:
            if file.is_file() and read_mapping(file).get("study") == study:
                return file
        except StudyError:
            continue
    return None


def dump(value: Any) -> Any:
    """Plain data of a checked type (or of a mapping of them), as YAML and JSON can hold it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {key: dump(item) for key, item in value.items()}
    return value


def _yaml_files(folders: Sequence[Path], kind: str) -> list[Path]:
    """Files of a kind; one in an earlier folder comes before those of its name in later ones."""
    found = []
    for folder in folders:
        for path in sorted((folder / kind).glob("*")):
            if path.suffix == ".yaml":
                found.append(path)
            elif path.suffix.lower() in (".yml", ".yaml"):
                raise StudyError(f"{path}: would not be read; rename it {path.stem}.yaml")
    return found


def _families(paths: Sequence[Path]) -> tuple[dict[str, list[Path]], dict[str, dict]]:
    """The files and the content of every family, with what other files add to it."""
    files: dict[str, list[Path]] = {}
    contents: dict[str, dict] = {}
    extensions: dict[Path, dict] = {}
    for path in paths:
        content = read_mapping(path)
        if "extends" in content:
            extensions[path] = content
        elif path.stem not in files:
            files[path.stem], contents[path.stem] = [path], content
    for path, content in extensions.items():
        added = _extension(path, content, files)
        contents[added.extends] = _extended(contents[added.extends], content, path, files)
        files[added.extends].append(path)
    return files, contents


def _extension(path: Path, content: Mapping, files: Mapping[str, Sequence[Path]]) -> Extension:
    """Check the file of an extension on its own, and that it names a family."""
    for key in content:
        if key in Family.model_fields and key not in Extension.model_fields:
            raise StudyError(
                f"{locate((key,), [path])}: {key} can't be changed by a file with `extends`, which "
                f"adds {', '.join(Extension.SECTIONS)}; a family of its own can have it"
            )
    extension = checked(Extension, content, [path])
    if extension.extends not in files:
        raise StudyError(
            f"{locate(('extends',), [path])}: extends: unknown family {extension.extends!r}; "
            f"{suggest(extension.extends, sorted(files))}"
        )
    return extension


def _extended(
    content: Mapping, added: Mapping, path: Path, files: Mapping[str, Sequence[Path]]
) -> dict:
    """The content of a family with what an extension adds; it may change nothing."""
    merged = dict(content)
    for section in Extension.SECTIONS:
        present = content.get(section) or {}
        for name in added.get(section) or {}:
            if name in present:
                owner = locate((section, name), files[added["extends"]])
                raise StudyError(
                    f"{locate((section, name), [path])}: {section}.{name} is already in {owner}; "
                    "a file with `extends` adds and changes nothing, so take another name"
                )
        merged[section] = {**present, **(added.get(section) or {})}
    return merged


def _require_own_names(families: Mapping[str, Family], files: Mapping[str, Sequence[Path]]) -> None:
    """A dataset or task name must say by itself which family it belongs to."""
    for kind in ("datasets", "tasks"):
        owner: dict[str, str] = {}
        for family, spec in families.items():
            for name in getattr(spec, kind):
                if name in owner:
                    first, second = (
                        locate((kind, name), files[each]) for each in (owner[name], family)
                    )
                    raise StudyError(
                        f"{second}: {kind}.{name} is also in {first}; rename one of them"
                    )
                owner[name] = family
