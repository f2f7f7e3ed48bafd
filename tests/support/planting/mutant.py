"""From a bug to a function: its module's source with the mistake in it, compiled, and the one function taken out.

The compiled code tells of every exception that passes through it: each function body, ``with`` block and handler in it
gets a call of ``note``. So an error of the mutant's own is seen even where something swallows it.
"""

import ast
import copy
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any, cast

from tests.support.planting.bug import Bug, NotThere

NOTE, NOTING = "__planted_note__", "__planted_noting__"
"""Global names of the two calls put into a mutant: in handlers and bodies, and around lambdas."""
PLANTED = "<planted: "
"""How the file names of mutants begin."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A bug, compiled.

    Attributes:
        module: Where it belongs.
        owner: The class that the function is a method of; None for a function of the module.
        original: The right function.
        function: The wrong one; it lives in the module's globals, as the right one does.
        tree: The wrong function's syntax, as written.
        file: What tracebacks call its file.
        source: The module's source with the mistake in it.
    """

    module: ModuleType
    owner: type | None
    original: FunctionType
    function: FunctionType
    tree: Definition
    file: str
    source: str


@cache
def mutant_of(bug: Bug) -> Mutant:
    """Compile a bug.

    Raises:
        NotThere: There is no such function, or its right text does not stand there exactly once.
        SyntaxError: With the wrong text it does not compile.
    """
    module = importlib.import_module(bug.module)
    source = inspect.getsource(module)
    sound, mutated = _planted(bug, source)
    tree = ast.parse(mutated)
    wrong = next(d for d in definitions(tree, bug.function) if first_line(d) == first_line(sound))
    if ast.dump(wrong) == ast.dump(sound):
        raise NotThere(f"{bug.name}: nothing differs but comments or layout")
    if ast.dump(wrong.args) != ast.dump(sound.args):
        raise NotThere(f"{bug.name}: parameters and their defaults cannot be planted, only bodies")
    file = f"{PLANTED}{bug.name}>"
    owner, original = _original(module, bug)
    written = copy.deepcopy(wrong)
    _Noting().visit(wrong)
    code = _code_of(compile(ast.fix_missing_locations(tree), file, "exec"), bug.function, first_line(sound))
    return Mutant(
        module=module,
        owner=owner,
        original=original,
        function=_function(original, code, owner),
        tree=written,
        file=file,
        source=mutated,
    )


def definitions(tree: ast.AST, qualified: str) -> Iterator[Definition]:
    """Every definition of a function by its qualified name; a property has several of one name."""
    name, _, rest = qualified.partition(".")
    for node in ast.iter_child_nodes(tree):
        if rest and isinstance(node, ast.ClassDef) and node.name == name:
            yield from definitions(node, rest)
        elif not rest and isinstance(node, Definition) and node.name == name:
            yield node


def first_line(definition: Definition) -> int:
    """Where it begins, with its decorators."""
    return min([definition.lineno, *(d.lineno for d in definition.decorator_list)])


def _planted(bug: Bug, source: str) -> tuple[Definition, str]:
    """The right definition, and the module's source with the mistake in it."""
    found = list(definitions(ast.parse(source), bug.function))
    if not found:
        raise NotThere(f"{bug.name}: there is no function {bug.function} in {bug.module}")
    lines, refused = source.split("\n"), NotThere()
    for definition in found:
        start, end = first_line(definition) - 1, definition.end_lineno
        try:
            wrong = bug.planted_in("\n".join(lines[start:end]))
        except NotThere as elsewhere:
            refused = elsewhere
            continue
        return definition, "\n".join([*lines[:start], wrong, *lines[end:]])
    raise refused


def _original(module: ModuleType, bug: Bug) -> tuple[type | None, FunctionType]:
    owner: Any = None
    found: Any = module
    for name in bug.function.split("."):
        owner, found = found, vars(found)[name]
    if isinstance(found, property):
        found = found.fget
    found = getattr(found, "__func__", found)
    if not isinstance(found, FunctionType) or found.__qualname__ != bug.function or hasattr(found, "__wrapped__"):
        raise NotThere(f"{bug.name}: {bug.function} is decorated; what stands under a decorator cannot be replaced")
    return (owner if isinstance(owner, type) else None), found


def _code_of(code: CodeType, qualified: str, line: int) -> CodeType:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    for one in inner:
        if (one.co_qualname, one.co_firstlineno) == (qualified, line):
            return one
    return next(_code_of(c, qualified, line) for c in inner if qualified.startswith(f"{c.co_qualname}."))


def _function(original: FunctionType, code: CodeType, owner: type | None) -> FunctionType:
    cells = dict(zip(original.__code__.co_freevars, original.__closure__ or (), strict=True))
    if owner is not None:
        cells.setdefault("__class__", CellType(owner))
    closure = tuple(cells[name] for name in code.co_freevars)
    made = FunctionType(code, original.__globals__, original.__name__, original.__defaults__, closure)
    made.__kwdefaults__ = original.__kwdefaults__
    made.__annotations__ = original.__annotations__
    made.__doc__, made.__qualname__, made.__module__ = original.__doc__, original.__qualname__, original.__module__
    return made


class _Noting(ast.NodeTransformer):
    """Puts ``note`` wherever an exception leaves a body, or is handled."""

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        node.body.insert(0, _call_of_note(node))
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        return ast.copy_location(ast.Call(func=_name(NOTING), args=[node], keywords=[]), node)

    def _watched(self, node: Any) -> ast.AST:
        self.generic_visit(node)
        handler = ast.ExceptHandler(type=_name("Exception"), name=None, body=[_call_of_note(node), ast.Raise()])
        watched = ast.Try(body=node.body, handlers=[handler], orelse=[], finalbody=[])
        node.body = [ast.copy_location(watched, node)]
        ast.fix_missing_locations(node)
        return cast(ast.AST, node)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_With = visit_AsyncWith = _watched


def _call_of_note(near: ast.AST) -> ast.stmt:
    return ast.copy_location(ast.Expr(value=ast.Call(func=_name(NOTE), args=[], keywords=[])), near)


def _name(name: str) -> ast.Name:
    return ast.Name(id=name, ctx=ast.Load())
