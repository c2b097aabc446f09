"""Reading a study: the study's own file, its model's and its families', into checked types."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from ptft.study.errors import StudyError, explain, locate, suggest
from ptft.study.families import Family
from ptft.study.models import Model
from ptft.study.schema import Study


@dataclass(frozen=True)
class Loaded:
    """A study and everything it names, each checked on its own."""

    study: Study
    model: Model
    families: dict[str, Family]
    files: tuple[Path, ...]
    """the study's own files, for messages"""


def load(config: Mapping, files: Sequence[Path], library: Path) -> Loaded:
    """Check a study and read what it names.

    Model and family files are looked up beside the study's file first, then in ``library``,
    so that someone's own models and families need not live inside the workflow.

    Args:
        config: the merged content of ``files`` (Snakemake's ``config``).
        files: where ``config`` came from, for messages and look-ups.
        library: the workflow's config folder.

    Raises:
        StudyError: naming file, line, key, what was found and what was expected.
    """
    study = _checked(Study, dict(config), files)
    folders = [*dict.fromkeys(path.parent for path in files), library]
    model_files = _named_files(folders, "models")
    if study.model not in model_files:
        raise StudyError(
            f"{locate(('model',), files)}: unknown model {study.model!r}; "
            f"{suggest(study.model, sorted(model_files))} (looked for models/{study.model}.yaml in "
            f"{', '.join(map(str, folders))})"
        )
    model = _read(Model, model_files[study.model])
    family_files = _named_files(folders, "families")
    families = {name: _read(Family, path) for name, path in sorted(family_files.items())}
    _refuse_twins(families, family_files)
    return Loaded(study, model, families, tuple(files))


def dump(value: object) -> object:
    """Plain data of a checked type (or of a mapping of them), as YAML and JSON can hold it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {key: dump(item) for key, item in value.items()}
    return value


def _named_files(folders: Sequence[Path], kind: str) -> dict[str, Path]:
    """name -> file; a file in an earlier folder hides those of its name in later ones."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted((folder / kind).glob("*.yaml")):
            found.setdefault(path.stem, path)
    return found


def _read(schema: type[BaseModel], path: Path) -> BaseModel:
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise StudyError(f"{path}: not valid YAML: {error}") from error
    return _checked(schema, content, [path])


def _checked(schema: type[BaseModel], content: object, files: Sequence[Path]) -> BaseModel:
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise explain(error, schema, files) from None


def _refuse_twins(families: Mapping[str, Family], files: Mapping[str, Path]) -> None:
    """A dataset or task name must say by itself which family it belongs to."""
    for kind in ("datasets", "tasks"):
        owner: dict[str, str] = {}
        for family, spec in families.items():
            for name in getattr(spec, kind):
                if name in owner:
                    raise StudyError(
                        f"{files[family]}: {kind}.{name} also stands in {files[owner[name]]}; "
                        "rename one of them"
                    )
                owner[name] = family
