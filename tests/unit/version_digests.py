"""Digests of each version in ``ptft.versions`` stands for, as a digest.

    python tests/unit/version_digests.py

declares that the versions are right for the code as it is now: it writes the digests that
``test_versions.py`` compares.

The digest of a version is over the code that its program reaches by imports. What cannot change a
number does not count: comments, docstrings, imports, log lines, messages of errors, type hints,
the command line, and in which module something stands. The pocket world counts by what it holds.
Settings and templates stand in the jobs' slices themselves.
"""

import ast
import functools
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
FILE = Path(__file__).with_suffix(".json")
# Version -> the program that makes what it stands for.
PROGRAMS = {
    "DATA_VERSION": "prepare_split",
    "TRAINING_VERSION": "finetune_model",
    "SCORING_VERSION": "evaluate_model",
    "POCKET_VERSION": "pretrain_checkpoint",
    "CHECKS_VERSION": "collect_checks",
}
# Reached by the programs, but none of their numbers depends on them.
HARMLESS = {
    "ptft.runtime.bars",
    "ptft.runtime.job_records",
    "ptft.runtime.gpus",
    "ptft.runtime.locks",
    "ptft.models.folder",
    "ptft.errors",
    "ptft.paths",
    "ptft.evaluation.records",
    "ptft.training.records",
    "ptft.training.state",
    "ptft.versions",
}
COMMAND_LINE = {"main", "parse_arguments"}
# Of the syntax tree: hints, places of names, what newer Pythons add.
UNCOUNTED = {"annotation", "returns", "ctx", "kind", "type_comment", "type_params"}


def version_digests() -> dict[str, dict]:
    """Of every version: its number and the digest of what it stands for."""
    from ptft import versions

    digests = {name: code_digest(program) for name, program in PROGRAMS.items()}
    digests["POCKET_VERSION"] = _sha256([digests["POCKET_VERSION"], *pocket_world()])
    return {
        name: {"version": getattr(versions, name), "digest": digest}
        for name, digest in digests.items()
    }


def code_digest(program: str, scripts: Path = SCRIPTS) -> str:
    """Digest of the statements of a program and of all that it imports from the library."""
    trees = _reached(program, scripts)
    return _sha256(sorted(shape for tree in trees for shape in _shapes(tree)))


def pocket_world() -> Iterator[str]:
    """The text of the pocket study's corpus and datasets."""
    from ptft.pocket.corpus import write_documents
    from ptft.pocket.tasks import CHOICES, DATASETS, DOCUMENTS, draw_dataset
    from ptft.pocket.world import build_world

    world = build_world(0)
    yield from write_documents(world, DOCUMENTS)
    for name in (*DATASETS, *CHOICES):
        yield json.dumps([name, draw_dataset(world, name)])


def _reached(program: str, scripts: Path) -> list[ast.Module]:
    found: dict[str, ast.Module] = {}
    waiting = [program]
    while waiting:
        module = waiting.pop()
        file = _file(module, scripts)
        if module in found or module in HARMLESS or file is None:
            continue
        found[module] = _parsed(file.read_bytes())
        for node in ast.walk(found[module]):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ptft"):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                waiting += [name if _file(name, scripts) else node.module for name in names]
            elif isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names if alias.name.startswith("ptft")]
    return list(found.values())


@functools.cache  # most modules are reached by several programs, and a test edits one of them
def _parsed(source: bytes) -> ast.Module:
    return ast.parse(source)


@functools.cache
def _shapes(tree: ast.Module) -> list[str]:
    """Each statement of a module that counts, as text."""
    return [repr(_shape(statement)) for statement in tree.body if _counts(statement)]


def _file(module: str, scripts: Path) -> Path | None:
    """File of a module; None for what is none (a name in one)."""
    place = scripts / module.replace(".", "/")
    files = [place.with_name(f"{place.name}.py"), place / "__init__.py"]
    return next((file for file in files if file.exists()), None)


def _counts(statement: ast.AST) -> bool:
    """Whether a statement can change a number."""
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Expr(ast.Constant(str())):
            return False
        case ast.Expr(ast.Call(ast.Attribute(ast.Name("log" | "logging")))):
            return False
        case ast.FunctionDef(name):
            return name not in COMMAND_LINE
        case ast.If(ast.Compare(ast.Name("__name__"))) | ast.If(ast.Name("TYPE_CHECKING")):
            return False
    return True


def _shape(node: object) -> object:
    """A part of a syntax tree as tuples, the same under every Python."""
    if isinstance(node, ast.Raise):
        return "raise"
    if isinstance(node, ast.AST):
        fields = [(k, _shape(v)) for k, v in ast.iter_fields(node) if k not in UNCOUNTED]
        return (type(node).__name__, *(field for field in fields if field[1] not in (None, [])))
    if isinstance(node, list):
        return [_shape(part) for part in node if _counts(part)]
    return None if node is None else repr(node)


def _sha256(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{text}\0".encode())
    return digest.hexdigest()


if __name__ == "__main__":
    sys.path.insert(0, str(SCRIPTS))
    FILE.write_text(json.dumps(version_digests(), indent=2) + "\n")
    print(f"written: {FILE}")
