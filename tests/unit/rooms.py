"""The rooms of the library, and which imports from which.

    python tests/unit/rooms.py [CHECKOUT]

prints how many rooms, arrows between them and circles there are. A room is a package in
``scripts/ptft``; a module that lies flat beside the packages is one, too.
"""

import ast
import sys
from collections import defaultdict
from pathlib import Path

LIBRARY = Path(__file__).resolve().parents[2] / "scripts/ptft"


def module_files(library: Path = LIBRARY) -> dict[str, Path]:
    """Dotted name below ``ptft`` -> file; a package goes by its own name."""
    found = {}
    for file in sorted(library.rglob("*.py")):
        parts = file.relative_to(library).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = file
    found.pop("", None)
    return found


def imports(library: Path = LIBRARY) -> dict[str, set[str]]:
    """Module -> modules of the library that it imports, anywhere in its text."""
    files = module_files(library)
    found: dict[str, set[str]] = {}
    for module, file in files.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                known = {name for name in inner if name.removeprefix("ptft.") in files}
                names |= known or {node.module}
        found[module] = {
            name.removeprefix("ptft.") for name in names if name.removeprefix("ptft.") in files
        } - {module}
    return found


def room(module: str) -> str:
    """The room that a module is in."""
    return module.split(".")[0]


def arrows(library: Path = LIBRARY) -> dict[str, set[str]]:
    """Room -> rooms that its modules import from."""
    found: dict[str, set[str]] = defaultdict(set)
    for module, imported in imports(library).items():
        found[room(module)] |= {room(name) for name in imported} - {room(module)}
    return dict(found)


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Groups that can be reached from one another."""

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for name in graph.get(waiting.pop(), ()):
                if name not in seen:
                    seen.add(name)
                    waiting.append(name)
        return seen

    reach = {name: reached(name) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach.get(other, ()))
        for name in graph
        if name in reach[name]
    }
    return [set(group) for group in groups]


def long_functions(library: Path = LIBRARY, lines: int = 60) -> list[str]:
    """Functions of more lines than that."""
    return [
        f"{module}.{node.name}: {node.end_lineno - node.lineno + 1}"
        for module, file in module_files(library).items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= lines
    ]


def long_modules(library: Path = LIBRARY, lines: int = 600) -> list[str]:
    """Modules of more lines than that."""
    sizes = {
        module: len(file.read_text(encoding="utf-8").splitlines())
        for module, file in module_files(library).items()
    }
    return [f"{module}: {size}" for module, size in sizes.items() if size > lines]


if __name__ == "__main__":
    place = Path(sys.argv[1]) / "scripts/ptft" if sys.argv[1:] else LIBRARY
    between = arrows(place)
    print(f"rooms: {len(between)}")
    print(f"arrows between rooms: {sum(map(len, between.values()))}")
    print(f"circles of rooms: {circles(between)}")
    print(f"circles of modules: {circles(imports(place))}")
    print(f"modules over 600 lines: {long_modules(place)}")
    print(f"functions over 60 lines: {long_functions(place)}")
