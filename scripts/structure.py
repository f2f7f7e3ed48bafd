"""Checks the shape of the product: no import circle, no long file, no large class. Part of ``make lint``.

``[tool.structure]`` in ``pyproject.toml`` says what is looked at, the limits, and what is let pass for now. An
exception that is needed no longer fails the check, too: the list only ever gets shorter.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What ``[tool.structure]`` says.

    Attributes:
        packages: Folders of the packages, from the root of the project.
        generated: Folders that nobody writes by hand; nothing in them is looked at.
        suffixes: Endings of the files whose lines count.
        max_lines: Of any file.
        p90_lines: Nine files in ten are no longer.
        max_methods: Of any class; the parts of one property count once.
        long_files: Files that may be longer for now.
        large_classes: Classes that may have more methods for now, as ``path:name``.
        circles: Imports that are let pass for now, as ``module -> module``; a circle has at least one of them.
    """

    packages: Sequence[str]
    generated: Sequence[str] = ()
    suffixes: Sequence[str] = (".py",)
    max_lines: int = 400
    p90_lines: int = 300
    max_methods: int = 25
    long_files: Sequence[str] = ()
    large_classes: Sequence[str] = ()
    circles: Sequence[str] = ()


def check(root: Path, rules: Rules) -> list[str]:
    """What is wrong with the tree under ``root``, a line each; empty when all is well."""
    files = _files(root, rules)
    trees = {path: ast.parse((root / path).read_text(), path) for path in files if path.endswith(".py")}
    return [*_lengths(root, files, rules), *_classes(trees, rules), *_circles(trees, rules)]


def _files(root: Path, rules: Rules) -> list[str]:
    found = (path for package in rules.packages for path in (root / package).rglob("*"))
    names = (path.relative_to(root).as_posix() for path in found if path.suffix in rules.suffixes)
    return sorted(name for name in names if not any(name.startswith(f"{folder}/") for folder in rules.generated))


# ---- lines and methods -----------------------------------------------------------------------------------------------


def _lengths(root: Path, files: Sequence[str], rules: Rules) -> Iterator[str]:
    lines = {path: len((root / path).read_text().splitlines()) for path in files}
    long = {path: f"{n} lines, {rules.max_lines} at most" for path, n in lines.items() if n > rules.max_lines}
    yield from _against(long, rules.long_files, "long_files")
    counted = sorted(n for path, n in lines.items() if path not in rules.long_files)
    if counted and (p90 := counted[-(-9 * len(counted) // 10) - 1]) > rules.p90_lines:
        yield f"nine files in ten have up to {p90} lines, {rules.p90_lines} at most"


def _classes(trees: Mapping[str, ast.Module], rules: Rules) -> Iterator[str]:
    large = {}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                methods = {n.name for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
                if len(methods) > rules.max_methods:
                    large[f"{path}:{node.name}"] = f"{len(methods)} methods, {rules.max_methods} at most"
    yield from _against(large, rules.large_classes, "large_classes")


def _against(found: Mapping[str, str], excepted: Sequence[str], where: str) -> Iterator[str]:
    for name, why in found.items():
        if name not in excepted:
            yield f"{name}: {why}"
    for name in excepted:
        if name not in found:
            yield f"{name}: needs no exception any more, take it out of {where}"


# ---- imports ---------------------------------------------------------------------------------------------------------

Graph = dict[str, dict[str, int]]
"""By module, what it imports, and in which line it does so first."""


def _circles(trees: Mapping[str, ast.Module], rules: Rules) -> Iterator[str]:
    modules = {_module(path, rules.packages): path for path in trees}
    graph: Graph = {name: _imports(name, trees[path], modules) for name, path in modules.items()}
    excepted = [tuple(text.split(" -> ")) for text in rules.circles]
    rest = {name: {to: n for to, n in seen.items() if (name, to) not in excepted} for name, seen in graph.items()}
    for group in _knots(rest):
        steps = _shortest_circle(rest, group)
        lines = [f"  {modules[a]}:{rest[a][b]} imports {b}" for a, b in pairwise(steps)]
        yield "\n".join([f"import circle among {', '.join(sorted(group))}:", *lines])
    tied = {name: group for group in _knots(graph) for name in group}
    for text, (a, b) in zip(rules.circles, excepted, strict=True):
        if b not in graph.get(a, {}) or b not in tied.get(a, ()):
            yield f"{text}: needs no exception any more, take it out of circles"


def _module(path: str, packages: Sequence[str]) -> str:
    (top,) = (Path(package) for package in packages if path.startswith(f"{package}/"))
    parts = Path(path).relative_to(top.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(name: str, tree: ast.Module, modules: Mapping[str, str]) -> dict[str, int]:
    """Those of the project, wherever they stand: under TYPE_CHECKING and in functions, too.

    ``from a import b`` imports ``a.b`` if that is a module, ``a`` otherwise. That Python also runs the packages above a
    module does not count.
    """
    found: dict[str, int] = {}
    for node in ast.walk(tree):
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = _source(name, node, modules)
            targets = [f"{source}.{a.name}" if f"{source}.{a.name}" in modules else source for a in node.names]
        for target in targets:
            if target in modules:
                found.setdefault(target, node.lineno)  # type: ignore[attr-defined]
    return found


def _source(name: str, node: ast.ImportFrom, modules: Mapping[str, str]) -> str:
    if not node.level:
        return node.module or ""
    up = node.level - modules[name].endswith("__init__.py")
    above = name.rsplit(".", up)[0] if up else name
    return f"{above}.{node.module}" if node.module else above


def _knots(graph: Graph) -> list[set[str]]:
    """Groups of modules each of which reaches all others of its group; what imports itself counts."""
    reach = {name: _reached(graph, name) for name in graph}
    groups: list[set[str]] = []
    for name in graph:
        if name in reach[name] and not any(name in group for group in groups):
            groups.append({other for other in reach[name] if name in reach[other]})
    return groups


def _reached(graph: Graph, start: str) -> set[str]:
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph[ahead.pop()].keys() - found
        found |= new
        ahead += new
    return found


def _shortest_circle(graph: Graph, group: set[str]) -> list[str]:
    return min((_circle_from(graph, name) for name in sorted(group)), key=len)


def _circle_from(graph: Graph, start: str) -> list[str]:
    paths = [[start]]
    seen: set[str] = set()
    for path in paths:
        for name in sorted(graph[path[-1]]):
            if name == start:
                return [*path, start]
            if name not in seen:
                seen.add(name)
                paths.append([*path, name])
    raise ValueError(f"no circle leads back to {start}")


def rules_of(pyproject: Path) -> Rules:
    """Raises TypeError for a rule that is unknown."""
    settings: dict[str, Any] = tomllib.loads(pyproject.read_text())["tool"]["structure"]
    return Rules(**{name.replace("-", "_"): value for name, value in settings.items()})


def main() -> int:
    """Print what is wrong; the exit status is 1 if anything is."""
    root = Path(__file__).resolve().parents[1]
    wrong = check(root, rules_of(root / "pyproject.toml"))
    for line in wrong:
        print(line)
    print(f"structure: {len(wrong)} wrong" if wrong else "structure: no circle, no long file, no large class")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
